"""The job queue of a model with sequenceBatching: what belongs to one sequence goes to one worker, one job at a time.

A sequence opens with its first job, and takes a place among maxNumSequence until it has been idle for
sequenceMaxIdleMSec; the end that a client announces is for the handler alone. A batch holds a job of each of several
sequences (org.pytorch.serve.wlm.SequenceBatching). Which worker gets a sequence, and which sequences meet in a batch,
depends on threads there; here a sequence goes to the worker that has the fewest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .job_queue import Limits, QueuedJob


class _SequenceJob(QueuedJob, Protocol):
    @property
    def sequence(self) -> str: ...


J = TypeVar("J", bound=_SequenceJob)
W = TypeVar("W")


@dataclass(frozen=True)
class SequenceLimits:
    """sequences that are open at once, jobs that wait in each, and seconds after which an idle one closes."""

    sequences: int
    size: int
    idle: float


class _Sequence(Generic[J, W]):
    """An open sequence. `taken`: one of its jobs is in a batch, or waits for the next one."""

    def __init__(self, worker: _WorkerQueue[J, W]) -> None:
        self.worker = worker
        self.waiting: deque[J] = deque()
        self.taken = False
        self.closes: asyncio.TimerHandle | None = None


class _WorkerQueue(Generic[J, W]):
    """A worker with what waits for it: a job of each of its sequences at most."""

    def __init__(self) -> None:
        self.idle: W | None = None
        self.ready: deque[J] = deque()
        self.sent: list[J] = []
        self.until: float | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.sequences = 0


class SequenceQueue(Generic[J, W]):
    """As LiveQueue, for jobs of sequences. `send` hands a batch to a worker.

    Attributes:
        limits: the batches'; its size is not used.
    """

    ahead = 0

    def __init__(
        self, limits: Limits, sequences: SequenceLimits, workers: Sequence[W], send: Callable[[W, list[J]], None]
    ) -> None:
        self.limits = limits
        self._sequence_limits = sequences
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._workers: dict[W, _WorkerQueue[J, W]] = {worker: _WorkerQueue() for worker in workers}
        self._open: dict[str, _Sequence[J, W]] = {}
        #: Jobs of no sequence: descriptions.
        self._alone: deque[J] = deque()

    def __len__(self) -> int:
        ready = sum(len(worker.ready) for worker in self._workers.values())
        return len(self._alone) + ready + sum(len(one.waiting) for one in self._open.values())

    def put(self, job: J) -> bool:
        """Queue a job; False for one of a sequence that has too many, or that would be one too many."""
        if job.describe:
            self._alone.append(job)
            self._form_all()
            return True
        sequence = self._open.get(job.sequence)
        if sequence is None:
            if len(self._open) >= self._sequence_limits.sequences:
                return False
            worker = min(self._workers.values(), key=lambda one: one.sequences)
            worker.sequences += 1
            sequence = self._open[job.sequence] = _Sequence(worker)
        if len(sequence.waiting) >= self._sequence_limits.size:
            return False
        sequence.waiting.append(job)
        if not sequence.taken:
            self._take_next(job.sequence)
            self._form(sequence.worker)
        return True

    def put_back(self, jobs: Iterable[J]) -> None:
        """Jobs that were sent and not begun: here none are."""

    def offer(self, worker: W) -> None:
        """A worker can take a batch; of the sequences in its last one, the next jobs may follow."""
        state = self._workers[worker]
        state.idle = worker
        self._release(state)
        self._form(state)

    def withdraw(self, worker: W) -> None:
        """A worker can take no batch after all; its sequences wait for it."""
        state = self._workers[worker]
        state.idle = None
        self._release(state)

    def take(self) -> list[J]:
        """The next batch as it is now, which no worker gets."""
        state = max(self._workers.values(), key=lambda one: len(one.ready))
        batch = self._batch(state)
        state.sent = batch
        self._release(state)
        return batch

    def take_all(self) -> list[J]:
        """All jobs that wait."""
        jobs = [*self._alone]
        for state in self._workers.values():
            jobs += state.ready
            state.ready.clear()
            self._stop_timer(state)
        for sequence in self._open.values():
            jobs += sequence.waiting
            if sequence.closes is not None:
                sequence.closes.cancel()
        self._alone.clear()
        self._open.clear()
        return jobs

    def _take_next(self, name: str) -> None:
        """The next job of a sequence goes to its worker; without one, it closes when it has been idle for too long."""
        sequence = self._open[name]
        if sequence.closes is not None:
            sequence.closes.cancel()
            sequence.closes = None
        if sequence.waiting:
            sequence.taken = True
            sequence.worker.ready.append(sequence.waiting.popleft())
        else:
            sequence.closes = self._loop.call_later(self._sequence_limits.idle, self._close, name)

    def _close(self, name: str) -> None:
        self._open.pop(name).worker.sequences -= 1

    def _release(self, state: _WorkerQueue[J, W]) -> None:
        """The jobs of its last batch are over."""
        sent, state.sent = state.sent, []
        for job in sent:
            if not job.describe and (sequence := self._open.get(job.sequence)) is not None:
                sequence.taken = False
                self._take_next(job.sequence)

    def _form_all(self) -> None:
        for state in self._workers.values():
            self._form(state)

    def _form(self, state: _WorkerQueue[J, W]) -> None:
        """Give a worker a batch that is full or has waited for long enough, or wait."""
        if state.idle is None:
            return
        if self._alone:
            self._give(state, [self._alone.popleft()])
        elif state.ready:
            now = self._loop.time()
            if state.until is None:
                state.until = now + self.limits.delay if self.limits.batch_size > 1 else now
            if len(state.ready) >= self.limits.batch_size or now >= state.until:
                self._give(state, self._batch(state))
            elif state.timer is None:
                state.timer = self._loop.call_at(state.until, self._late, state)

    def _late(self, state: _WorkerQueue[J, W]) -> None:
        state.timer = None
        state.until = 0.0
        self._form(state)

    def _batch(self, state: _WorkerQueue[J, W]) -> list[J]:
        self._stop_timer(state)
        return [state.ready.popleft() for _ in range(min(len(state.ready), self.limits.batch_size))]

    def _give(self, state: _WorkerQueue[J, W], batch: list[J]) -> None:
        worker, state.idle = state.idle, None
        assert worker is not None
        state.sent = batch
        self._send(worker, batch)

    def _stop_timer(self, state: _WorkerQueue[J, W]) -> None:
        state.until = None
        if state.timer is not None:
            state.timer.cancel()
            state.timer = None
