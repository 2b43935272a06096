"""Where the time of one call of a handler goes: a clock that stages report to, and the figures it leaves."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: The stages that every handler may have, in the order in which a request passes them. "handle" is what the entry point
#: does beside its stages. A handler's own methods of other names are stages too, by those names.
STAGES = (
    "decode",
    "envelope in",
    "preprocess",
    "inference",
    "postprocess",
    "handle",
    "envelope out",
    "encode",
)


@dataclass(frozen=True)
class Timings:
    """Seconds of one call: `total`, and the stages that ran, in their order."""

    total: float
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def other(self) -> float:
        """Seconds that belong to no stage: TorchServe's own book-keeping, such as its metrics."""
        return max(0.0, self.total - sum(self.stages.values()))

    def __iter__(self) -> Iterator[tuple[str, float]]:
        """(stage, seconds) in order, `other` last; they add up to `total`."""
        yield from self.stages.items()
        yield "other", self.other

    def __getitem__(self, stage: str) -> float:
        return self.other if stage == "other" else self.stages[stage]


#: A stage, and when it began and ended.
_Span = tuple[str, float, float]


class Stopwatch:
    """Collects the seconds of each stage of one call.

    A stage inside a stage counts for the outer one, and what runs side by side in threads shares the time, so the
    stages add up to the whole.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._now = self._clock = clock
        self._spans: list[_Span] = []
        self._running: set[int] = set()
        self._thread = 0
        self._alone = True
        self._started = 0.0

    def start(self, settle: Callable[[], object] | None = None) -> None:
        """Forget the last call and begin the next, in this thread.

        `settle` is called before each look at the clock: it waits for what a stage has begun on an accelerator.
        """
        self._now = self._clock if settle is None else _after(settle, self._clock)
        self._spans = []
        self._running.clear()
        self._thread = get_ident()
        self._alone = True
        self._started = self._now()

    def first(self, stage: str) -> None:
        """Report all the time since `start` as a stage that ends now."""
        self._spans.append((stage, self._started, self._now()))

    def elapsed(self) -> float:
        """Seconds since `start`."""
        return self._clock() - self._started

    def stop(self) -> Timings:
        """The figures since `start`."""
        total = self._now() - self._started
        return Timings(total, _sums(self._spans) if self._alone else _shares(self._spans))

    def time(self, stage: str, function: Callable[P, R]) -> Callable[P, R]:
        """`function`, reporting its seconds as `stage`."""

        @functools.wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            thread = get_ident()
            if thread in self._running:
                return function(*args, **kwargs)
            self._running.add(thread)
            self._alone = self._alone and thread == self._thread
            begun = self._now()
            try:
                return function(*args, **kwargs)
            finally:
                self._running.discard(thread)
                self._spans.append((stage, begun, self._now()))

        return timed

    def handle(self, function: Callable[P, R]) -> Callable[P, R]:
        """`function`, the entry point, reporting as "handle" what it does beside the stages within."""

        @functools.wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            begun = self._now()
            try:
                return function(*args, **kwargs)
            finally:
                self._spans.append((_REST, begun, self._now()))

        return timed

    def watch(self, holder: Any, name: str, stage: str) -> None:
        """Replace the callable attribute `name` of `holder` (a class, a module) by its timed self."""
        setattr(holder, name, self.time(stage, getattr(holder, name)))


def _after(settle: Callable[[], object], clock: Callable[[], float]) -> Callable[[], float]:
    def now() -> float:
        settle()
        return clock()

    return now


_REST = "handle"


def _sums(spans: list[_Span]) -> dict[str, float]:
    """Seconds of each stage, in the order of their ends."""
    seconds: dict[str, float] = {}
    for stage, begun, ended in spans:
        took = ended - begun
        if stage == _REST:
            within = [end - begin for name, begin, end in spans if name != _REST and begun <= begin and end <= ended]
            took -= sum(within)
        seconds[stage] = seconds.get(stage, 0.0) + took
    return seconds


def _shares(spans: list[_Span]) -> dict[str, float]:
    """The same of stages that ran in several threads: at each moment, those that run have equal shares of it."""
    spans = sorted(spans, key=lambda span: span[2])
    seconds = dict.fromkeys((stage for stage, _, _ in spans), 0.0)
    moments = sorted({moment for _, begun, ended in spans for moment in (begun, ended)})
    for begun, ended in itertools.pairwise(moments):
        running = [stage for stage, begin, end in spans if begin <= begun and ended <= end]
        running = [stage for stage in running if stage != _REST] or running
        for stage in running:
            seconds[stage] += (ended - begun) / len(running)
    return seconds
