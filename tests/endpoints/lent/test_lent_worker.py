"""A worker that is lent for one batch at a time: what happens when it cannot be."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handlerkit.endpoints.worker import Worker
from handlerkit.endpoints.worker_server import WorkerServer
from handlerkit.errors import ModelError
from handlerkit.model import Model

HANDLER = "def handle(data, context):\n    print('said')\n    return [row['body'] for row in data or ()]\n"


class Lender:
    """Lends a worker, or raises what it was told to; counts how often it is out."""

    def __init__(self, worker: Worker) -> None:
        self.problem: Exception | None = None
        self.out = 0
        self._worker = worker

    @contextmanager
    def __call__(self) -> Iterator[Worker]:
        if self.problem is not None:
            raise self.problem
        self.out += 1
        try:
            yield self._worker
        finally:
            self.out -= 1


@pytest.fixture
def lender(tmp_path: Path) -> Iterator[Lender]:
    (tmp_path / "handler.py").write_text(HANDLER)
    with Worker(Model("m", handler=tmp_path / "handler.py")) as worker:
        yield Lender(worker)


@pytest.fixture
def server(lender: Lender) -> Iterator[WorkerServer]:
    with WorkerServer(lender, 0) as server:
        yield server


def ask(server: WorkerServer) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)) as connection:
        connection.request("POST", "/", b"hi", {"Content-Type": "text/plain"})
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_it_is_given_back_after_each_batch(server: WorkerServer, lender: Lender) -> None:
    assert ask(server) == (200, "hi")
    assert lender.out == 0


@pytest.mark.parametrize("problem", [ModelError("m has no handler yet"), RuntimeError("a fault of the kit")])
def test_without_one_clients_are_answered_and_told_why(
    server: WorkerServer, lender: Lender, problem: Exception
) -> None:
    lender.problem = problem
    status, body = ask(server)
    assert (status, json.loads(body)["message"]) == (500, "Worker died.")
    (finding,) = server.served[-1].findings
    assert finding.message == f"m answers no requests: {problem}"
    lender.problem = None
    assert ask(server) == (200, "hi")


def test_another_one_counts_from_the_next_request_on(server: WorkerServer, lender: Lender, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(HANDLER.replace("row['body']", "'other'"))
    with Worker(Model("m", handler=tmp_path / "other.py")) as other:
        lender._worker = other
        assert ask(server) == (200, "other")
