"""The job queue of a model with several workers, on an event loop: job_queue's window in real time.

The first idle worker forms a batch; the others wait until it has one. What `send` gets is its own from then on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from .job_queue import Limits, QueuedJob, is_complete

J = TypeVar("J", bound=QueuedJob)
W = TypeVar("W")


class LiveQueue(Generic[J, W]):
    """Jobs that wait, and workers that wait for jobs. `send` hands a batch to a worker.

    Attributes:
        limits: may be changed; a batch that forms keeps its time.
        ahead: how many jobs were sent before their worker can begin them, which count as waiting.
    """

    def __init__(self, limits: Limits, send: Callable[[W, list[J]], None]) -> None:
        self.limits = limits
        self._send = send
        self.ahead = 0
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[J] = deque()
        self._idle: deque[W] = deque()
        self._forming: list[J] = []
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting) + len(self._forming) + self.ahead

    def put(self, job: J) -> bool:
        """Queue a job; False where the queue is full."""
        limits = self.limits
        if len(self._waiting) + self.ahead >= limits.size:
            return False
        if limits.ticket and len(self._waiting) >= len(self._idle) - bool(self._forming):
            return False
        self._waiting.append(job)
        self._form()
        return True

    def put_back(self, jobs: Iterable[J]) -> None:
        """Jobs that were sent and not begun, in their order: they are the next."""
        self._waiting.extendleft(reversed([*jobs]))
        self._form()

    def offer(self, worker: W) -> None:
        """A worker can take a batch; it may be offered again before it has had one."""
        self._idle.append(worker)
        self._form()

    def withdraw(self, worker: W) -> None:
        """A worker can take no batch after all, however often it was offered."""
        self._idle = deque(one for one in self._idle if one != worker)

    def take(self) -> list[J]:
        """The next batch as it is now, which no worker gets; the one that forms comes first."""
        batch = self._forming
        self._close()
        while self._waiting and len(batch) < self.limits.batch_size:
            if batch and (batch[0].describe or self._waiting[0].describe):
                break
            batch.append(self._waiting.popleft())
        return batch

    def take_all(self) -> list[J]:
        """All jobs that wait."""
        jobs = [*self._forming, *self._waiting]
        self._close()
        self._waiting.clear()
        return jobs

    def _form(self) -> None:
        """Hand over as many batches as there are, and wait for more jobs where one is not full."""
        while self._idle and (self._forming or self._waiting):
            if not self._forming:
                self._forming.append(self._waiting.popleft())
                self._until = self._loop.time() + self.limits.delay if self.limits.batch_size > 1 else 0.0
            if not is_complete(
                self._forming, self._waiting, self.limits.batch_size, lambda: self._loop.time() >= self._until
            ):
                if self._timer is None:
                    self._timer = self._loop.call_at(self._until, self._late)
                return
            batch = self._forming
            self._close()
            self._send(self._idle.popleft(), batch)

    def _late(self) -> None:
        self._timer = None
        self._until = 0.0
        self._form()

    def _close(self) -> None:
        self._forming = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
