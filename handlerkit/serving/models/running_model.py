"""A served model on an event loop: its frontend, its job queue and its workers.

Answers go to clients as soon as there are any: a stream's pieces while the handler still runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .. import torchserve_facts as facts
from ..config import whole_number
from ..documents.describe_model import Registered, WorkerState
from ..frontend import Frontend, QueuedRequest
from ..http import HttpRequest, Response
from ..wire import WorkerResponse
from ..worker_death import WorkerDeath, WorkerDied, stale
from ..workers.any_worker import AnyWorker, LoadFailed
from .job_queue import Limits
from .live_queue import LiveQueue
from .sequence_queue import SequenceLimits, SequenceQueue
from .served_model import AnyModel, Shared

#: Requests that a worker gets before it can begin them, so that it need not wait for the next one while this process
#: waits for a processor: only where that changes nothing else, with one worker and batches of one.
_AHEAD = 32


class Client(Protocol):
    """Who waits for the answer to a request: `answer` is called once, or `begin`, `chunk` and `end` are, or `drop`."""

    def answer(self, response: Response) -> None:
        """A whole answer."""

    def begin(self, response: Response) -> None:
        """The head of a stream."""

    def chunk(self, data: bytes) -> None:
        """A piece of it."""

    def end(self, complete: bool) -> None:
        """No more pieces; where it is not complete, the connection is to be cut."""

    def drop(self) -> None:
        """There will be no answer."""


@dataclass(eq=False)
class _Pending:
    """A request that waits for its answer; times on the loop's clock. `chunks`: how many it got of a stream."""

    received: QueuedRequest
    client: Client
    came: float
    began: float = 0.0
    chunks: int = 0

    @property
    def describe(self) -> bool:
        return self.received.describe

    @property
    def sequence(self) -> str:
        return self.received.sequence


class _Batch:
    """The requests that a worker has. `streams`: their heads are sent."""

    def __init__(self, tickets: list[_Pending]) -> None:
        self.tickets = tickets
        self.streams = False

    def begin(self, now: float) -> None:
        """The worker begins it."""
        for ticket in self.tickets:
            ticket.began = now


class RunningModel:
    """A served model with its queue and its workers.

    Attributes:
        frontend: what reads its requests and writes its answers.
        loads: done when each worker has loaded the model; LoadFailed where one does not at its first try.
    """

    def __init__(self, model: AnyModel, shared: Shared, is_only: bool) -> None:
        self._config = shared.config
        self._is_only = is_only
        self._rejected = shared.rejected
        self._loop = asyncio.get_running_loop()
        self._metrics = shared.metrics
        self._counted = shared.metrics.of_model(model.name)
        self._logger = logging.getLogger(f"serving.{model.name}")
        registered = model.registered(shared.config)
        self.workers = model.workers(registered, shared, self)
        self._left = len(self.workers)
        self._queue = self._queue_of(registered)
        #: What each worker was sent, in order: it has begun the first.
        self._running: dict[AnyWorker, deque[_Batch]] = {worker: deque() for worker in self.workers}
        self._tasks: list[asyncio.Task[None]] = []
        self.loads: asyncio.Future[None] = self._loop.create_future()
        self._register(registered)

    def _queue_of(self, registered: Registered) -> LiveQueue[_Pending, AnyWorker] | SequenceQueue[_Pending, AnyWorker]:
        settings, limits = registered.settings, Limits.of(registered)
        idle = whole_number(settings, "sequenceMaxIdleMSec") / 1000
        if not idle or not registered.has_sequences:
            return LiveQueue(limits, self._send)
        most, size = whole_number(settings, "maxNumSequence"), whole_number(settings, "maxSequenceJobQueueSize")
        return SequenceQueue(limits, SequenceLimits(most, size, idle), self.workers, self._send)

    def _register(self, registered: Registered) -> None:
        self._registered = registered
        self.frontend = Frontend(
            registered.name, registered.version, self._config, registered.has_sequences, self._describe, self._is_only,
            True,
        )  # fmt: skip
        self._client_timeout = registered.client_timeout
        self._queue.limits = limits = Limits.of(registered)
        is_plain = isinstance(self._queue, LiveQueue) and not limits.ticket
        self._ahead = _AHEAD if len(self.workers) == limits.batch_size == 1 and is_plain else 0
        self._count_ahead()

    @property
    def healthy(self) -> bool:
        """Whether each worker serves."""
        return all(worker.serves for worker in self.workers)

    @property
    def given_up(self) -> bool:
        """Whether all workers have failed for too long, and none is started again."""
        return not self._left

    @property
    def ready(self) -> bool:
        """Whether a worker serves."""
        return any(worker.serves for worker in self.workers)

    @property
    def busy(self) -> bool:
        """Whether a request waits for its answer."""
        return bool(self._queue or any(self._running.values()))

    def start(self) -> None:
        """Start the workers."""
        self._tasks = [self._loop.create_task(worker.run()) for worker in self.workers]

    def receive(self, request: HttpRequest, client: Client) -> None:
        """Queue a request, or answer it where the frontend does."""
        received = self.frontend.receive(request)
        if isinstance(received, Response):
            self._reject(request, client, received)
            return
        if not received.describe:
            self._counted.received(self._version(received))
        if not self._left or not self._queue.put(_Pending(received, client, self._loop.time())):
            self._reject(request, client, self.frontend.overloaded(received))

    async def stop(self) -> None:
        """End the workers; what still waits is answered as when they die."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for batches in self._running.values():
            for batch in batches:
                self._fail(batch)
            batches.clear()
        self._fail(_Batch(self._queue.take_all()))
        if not self.loads.done():
            self.loads.cancel()

    # what a worker tells (worker.Owner)

    def loaded(self, worker: AnyWorker) -> None:
        """It has loaded the model."""
        name = f"W-{worker.number}-{self._registered.name}_{self._registered.version}"
        self._metrics.loaded(name, worker.load_seconds)
        self._logger.info("%s serves, process %d", name, worker.pid)
        if self.healthy and not self.loads.done():
            self.loads.set_result(None)
        for _ in range(1 + self._ahead):
            self._queue.offer(worker)

    def answered(self, worker: AnyWorker, answer: WorkerResponse) -> None:
        """It answers its batch, or a part of a stream. Raises WorkerDied."""
        batch = self._running[worker][0]
        tickets, rows = batch.tickets, answer.predictions
        if answer.code == 200 and [row.request_id for row in rows] != [one.received.job.request_id for one in tickets]:
            raise WorkerDied(stale())
        if answer.code == 200 and answer.is_intermediate:
            self._go_on(batch, answer)
            worker.expect()
            return
        if not batch.streams:
            responses = [self.frontend.respond(one.received, answer, row) for row, one in enumerate(tickets)]
        elif answer.code == 200:
            chunks = [self.frontend.chunk(answer, row) for row in range(len(tickets))]
        now = self._next(worker)
        for index, ticket in enumerate(tickets):
            if not batch.streams:
                self._count(ticket, now)
                self._deliver(ticket, responses[index], now)
            elif answer.code == 200:
                self._count(ticket, now)
                ticket.client.chunk(chunks[index])
                ticket.client.end(True)
            else:
                ticket.client.end(False)

    def responded(self, worker: AnyWorker, responses: Sequence[Response]) -> None:
        """Its batch is answered with these; of a stream, the pieces that have not left yet go now."""
        batch = self._running[worker][0]
        now = self._next(worker)
        for ticket, response in zip(batch.tickets, responses):
            self._count(ticket, now)
            if not batch.streams:
                self._deliver(ticket, response, now)
                continue
            for chunk in (response.chunks or ())[ticket.chunks :]:
                ticket.client.chunk(chunk)
            ticket.client.end(response.complete)

    def registered_again(self, worker: AnyWorker, registered: Registered) -> None:
        """Requests from now on are read, and form batches, as it says."""
        self._register(registered)

    def died(self, worker: AnyWorker, death: WorkerDeath) -> None:
        """It is gone, with what it had been sent."""
        self._logger.warning("worker %d died: %s", worker.number, death.message)
        self._queue.withdraw(worker)
        batches = self._running[worker]
        if batches:
            self._fail(batches.popleft())
        tickets = [ticket for batch in batches for ticket in batch.tickets]
        batches.clear()
        self._count_ahead()
        self._queue.put_back(tickets)

    def not_loaded(self, worker: AnyWorker, failed: LoadFailed) -> None:
        """It did not load the model. One that says so itself takes a batch with it; the others leave it waiting."""
        self._logger.error("%s", failed)
        if failed.code:
            self._fail(_Batch(self._queue.take()))
        if not self.loads.done():
            self.loads.set_exception(failed)

    def gone(self, worker: AnyWorker) -> None:
        """It is not tried any more. TorchServe leaves what waits for the last one without an answer; here it gets
        one."""
        self._logger.error("worker %d has failed for too long, and is not started again", worker.number)
        self._left -= 1
        if not self._left:
            for ticket in self._queue.take_all():
                self._reject(ticket.received.request, ticket.client, self.frontend.overloaded(ticket.received))

    def hear(self, worker: AnyWorker, stream: str, line: str) -> None:
        """It wrote a line: a metric, or for the log."""
        if line.startswith(facts.METRIC):
            self._metrics.parse(line)
        elif stream == "stderr":
            self._logger.warning("%s", line)
        elif line.startswith(facts.CALL_BEGINS):
            self._logger.debug("%s", line)
        else:
            self._logger.info("%s", line)

    def _send(self, worker: AnyWorker, tickets: list[_Pending]) -> None:
        batches = self._running[worker]
        batches.append(_Batch(tickets))
        if len(batches) == 1:
            batches[0].begin(self._loop.time())
        self._count_ahead()
        worker.send([ticket.received for ticket in tickets])

    def _count_ahead(self) -> None:
        if self._ahead:
            self._queue.ahead = sum(max(0, len(batches) - 1) for batches in self._running.values())

    def _go_on(self, batch: _Batch, answer: WorkerResponse) -> None:
        """An intermediate answer: the first one has the heads. Raises WorkerDied."""
        tickets = batch.tickets
        heads = (
            [] if batch.streams else [self.frontend.begin(one.received, answer, row) for row, one in enumerate(tickets)]
        )
        chunks = [self.frontend.chunk(answer, row) for row in range(len(tickets))]
        batch.streams = True
        for ticket, head in zip(tickets, heads):
            self._metrics.answered(head.status or 0)
            ticket.client.begin(head)
        for ticket, chunk in zip(tickets, chunks):
            ticket.client.chunk(chunk)
            ticket.chunks += bool(chunk)  # an empty one is none

    def _next(self, worker: AnyWorker) -> float:
        """The worker has answered its first batch, now: it has its next one before this one's clients have their
        answers."""
        now = self._loop.time()
        batches = self._running[worker]
        batches.popleft()
        worker.rest()
        if batches:
            batches[0].begin(now)
        self._count_ahead()
        self._queue.offer(worker)
        return now

    def _fail(self, batch: _Batch) -> None:
        """The worker died: a stream is cut, any other request gets an error."""
        for ticket in batch.tickets:
            if batch.streams:
                ticket.client.end(False)
            else:
                self._answer(ticket.client, self.frontend.died(ticket.received))

    def _deliver(self, ticket: _Pending, response: Response, now: float) -> None:
        if response.status is None or 0 < self._client_timeout < now - ticket.came:
            ticket.client.drop()
        else:
            self._answer(ticket.client, response)

    def _answer(self, client: Client, response: Response) -> None:
        self._metrics.answered(response.status or 0)
        client.answer(response)

    def _reject(self, request: HttpRequest, client: Client, response: Response) -> None:
        self._rejected(request, response)
        self._answer(client, response)

    def _count(self, ticket: _Pending, now: float) -> None:
        if not ticket.describe:
            self._counted.predicted(self._version(ticket.received), ticket.began - ticket.came, now - ticket.came)

    def _version(self, received: QueuedRequest) -> str:
        return self._registered.version if received.versioned else "default"

    def _describe(self, answered: bytes) -> bytes:
        states = [
            WorkerState(one.number, one.since, one.serves, one.pid, one.gpu_id is not None) for one in self.workers
        ]
        return self._registered.describe(answered, states, len(self._queue))
