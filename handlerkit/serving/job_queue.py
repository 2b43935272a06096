"""How requests become batches: the job queue of a TorchServe model with one worker.

The worker takes the first job at once and waits up to max_batch_delay for more, until the batch is full. A describe
job is always alone, and closes a batch that is forming. A queue that is full refuses (org.pytorch.serve.wlm.Model's
pollBatch and addJob).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

#: Seconds between requests that arrive together, as a client sends them one after the other.
ARRIVAL_INTERVAL = 0.005


class _Job(Protocol):
    @property
    def describe(self) -> bool: ...


J = TypeVar("J", bound=_Job)
A = TypeVar("A")


@dataclass(frozen=True)
class Limits:
    """batch_size in jobs, delay in seconds, size of the queue in jobs. With `ticket` (useJobTicket) nothing waits: a
    job that finds the worker busy is refused."""

    batch_size: int
    delay: float
    size: int
    ticket: bool = False


def simulate_arrivals(
    jobs: Sequence[J], limits: Limits, run: Callable[[list[J]], list[A]], refuse: Callable[[J], A]
) -> list[A]:
    """The answers to jobs that arrive ARRIVAL_INTERVAL apart, in their order, while `run` takes the time it takes.

    Nobody waits: the clock is a reckoned one, so a window that stays open costs nothing, and a queue overflows only
    where a worker as slow as this one would let it.
    """
    if len(jobs) == 1:
        return run([jobs[0]])
    answers: dict[int, A] = {}
    coming = deque((index * ARRIVAL_INTERVAL, index) for index in range(len(jobs)))
    waiting: deque[int] = deque()
    now = free = 0.0

    def arrive(until: float) -> None:
        while coming and coming[0][0] <= until:
            at, index = coming.popleft()
            if len(waiting) < limits.size and not (limits.ticket and (at < free or waiting)):
                waiting.append(index)
            else:
                answers[index] = refuse(jobs[index])

    while True:
        arrive(now)
        if not waiting:
            if not coming:
                return [answers[index] for index in range(len(jobs))]
            now = coming[0][0]
            continue
        batch = [waiting.popleft()]
        left = limits.delay
        while len(batch) < limits.batch_size and not jobs[batch[0]].describe:
            begun = now
            if not waiting and coming and coming[0][0] <= now + max(left, 0.0):
                now = coming[0][0]
                arrive(now)
            if not waiting:
                now += max(left, 0.0)
                break
            if jobs[waiting[0]].describe:
                break
            batch.append(waiting.popleft())
            left -= now - begun
            if left <= 0:
                break
        begun = time.perf_counter()
        answers.update(zip(batch, run([jobs[index] for index in batch])))
        now = free = now + time.perf_counter() - begun


@dataclass(eq=False)
class _Ticket(Generic[J, A]):
    job: J
    answers: list[A] = field(default_factory=list)
    error: BaseException | None = None
    done: bool = False


class Queue(Generic[J, A]):
    """The same window in real time, for `send` from several threads.

    There is no thread of its own: the first sender forms the batch and runs it, the others wait for it.
    """

    def __init__(self, limits: Limits, run: Callable[[list[J]], list[A]], refuse: Callable[[J], A]) -> None:
        self._limits = limits
        self._run = run
        self._refuse = refuse
        self._waiting: deque[_Ticket[J, A]] = deque()
        self._changed = threading.Condition()
        self._busy = False

    def send(self, job: J) -> A:
        """The answer to one job; blocks until its batch is done. What `run` raises reaches the sender that ran it; the
        others of its batch try again."""
        ticket = _Ticket[J, A](job)
        with self._changed:
            limits = self._limits
            if len(self._waiting) >= limits.size or (limits.ticket and (self._busy or self._waiting)):
                return self._refuse(job)
            self._waiting.append(ticket)
            self._changed.notify_all()
            try:
                while not ticket.done:
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
        self._busy = True
        try:
            self._work(mine)
        finally:
            self._busy = False
            self._changed.notify_all()

    def _work(self, mine: _Ticket[J, A]) -> None:
        """Form one batch and run it; the lock is held but while waiting and running."""
        batch = list(self._window())
        try:
            with _released(self._changed):
                answers = self._run([ticket.job for ticket in batch])
        except BaseException:
            self._waiting.extendleft(ticket for ticket in reversed(batch) if ticket is not mine)
            raise
        for ticket, answer in zip(batch, answers):
            ticket.answers, ticket.done = [answer], True

    def _window(self) -> Iterator[_Ticket[J, A]]:
        limits = self._limits
        first = self._waiting.popleft()
        yield first
        count, end = 1, time.monotonic() + limits.delay
        while count < limits.batch_size and not first.job.describe:
            while not self._waiting and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            if not self._waiting or self._waiting[0].job.describe:
                return
            yield self._waiting.popleft()
            count += 1
            if time.monotonic() >= end:
                return


class _released:
    """Lets others have a condition's lock for a while."""

    def __init__(self, condition: threading.Condition) -> None:
        self._condition = condition

    def __enter__(self) -> None:
        self._condition.release()

    def __exit__(self, *_: object) -> None:
        self._condition.acquire()
