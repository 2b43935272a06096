"""Endpoints whose times are given, so that figures can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

import pytest

from handlerkit.messages import Call, Exchange, Request, Response, Run
from handlerkit.timing import Timings


class Scripted:
    """Answers with these statuses and seconds, one after the other; raises what is an exception."""

    def __init__(self, seconds: Iterable[float | BaseException], statuses: Iterable[int] = (), name: str = "") -> None:
        self._seconds, self._statuses = iter(seconds), iter(statuses)
        self.asked: list[tuple[str, int]] = []
        self.name = name

    def predict(self, *requests: Request) -> Run:
        self.asked.append((self.name, len(requests)))
        seconds = next(self._seconds)
        if isinstance(seconds, BaseException):
            raise seconds
        response = Response(next(self._statuses, 200), body=b"answer")
        call = Call((), Timings(seconds, {"preprocess": seconds / 4, "encode": seconds / 2}))
        return Run(tuple(Exchange(one, response) for one in requests), (call,), endpoint="here", model="coins")


@pytest.fixture
def scripted() -> Callable[..., Scripted]:
    return Scripted


@pytest.fixture
def steady() -> Iterator[Scripted]:
    """Takes 10 ms each time."""
    return Scripted(repeat(0.01))
