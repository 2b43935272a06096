"""Runs to keep, without a worker: an endpoint that answers with what it was made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from handlerkit.messages import Exchange, Request, Response, Run

ID = ("x-request-id", "0b7c1d7e-1111-2222-3333-444455556666")


class Answers:
    """Answers each request with the next of these, and remembers what it was asked."""

    def __init__(self, *responses: Response) -> None:
        self._responses = responses
        self.asked: list[Request] = []

    def predict(self, *requests: Request) -> Run:
        first = len(self.asked)
        self.asked += requests
        answers = [self._responses[(first + at) % len(self._responses)] for at in range(len(requests))]
        return Run(tuple(map(Exchange, requests, answers)), endpoint="the endpoint", model="m")


def answer(body: object = b"fine", *headers: tuple[str, str], status: int = 200, **rest: object) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body, indent=2).encode()
    return Response(status, "", (ID, *headers, ("content-length", str(len(content)))), content, **rest)


def exchange(request: Request | None = None, response: Response | None = None) -> Run:
    return Run((Exchange(request or Request.json({"x": 1}), response or answer({"y": 2})),), model="m")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def text() -> Callable[[], str]:
    """All that the files of the cases hold, as one text."""

    def read() -> str:
        files = sorted(path for path in Path("cases").rglob("*") if path.is_file())
        return "\n".join(f"{path.name}\n{path.read_bytes().decode('latin-1')}" for path in files)

    return read
