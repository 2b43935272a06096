"""The job queue of sequences on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from handlerkit.serving.models.job_queue import Limits
from handlerkit.serving.models.sequence_queue import SequenceLimits, SequenceQueue

_LONG, _SHORT = 60.0, 0.01


class Job(NamedTuple):
    sequence: str
    number: int = 0
    describe: bool = False


Queue = SequenceQueue[Job, str]
Sent = list[tuple[str, list[Job]]]


def run(
    do: Callable[[Queue, Sent], Awaitable[Any]],
    batch_size: int = 2,
    delay: float = _LONG,
    sequences: int = 10,
    size: int = 10,
    idle: float = _LONG,
    workers: str = "A",
) -> Sent:
    """What workers got."""
    sent: Sent = []

    async def main() -> None:
        limits = Limits(batch_size, delay, 0)
        queue: Queue = SequenceQueue(
            limits, SequenceLimits(sequences, size, idle), list(workers), lambda *one: sent.append(one)
        )
        await do(queue, sent)
        queue.take_all()

    asyncio.run(main())
    return sent


def test_jobs_of_one_sequence_are_never_in_one_batch() -> None:
    async def do(queue: Queue, sent: Sent) -> None:
        queue.offer("A")
        for number in (1, 2):
            assert queue.put(Job("a", number))
        assert sent == []  # a batch of two waits for another sequence
        assert queue.put(Job("b"))

    assert run(do) == [("A", [Job("a", 1), Job("b")])]


def test_the_next_job_of_a_sequence_follows_when_the_batch_is_answered() -> None:
    async def do(queue: Queue, sent: Sent) -> None:
        queue.offer("A")
        for number in (1, 2):
            queue.put(Job("a", number))
        assert len(sent) == 1
        queue.offer("A")

    assert run(do, batch_size=1) == [("A", [Job("a", 1)]), ("A", [Job("a", 2)])]


def test_a_batch_that_is_not_full_leaves_when_the_delay_is_over() -> None:
    async def do(queue: Queue, sent: Sent) -> None:
        queue.offer("A")
        queue.put(Job("a"))
        while not sent:
            await asyncio.sleep(_SHORT)

    assert run(do, delay=_SHORT) == [("A", [Job("a")])]


def test_a_sequence_stays_with_its_worker() -> None:
    async def do(queue: Queue, sent: Sent) -> None:
        for worker in "AB":
            queue.offer(worker)
        for sequence in "abc":
            queue.put(Job(sequence))
        queue.offer("B")
        queue.put(Job("a", 2))
        assert sent[-1] == ("B", [Job("b")])  # B is idle, and a is A's
        queue.offer("A")
        queue.offer("A")

    expected = [("A", [Job("a")]), ("B", [Job("b")]), ("A", [Job("c")]), ("A", [Job("a", 2)])]
    assert run(do, batch_size=1, workers="AB") == expected


def test_no_more_sequences_open_than_there_may_be() -> None:
    async def do(queue: Queue, sent: Sent) -> None:
        assert queue.put(Job("a"))
        assert queue.put(Job("b"))
        assert not queue.put(Job("c"))
        assert queue.put(Job("a", 2))

    run(do, sequences=2)


def test_no_more_jobs_wait_in_a_sequence_than_may() -> None:
    async def do(queue: Queue, sent: Sent) -> None:
        assert queue.put(Job("a", 1))  # waits for the worker, not in its sequence
        assert queue.put(Job("a", 2))
        assert not queue.put(Job("a", 3))
        assert len(queue) == 2

    run(do, size=1)


def test_a_sequence_that_is_idle_for_too_long_makes_room() -> None:
    async def do(queue: Queue, sent: Sent) -> None:
        queue.offer("A")
        queue.put(Job("a"))
        assert not queue.put(Job("b"))  # a runs
        queue.offer("A")
        while not queue.put(Job("b")):
            await asyncio.sleep(_SHORT)

    assert run(do, batch_size=1, sequences=1, idle=_SHORT) == [("A", [Job("a")]), ("A", [Job("b")])]


def test_a_description_is_alone_and_goes_to_any_worker() -> None:
    async def do(queue: Queue, sent: Sent) -> None:
        queue.put(Job("a"))
        queue.offer("B")
        queue.put(Job("", describe=True))
        assert sent == [("B", [Job("", describe=True)])]

    run(do, workers="AB")


def test_the_sequences_of_a_worker_that_died_wait_for_it() -> None:
    async def do(queue: Queue, sent: Sent) -> None:
        queue.offer("A")
        queue.put(Job("a", 1))
        queue.put(Job("a", 2))
        queue.withdraw("A")
        assert len(queue) == 1
        queue.offer("A")

    assert run(do, batch_size=1) == [("A", [Job("a", 1)]), ("A", [Job("a", 2)])]


def test_a_batch_for_nobody_and_all_that_waits() -> None:
    async def do(queue: Queue, sent: Sent) -> None:
        for job in (Job("a", 1), Job("a", 2), Job("b"), Job("", describe=True)):
            queue.put(job)
        assert queue.take() == [Job("a", 1), Job("b")]
        assert queue.take_all() == [Job("", describe=True), Job("a", 2)]
        assert len(queue) == 0

    run(do)
