"""Batches of inputs on their way to a model's workers and back, with as many under way as keep the workers busy."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

from .. import torchserve_facts as facts
from ..config import Config
from ..documents.describe_model import Registered
from ..frontend import Frontend, QueuedRequest
from ..http import HttpRequest, Response
from ..models.metrics import Metrics
from ..models.served_model import ServedModel, Shared
from ..wire import WorkerResponse
from ..worker_death import WorkerDeath, WorkerDied, stale
from ..workers.any_worker import AnyWorker, LoadFailed
from ..workers.processes import Supervisor
from .inputs import Input
from .results import Result

#: Batches that a worker has: the one it runs, and the next.
_DEPTH = 2
#: Batches that have been read, for each worker.
_READ_AHEAD = 2
_LINES = 200
_RAISED = re.compile(r"[A-Za-z_][\w.]*(: .*)?")


class Gone(Exception):
    """No worker is left that could score."""


class _InputBatch:
    """Inputs that a worker gets together; `lines` is what it wrote meanwhile."""

    def __init__(self, rows: Sequence[tuple[Input, QueuedRequest]]) -> None:
        self.rows = rows
        self.pieces: list[WorkerResponse] = []
        self.lines: deque[str] = deque(maxlen=_LINES)


class Scorer:
    """A model's workers, which score what `score` is given. Between `start` and `stop`.

    Args:
        workers: how many there are; as many as model-config.yaml says without one.
        batch_size: inputs that a worker gets together; the model's own without one.
    """

    def __init__(
        self, model: ServedModel, config: Config, workers: int | None = None, batch_size: int | None = None
    ) -> None:
        registered = model.registered(config)
        self.batch_size = batch_size or registered.batch_size
        self.count = workers or registered.min_workers
        self._registered = replace(registered, batch_size=self.batch_size, min_workers=self.count)
        self._model = replace(model, env=_environment(self.count, bool(model.gpu_ids)))
        self._config = config
        self._frontend = Frontend(model.name, model.version, config, is_only=True)
        self._logger = logging.getLogger(f"serving.{model.name}")
        self._waiting: deque[_InputBatch] = deque()
        self._running: dict[AnyWorker, deque[_InputBatch]] = {}
        self._left: set[AnyWorker] = set()
        #: Batches whose beginning a worker has not told of yet, and the one that it wrote of last.
        self._unheard: dict[AnyWorker, deque[_InputBatch]] = {}
        self._heard: dict[AnyWorker, _InputBatch] = {}
        self._keep: Callable[[Result], object] = lambda _: None
        self._changed = asyncio.Event()
        self._problem: Exception | None = None
        self._loaded = False
        self._supervisor: Supervisor | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def serves(self) -> bool:
        """Whether a worker has loaded the model."""
        return self._loaded

    async def start(self) -> None:
        """Start the workers; returns when one serves. Raises LoadFailed where none does at its first try."""
        loop = asyncio.get_running_loop()
        self._supervisor = Supervisor()
        shared = Shared(self._config, self._supervisor, Metrics(), False, lambda *_: None, count(facts.FIRST_WORKER))
        for worker in self._model.workers(self._registered, shared, self):
            self._running[worker], self._unheard[worker] = deque(), deque()
        self._left = set(self._running)
        self._tasks = [loop.create_task(worker.run()) for worker in self._running]
        while not self._loaded:
            await self._change()

    async def stop(self) -> None:
        """End the workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._supervisor is not None:
            self._supervisor.close()

    async def score(
        self, inputs: Iterator[Input], keep: Callable[[Result], object], stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Score them all, and `keep` each result as it comes, in any order; when `stopped` says so, no more of them are
        read, and those under way are scored. Raises Gone."""
        self._keep = keep
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "inputs") as pool:
            reading: asyncio.Future[list[Input]] | None = None
            try:
                while not stopped():
                    reading = loop.run_in_executor(pool, _take, inputs, self.batch_size)
                    batch = await reading
                    if not batch:
                        break
                    self._put(batch)
                    while len(self._waiting) >= _READ_AHEAD * self.count and not stopped():
                        await self._change()
                while self._waiting or any(self._running.values()):
                    await self._change()
            finally:
                if reading is not None:
                    await asyncio.wait([reading])

    async def _change(self) -> None:
        """Return when something has happened."""
        self._changed.clear()
        if self._problem is None:
            await self._changed.wait()
        if self._problem is not None:
            raise self._problem

    def _put(self, inputs: Sequence[Input]) -> None:
        rows = []
        for one in inputs:
            headers = (("Content-Type", one.content_type),) if one.content_type else ()
            request = HttpRequest(headers=headers, body=one.body)
            received = Result(one.name, 0, one.problem) if one.problem else self._frontend.receive(request)
            if isinstance(received, QueuedRequest):
                rows.append((one, received))
            elif isinstance(received, Response):
                self._keep(Result.of(one.name, received, _message(received)))
            else:
                self._keep(received)
        if rows:
            self._waiting.append(_InputBatch(rows))
        self._feed()

    def _feed(self) -> None:
        """Give each worker what it can have."""
        for depth in range(_DEPTH):  # nobody gets a second batch before each has one
            for worker, batches in self._running.items():
                if self._waiting and worker.serves and len(batches) == depth:
                    batch = self._waiting.popleft()
                    batches.append(batch)
                    self._unheard[worker].append(batch)
                    worker.send([received for _, received in batch.rows])
        self._changed.set()

    def _again(self, batch: _InputBatch) -> None:
        """The rows of a batch that failed, one by one, before all others."""
        self._waiting.extendleft(_InputBatch([row]) for row in reversed(batch.rows))

    # what a worker tells (worker.Owner)

    def loaded(self, worker: AnyWorker) -> None:
        """It has loaded the model."""
        self._loaded = True
        self._feed()

    def answered(self, worker: AnyWorker, answer: WorkerResponse) -> None:
        """It answers its batch, or a part of a stream. Raises WorkerDied."""
        batch = self._running[worker][0]
        if answer.code == 200:
            if [row.request_id for row in answer.predictions] != [one.job.request_id for _, one in batch.rows]:
                raise WorkerDied(stale())
            if answer.is_intermediate:
                batch.pieces.append(answer)
                worker.expect()
                return
        responses = [
            self._frontend.respond(received, answer, row, batch.pieces) for row, (_, received) in enumerate(batch.rows)
        ]
        if answer.code != 200 and len(batch.rows) > 1:
            self._running[worker].popleft()
            worker.rest()
            self._again(batch)
            self._feed()
        else:
            self.responded(worker, responses)

    def responded(self, worker: AnyWorker, responses: Sequence[Response]) -> None:
        """Its first batch has its answers."""
        batch = self._running[worker].popleft()
        worker.rest()
        self._feed()  # it has its next batch before this one's results are kept
        for (one, _), response in zip(batch.rows, responses):
            if response.ok:
                self._keep(Result.of(one.name, response))
            else:
                self._fail(worker, batch, Result.of(one.name, response, _message(response)))
        self._changed.set()

    def registered_again(self, worker: AnyWorker, registered: Registered) -> None:
        """The model is another: nothing here depends on it."""

    def died(self, worker: AnyWorker, death: WorkerDeath) -> None:
        """It is gone, with the batch that it had begun."""
        batches, self._running[worker] = self._running[worker], deque()
        worker.drain()
        self._unheard[worker].clear()
        batch = batches.popleft() if batches else None
        self._waiting.extendleft(reversed(batches))
        if batch is not None and len(batch.rows) > 1:
            self._again(batch)
        elif batch is not None:
            ((one, received),) = batch.rows
            response = self._frontend.broken(received, 0, batch.pieces)
            self._fail(worker, batch, replace(Result.of(one.name, response), message=f"{facts.DIED} {death.message}"))
        self._feed()

    def not_loaded(self, worker: AnyWorker, failed: LoadFailed) -> None:
        """It did not load the model: the first try ends all, others are repeated."""
        if not self._loaded:
            self._problem = failed
        else:
            self._logger.error("%s", failed)
        self._changed.set()

    def gone(self, worker: AnyWorker) -> None:
        """It is not tried any more."""
        self._left.discard(worker)
        if not self._left:
            self._problem = Gone("the workers have failed for too long; run it again to go on")
        self._changed.set()

    def hear(self, worker: AnyWorker, stream: str, line: str) -> None:
        """It wrote a line."""
        if line.startswith(facts.CALL_BEGINS) and self._unheard[worker]:
            self._heard[worker] = self._unheard[worker].popleft()
        elif worker in self._heard and not line.startswith(facts.METRIC):
            self._heard[worker].lines.append(line)
        self._logger.log(logging.DEBUG if line.startswith(facts.METRIC) else logging.INFO, "%s", line)

    def _fail(self, worker: AnyWorker, batch: _InputBatch, result: Result) -> None:
        """Keep a failure, with what the worker wrote of its cause."""
        worker.drain()
        cause = _cause(batch.lines)
        self._keep(replace(result, message=f"{result.message}: {cause}") if cause else result)


def _take(inputs: Iterator[Input], most: int) -> list[Input]:
    return [one for _, one in zip(range(most), inputs)]


def _message(response: Response) -> str:
    """What an error of TorchServe's frontend says, or that the answer is not whole; "" for another body."""
    if not response.complete:
        return "The answer broke off"
    try:
        error = json.loads(response.body)
    except ValueError:
        return response.reason if not response.ok else ""
    message = error.get("message") if isinstance(error, Mapping) else None
    return message if isinstance(message, str) else ""


def _cause(lines: Sequence[str]) -> str:
    """The last line of the last traceback; "" where there is none."""
    traceback, cause = False, ""
    for line in lines:
        if line.startswith("Traceback (most recent call last)"):
            traceback = True
        elif traceback and not line.startswith(" ") and _RAISED.fullmatch(line):
            traceback, cause = False, line
    return cause


def _environment(workers: int, gpu: bool) -> dict[str, str] | None:
    """Several workers share the processors: each with as many threads as there are would wait for the others."""
    if workers == 1 or gpu or "OMP_NUM_THREADS" in os.environ:
        return None
    return {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers))}
