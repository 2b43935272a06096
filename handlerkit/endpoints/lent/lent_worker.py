"""Somebody's Worker as one of an application's: lent for one batch at a time.

The application's queue is on its event loop, and the batches are answered in a thread, one after the other.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from typing import Any

from handlerkit.endpoints.lent.served_runs import ServedRuns
from handlerkit.endpoints.worker import Worker
from handlerkit.messages import HttpRequest, LogLine, Response, Run
from handlerkit.serving.config import Config
from handlerkit.serving.documents.describe_model import Registered
from handlerkit.serving.frontend import QueuedRequest
from handlerkit.serving.models.served_model import Shared
from handlerkit.serving.torchserve_facts import METRIC
from handlerkit.serving.wire import WorkerResponse
from handlerkit.serving.worker_death import WorkerDied
from handlerkit.serving.workers.any_worker import Owner

#: Gives the worker inside a with block, where nobody else changes it. Raises HandlerkitError if there is none.
Lend = Callable[[], AbstractContextManager[Worker]]

#: Seconds between two looks at whether a worker that stays away is there: another handler may have been loaded.
_LOOKS = 0.1


class LentModel:
    """A model whose worker is lent, for an application (serving.models.served_model.AnyModel)."""

    def __init__(self, lend: Lend, served: ServedRuns) -> None:
        with lend() as worker:
            self._worker = worker
        self._lend = lend
        self._served = served

    @property
    def name(self) -> str:
        """As requests name it."""
        return self._worker.registered.name

    def registered(self, config: Config) -> Registered:
        """As its worker is."""
        return self._worker.registered

    def workers(self, registered: Registered, shared: Shared, owner: Owner) -> Sequence[LentWorker]:
        """The one that is lent."""
        return [LentWorker(next(shared.numbers), self._worker, self._lend, self._served, owner)]

    def rejected(self, request: HttpRequest, response: Response) -> None:
        """Keep a request that no worker gets."""
        self._served.append(self._worker.rejected(request, response))


class LentWorker:
    """The worker (serving.workers.any_worker.AnyWorker). A handler that does not load answers as a worker that died."""

    load_seconds = 0.0
    pid = 0
    serves = True

    def __init__(self, number: int, worker: Worker, lend: Lend, served: ServedRuns, owner: Owner) -> None:
        self.number = number
        self.since = datetime.now(UTC)
        self.gpu_id = worker.gpu_id
        #: The one that was lent last.
        self._worker = worker
        self._registered = worker.registered
        self._lend = lend
        self._served = served
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._batches: queue.SimpleQueue[Sequence[QueuedRequest] | None] = queue.SimpleQueue()
        self._has_ended = False
        self._thread = threading.Thread(target=self._work, name="handlerkit answers clients", daemon=True)

    async def run(self) -> None:
        """Serve until this is cancelled. A batch that the handler has by then goes on without its clients."""
        self._thread.start()
        self._owner.loaded(self)
        try:
            await self._loop.create_future()
        finally:
            self._has_ended = True
            self._batches.put(None)

    def send(self, batch: Sequence[QueuedRequest]) -> None:
        """Answer a batch after those before."""
        self._batches.put(batch)

    def expect(self) -> None:
        """The Worker itself sees to its time-outs."""

    def rest(self) -> None:
        """The thread takes the next batch when it is done with this one."""

    def drain(self) -> None:
        """The Worker's lines come before its answers."""

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None and not self._has_ended:
            try:
                run = self._answer(batch)
            except Exception as problem:  # of the load, of the session, of the kit: there is a client who waits
                run = self._worker.not_loaded(batch, problem)
            self._served.append(run)
            self._tell(self._owner.responded, self, run.responses)

    def _answer(self, batch: Sequence[QueuedRequest]) -> Run:
        while True:
            with self._lend() as worker:
                self._worker = worker
                if not (pause := worker.pause):
                    run = worker.answer(batch, self._hear)
                    if worker.registered is not self._registered:
                        self._registered = worker.registered
                        self._tell(self._owner.registered_again, self, worker.registered)
                    return run
            time.sleep(min(pause, _LOOKS))

    def _hear(self, event: LogLine | WorkerResponse) -> None:
        if isinstance(event, WorkerResponse):
            if event.code == 200 and event.is_intermediate:
                self._tell(self._go_on, event)
        elif event.text.startswith(METRIC):
            self._tell(self._owner.hear, self, "stdout", event.text)

    def _go_on(self, answer: WorkerResponse) -> None:
        with suppress(WorkerDied):  # the Worker finds it out too
            self._owner.answered(self, answer)

    def _tell(self, what: Callable[..., object], *arguments: Any) -> None:
        """Call it on the event loop."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._do, what, arguments)

    def _do(self, what: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if not self._has_ended:
            what(*arguments)
