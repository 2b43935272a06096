"""How requests become batches: the job queue of a TorchServe model with one worker.

The worker takes the first job at once and waits up to max_batch_delay for more, until the batch is full. A describe
job is always alone, and closes a batch that is forming. A full queue refuses jobs (pollBatch and addJob of
org.pytorch.serve.wlm.Model).
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from ..documents.describe_model import Registered

#: Seconds between requests that arrive together, as a client sends them one after the other.
ARRIVAL_INTERVAL = 0.005


class QueuedJob(Protocol):
    @property
    def describe(self) -> bool: ...


J = TypeVar("J", bound=QueuedJob)
A = TypeVar("A")


@dataclass(frozen=True)
class Limits:
    """batch_size in jobs, delay in seconds, size of the queue in jobs. With `ticket` (useJobTicket) no job waits: one
    that finds the worker busy is refused."""

    batch_size: int
    delay: float
    size: int
    ticket: bool = False

    @classmethod
    def of(cls, registered: Registered) -> Limits:
        """Those of a registered model."""
        ticket = bool(registered.settings.get("useJobTicket"))
        return cls(registered.batch_size, registered.max_batch_delay / 1000, registered.job_queue_size, ticket)


def is_complete(batch: list[J], waiting: deque[J], most: int, is_late: Callable[[], bool]) -> bool:
    """Take what waits into a batch that forms, and say whether it takes no more: it holds `most` jobs, a describe job
    is in it or would be the next, or it is late."""
    while len(batch) < most and not batch[0].describe:
        if not waiting:
            return is_late()
        if waiting[0].describe:
            return True
        batch.append(waiting.popleft())
        if is_late():
            return True
    return True


@dataclass(eq=False)
class _Ticket(Generic[J, A]):
    """A job in the queue; `answers` holds its answer once there is one."""

    job: J
    answers: list[A] = field(default_factory=list)

    @property
    def describe(self) -> bool:
        return self.job.describe


class _JobQueue(ABC, Generic[J, A]):
    """The rules of the queue, whatever its clock is."""

    def __init__(self, limits: Limits, run: Callable[[list[J]], list[A]], refuse: Callable[[J], A]) -> None:
        self._limits = limits
        self._run = run
        self._refuse = refuse
        self._waiting: deque[_Ticket[J, A]] = deque()

    @abstractmethod
    def _now(self) -> float:
        """The time on the queue's clock, in seconds."""

    @abstractmethod
    def _wait(self, until: float) -> None:
        """Return when a job waits, or at that time."""

    def _is_full(self, *, busy: bool) -> bool:
        """Whether a job that arrives now is refused; `busy`: the worker has not answered its last batch."""
        limits = self._limits
        return len(self._waiting) >= limits.size or (limits.ticket and (busy or bool(self._waiting)))

    def _fill(self, batch: list[_Ticket[J, A]]) -> None:
        """Take the jobs of one batch; at least one waits."""
        batch.append(self._waiting.popleft())
        end = self._now() + self._limits.delay
        while not is_complete(batch, self._waiting, self._limits.batch_size, lambda: self._now() >= end):
            self._wait(end)

    def _answer(self, batch: Sequence[_Ticket[J, A]]) -> None:
        answers = self._run([ticket.job for ticket in batch])
        for ticket, answer in zip(batch, answers):
            ticket.answers.append(answer)


def simulate_arrivals(
    jobs: Sequence[J], limits: Limits, run: Callable[[list[J]], list[A]], refuse: Callable[[J], A]
) -> list[A]:
    """The answers to jobs that arrive ARRIVAL_INTERVAL apart, in their order, while `run` takes the time it takes.

    Nothing waits, since the clock is simulated: an open window costs no time, and the queue overflows only if a worker
    as slow as this one would let it.
    """
    if len(jobs) == 1:
        return run([jobs[0]])
    return _Simulation(limits, run, refuse).answers(jobs)


class _Simulation(_JobQueue[J, A]):
    """The queue on a simulated clock, which starts at 0 and is moved on."""

    def __init__(self, limits: Limits, run: Callable[[list[J]], list[A]], refuse: Callable[[J], A]) -> None:
        super().__init__(limits, run, refuse)
        self._arriving: deque[tuple[float, _Ticket[J, A]]] = deque()
        self._time = 0.0
        self._free = 0.0  # when the worker answers, or answered, its last batch

    def answers(self, jobs: Sequence[J]) -> list[A]:
        """The answers to jobs that arrive ARRIVAL_INTERVAL apart."""
        tickets = [_Ticket[J, A](job) for job in jobs]
        self._arriving.extend((number * ARRIVAL_INTERVAL, ticket) for number, ticket in enumerate(tickets))
        while self._waiting or self._arriving:
            if not self._waiting:
                self._move(self._arriving[0][0])
                continue
            batch: list[_Ticket[J, A]] = []
            self._fill(batch)
            begun = time.perf_counter()
            self._answer(batch)
            self._free = self._time + time.perf_counter() - begun
            self._move(self._free)
        return [ticket.answers[0] for ticket in tickets]

    def _now(self) -> float:
        return self._time

    def _wait(self, until: float) -> None:
        while not self._waiting and self._arriving and self._arriving[0][0] <= until:
            self._move(self._arriving[0][0])
        if not self._waiting:
            self._move(until)

    def _move(self, to: float) -> None:
        """Let time pass, and the jobs arrive that come until then."""
        self._time = max(self._time, to)
        while self._arriving and self._arriving[0][0] <= self._time:
            arrival, ticket = self._arriving.popleft()
            if self._is_full(busy=arrival < self._free):
                ticket.answers.append(self._refuse(ticket.job))
            else:
                self._waiting.append(ticket)


class Queue(_JobQueue[J, A]):
    """The queue in real time, for `send` from several threads.

    It has no thread of its own: the first sender forms the batch and runs it, the others wait for it.
    """

    def __init__(self, limits: Limits, run: Callable[[list[J]], list[A]], refuse: Callable[[J], A]) -> None:
        super().__init__(limits, run, refuse)
        self._changed = threading.Condition()
        self._busy = False

    def send(self, job: J) -> A:
        """The answer to one job; blocks until its batch is done.

        What `run` raises reaches the sender that ran it; the others of its batch try again.
        """
        ticket = _Ticket[J, A](job)
        with self._changed:
            if self._is_full(busy=self._busy):
                return self._refuse(job)
            self._waiting.append(ticket)
            self._changed.notify_all()
            try:
                while not ticket.answers:
                    if self._busy:
                        self._changed.wait()
                    else:
                        self._lead(ticket)
            except BaseException:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                raise
        return ticket.answers[0]

    def _lead(self, mine: _Ticket[J, A]) -> None:
        """Form one batch and run it; the lock is released while waiting and running."""
        self._busy = True
        batch: list[_Ticket[J, A]] = []
        try:
            self._fill(batch)
            with _released(self._changed):
                self._answer(batch)
        except BaseException:
            self._waiting.extendleft(ticket for ticket in reversed(batch) if ticket is not mine)
            raise
        finally:
            self._busy = False
            self._changed.notify_all()

    def _now(self) -> float:
        return time.monotonic()

    def _wait(self, until: float) -> None:
        while not self._waiting and (left := until - time.monotonic()) > 0:
            self._changed.wait(left)


class _released:
    """Releases a condition's lock for the time of a with block."""

    def __init__(self, condition: threading.Condition) -> None:
        self._condition = condition

    def __enter__(self) -> None:
        self._condition.release()

    def __exit__(self, *_: object) -> None:
        self._condition.acquire()
