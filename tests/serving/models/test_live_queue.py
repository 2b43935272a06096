"""The job queue on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from handlerkit.serving.models.job_queue import Limits
from handlerkit.serving.models.live_queue import LiveQueue


@dataclass(frozen=True)
class Job:
    number: int
    describe: bool = False


@dataclass
class Sent:
    """What workers got: pairs of a worker and the numbers of its jobs."""

    batches: list[tuple[str, list[int]]] = field(default_factory=list)

    def __call__(self, worker: str, jobs: list[Job]) -> None:
        self.batches.append((worker, [job.number for job in jobs]))


def run(limits: Limits, do: Callable[[LiveQueue[Job, str]], Awaitable[Any]]) -> list[tuple[str, list[int]]]:
    sent = Sent()

    async def main() -> None:
        await do(LiveQueue(limits, sent))

    asyncio.run(main())
    return sent.batches


def test_a_lone_job_leaves_at_once_where_batches_hold_one() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        queue.offer("a")
        assert queue.put(Job(0))

    assert run(Limits(1, 10.0, 100), do) == [("a", [0])]


def test_a_full_batch_leaves_before_the_delay_is_over() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        queue.offer("a")
        assert queue.put(Job(0))
        assert queue.put(Job(1))

    assert run(Limits(2, 60.0, 100), do) == [("a", [0, 1])]


def test_a_batch_that_is_not_full_leaves_when_the_delay_is_over() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        queue.offer("a")
        queue.put(Job(0))
        await asyncio.sleep(0.01)
        queue.put(Job(1))
        assert len(queue) == 2
        await asyncio.sleep(0.2)

    assert run(Limits(3, 0.1, 100), do) == [("a", [0, 1])]


def test_jobs_that_wait_fill_the_next_batch_at_once() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        for number in range(5):
            queue.put(Job(number))
        queue.offer("a")
        queue.offer("b")
        queue.withdraw("b")  # while the last one forms a batch
        queue.offer("b")
        await asyncio.sleep(0.1)

    assert run(Limits(2, 0.05, 100), do)[:2] == [("a", [0, 1]), ("b", [2, 3])]


def test_a_description_is_alone_and_closes_the_batch_before_it() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        queue.offer("a")
        queue.put(Job(0))
        queue.put(Job(1, describe=True))
        queue.put(Job(2))
        queue.offer("b")
        queue.offer("c")
        await asyncio.sleep(0.1)

    assert run(Limits(4, 0.05, 100), do) == [("a", [0]), ("b", [1]), ("c", [2])]


def test_a_full_queue_refuses() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        assert [queue.put(Job(number)) for number in range(3)] == [True, True, False]
        queue.offer("a")
        assert queue.put(Job(3))

    assert run(Limits(1, 0.0, 2), do) == [("a", [0])]


def test_with_tickets_a_job_needs_an_idle_worker() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        assert not queue.put(Job(0))
        queue.offer("a")
        queue.offer("b")
        assert [queue.put(Job(number)) for number in (1, 2, 3)] == [True, True, False]

    assert run(Limits(1, 0.0, 100, ticket=True), do) == [("a", [1]), ("b", [2])]


def test_a_withdrawn_worker_gets_nothing() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        queue.offer("a")
        queue.offer("a")
        queue.withdraw("a")
        queue.put(Job(0))
        queue.offer("b")

    assert run(Limits(1, 0.0, 100), do) == [("b", [0])]


def test_a_batch_whose_worker_is_withdrawn_while_it_forms_goes_to_the_next() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        queue.offer("a")
        queue.put(Job(0))
        queue.withdraw("a")
        await asyncio.sleep(0.1)
        queue.offer("b")
        await asyncio.sleep(0.1)

    assert run(Limits(2, 0.03, 100), do) == [("b", [0])]


def test_jobs_that_were_sent_ahead_count_as_waiting() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        queue.offer("a")
        queue.offer("a")
        queue.put(Job(0))
        queue.put(Job(1))
        queue.ahead = 1
        assert (queue.put(Job(2)), queue.put(Job(3)), len(queue)) == (True, False, 2)

    assert run(Limits(1, 0.0, 2), do) == [("a", [0]), ("a", [1])]


def test_jobs_that_come_back_are_the_next() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        queue.put(Job(3))
        queue.put_back([Job(1), Job(2)])
        for _ in range(3):
            queue.offer("a")

    assert run(Limits(1, 0.0, 100), do) == [("a", [1]), ("a", [2]), ("a", [3])]


def test_take_gives_the_next_batch_and_no_more() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        for number in range(3):
            queue.put(Job(number))
        assert [job.number for job in queue.take()] == [0, 1]
        assert [job.number for job in queue.take_all()] == [2]
        assert queue.take() == []
        assert len(queue) == 0

    assert run(Limits(2, 0.03, 100), do) == []


def test_every_job_reaches_a_worker_once_and_in_order() -> None:
    async def do(queue: LiveQueue[Job, str]) -> None:
        for number in range(50):
            queue.put(Job(number, describe=number % 7 == 3))
            if number % 3 == 0:
                queue.offer(f"w{number}")
            await asyncio.sleep(0.001)
        for number in range(50):
            queue.offer(f"x{number}")
        await asyncio.sleep(0.05)

    batches = run(Limits(4, 0.004, 100), do)
    assert [number for _, numbers in batches for number in numbers] == [*range(50)]
    assert all(len(numbers) == 1 for _, numbers in batches if any(number % 7 == 3 for number in numbers))
