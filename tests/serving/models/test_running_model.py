"""A model with workers that its application does not start: they are brought, and answer for themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from serving_apps import App

from handlerkit.serving.config import Config
from handlerkit.serving.documents.describe_model import Registered
from handlerkit.serving.frontend import QueuedRequest
from handlerkit.serving.http import HttpRequest, Response
from handlerkit.serving.models.served_model import Shared
from handlerkit.serving.wire import Prediction, WorkerResponse
from handlerkit.serving.workers.any_worker import Owner

REGISTERED = Registered.now(
    "m", "1.0", "python", None, Config(), batch_size=1, max_batch_delay=10_000, response_timeout=120, gpu=False
)
HEADERS = (("content-length", "3"), ("connection", "keep-alive"))


class Brought:
    """A model whose worker calls `answer` with itself and each batch."""

    name = "m"

    def __init__(self, answer: Callable[[Worker, Sequence[QueuedRequest]], None], **registered: Any) -> None:
        self._answer = answer
        self._registered = replace(REGISTERED, **registered)

    def registered(self, config: Config) -> Registered:
        return self._registered

    def workers(self, registered: Registered, shared: Shared, owner: Owner) -> Sequence[Worker]:
        return [Worker(next(shared.numbers), self._answer, owner)]


class Worker:
    load_seconds, pid, serves, gpu_id = 0.0, 0, True, None

    def __init__(self, number: int, answer: Callable[[Worker, Sequence[QueuedRequest]], None], owner: Owner) -> None:
        self.number, self.since, self.owner = number, datetime.now(UTC), owner
        self._answer = answer
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        self.owner.loaded(self)
        await self._loop.create_future()

    def send(self, batch: Sequence[QueuedRequest]) -> None:
        self._loop.call_soon(self._answer, self, batch)

    def expect(self) -> None:
        pass

    def rest(self) -> None:
        pass

    def drain(self) -> None:
        pass


def whole(worker: Worker, batch: Sequence[QueuedRequest]) -> None:
    text = b"%3d" % len(batch)
    worker.owner.responded(worker, [Response(200, "OK", HEADERS, text) for _ in batch])


def piece(batch: Sequence[QueuedRequest], text: bytes) -> WorkerResponse:
    headers = (("ts_stream_next", "true"),)
    return WorkerResponse(200, "", tuple(Prediction(one.job.request_id, "", 200, "", headers, text) for one in batch))


@pytest.mark.parametrize("path", ["/predictions/m", "/invocations", "/"])
def test_the_client_gets_what_the_worker_responds(path: str) -> None:
    with App([Brought(whole)]) as app:
        assert app.ask("POST", path, (), b"x").body == b"  1"


def test_of_a_stream_it_gets_what_has_not_left_yet() -> None:
    def stream(worker: Worker, batch: Sequence[QueuedRequest]) -> None:
        for text in (b"one", b"", b"two"):
            worker.owner.answered(worker, piece(batch, text))
        worker.owner.responded(worker, [Response(200, chunks=(b"one", b"two", b"three"))])

    with App([Brought(stream)]) as app:
        got = app.ask("POST", "/predictions/m", (), b"x")
        assert (got.chunks, got.complete) == ((b"one", b"two", b"three"), True)


def test_a_stream_that_broke_off_is_cut() -> None:
    def stream(worker: Worker, batch: Sequence[QueuedRequest]) -> None:
        worker.owner.answered(worker, piece(batch, b"one"))
        worker.owner.responded(worker, [Response(200, chunks=(b"one",), complete=False)])

    with App([Brought(stream)]) as app:
        got = app.ask("POST", "/predictions/m", (), b"x")
        assert (got.chunks, got.complete) == ((b"one",), False)


def test_another_registration_counts_from_the_next_request_on() -> None:
    def renames(worker: Worker, batch: Sequence[QueuedRequest]) -> None:
        whole(worker, batch)
        worker.owner.registered_again(worker, replace(REGISTERED, version="2.0"))

    with App([Brought(renames)]) as app:
        assert app.ask("POST", "/predictions/m/2.0", (), b"x").status == 404
        assert app.ask("POST", "/predictions/m/1.0", (), b"x").status == 200
        assert app.ask("POST", "/predictions/m/2.0", (), b"x").status == 200
        assert app.ask("POST", "/predictions/m/1.0", (), b"x").status == 404


def test_requests_that_no_worker_gets_are_told() -> None:
    told: list[tuple[str | None, int | None]] = []

    def rejected(request: HttpRequest, response: Response) -> None:
        told.append((request.path, response.status))

    def silent(worker: Worker, batch: Sequence[QueuedRequest]) -> None:
        pass

    model = Brought(silent, job_queue_size=0)
    with App([model], token="t", rejected=rejected) as app:
        bears = (("Authorization", "Bearer t"),)
        app.ask("POST", "/predictions/m", (), b"x")
        app.ask("POST", "/predictions/n", bears, b"x")
        app.ask("POST", "/predictions/m", bears, b"x")
        app.ask("GET", "/ping", bears)
    assert told == [("/predictions/m", 400), ("/predictions/n", 404), ("/predictions/m", 503)]
