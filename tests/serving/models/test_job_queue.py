"""Batches as TorchServe's job queue forms them, on a simulated clock and in real time."""

from __future__ import annotations

import signal
import threading
import time
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlerkit.serving.models.job_queue import ARRIVAL_INTERVAL, Limits, Queue, simulate_arrivals


class Job(NamedTuple):
    name: int
    describe: bool = False


def batches(jobs: list[Job], limits: Limits, seconds: float = 0.0) -> tuple[list[list[int]], list[str]]:
    """The batches that were run, and the answers."""
    run: list[list[int]] = []

    def call(batch: list[Job]) -> list[str]:
        run.append([job.name for job in batch])
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        return [f"answer {job.name}" for job in batch]

    return run, simulate_arrivals(jobs, limits, call, lambda job: f"refused {job.name}")


def some(count: int) -> list[Job]:
    return [Job(number) for number in range(count)]


def test_a_batch_is_full_at_its_size() -> None:
    run, answers = batches(some(5), Limits(2, 0.1, 100))
    assert run == [[0, 1], [2, 3], [4]]
    assert answers == [f"answer {number}" for number in range(5)]


def test_one_at_a_time_without_batching() -> None:
    assert batches(some(3), Limits(1, 0.1, 100))[0] == [[0], [1], [2]]


def test_what_comes_after_the_delay_is_another_batch() -> None:
    assert batches(some(4), Limits(4, ARRIVAL_INTERVAL * 1.5, 100))[0] == [[0, 1], [2, 3]]


def test_without_delay_a_second_job_that_waits_is_taken_and_no_third() -> None:
    assert batches(some(6), Limits(6, 0.0, 100), seconds=ARRIVAL_INTERVAL * 10)[0] == [[0], [1, 2], [3, 4], [5]]


def test_a_simulated_window_takes_no_time() -> None:
    an_hour = 3600.0
    assert batches(some(1), Limits(8, an_hour, 100))[0] == [[0]]


def test_describe_is_alone_and_closes_the_batch_before_it() -> None:
    jobs = [Job(0), Job(1, describe=True), Job(2), Job(3)]
    assert batches(jobs, Limits(4, 0.1, 100))[0] == [[0], [1], [2, 3]]


def test_a_full_queue_refuses() -> None:
    run, answers = batches(some(6), Limits(1, 0.0, 2), seconds=ARRIVAL_INTERVAL * 20)
    assert run == [[0], [1], [2]]
    assert answers[3:] == ["refused 3", "refused 4", "refused 5"]


def test_a_quick_worker_never_lets_the_queue_fill() -> None:
    assert len(batches(some(300), Limits(1, 0.0, 2))[0]) == 300


def test_with_tickets_a_busy_worker_refuses() -> None:
    run, answers = batches(some(3), Limits(1, 0.1, 100, ticket=True), seconds=ARRIVAL_INTERVAL * 20)
    assert run == [[0]]
    assert answers == ["answer 0", "refused 1", "refused 2"]


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 5), st.sampled_from([0.0, ARRIVAL_INTERVAL, 0.1]))
def test_every_job_is_answered_once_and_in_order(describes: list[bool], size: int, delay: float) -> None:
    jobs = [Job(number, describe) for number, describe in enumerate(describes)]
    run, answers = batches(jobs, Limits(size, delay, 100))
    assert [name for batch in run for name in batch] == list(range(len(jobs)))
    assert answers == [f"answer {number}" for number in range(len(jobs))]
    assert all(len(batch) == 1 for batch in run if any(jobs[name].describe for name in batch))


def batches_in_real_time(jobs: list[Job], limits: Limits) -> tuple[list[list[int]], list[str]]:
    """The same of a Queue, to which the jobs come one after the other while it runs the first batch."""
    run: list[list[int]] = []
    answers: dict[int, str] = {}
    all_wait = threading.Event()

    def call(batch: list[Job]) -> list[str]:
        run.append([job.name for job in batch])
        assert all_wait.wait(10)
        return [f"answer {job.name}" for job in batch]

    queue = Queue(limits, call, lambda job: f"refused {job.name}")
    threads = [threading.Thread(target=lambda job=job: answers.update({job.name: queue.send(job)})) for job in jobs]
    for number, thread in enumerate(threads):
        thread.start()
        while len(answers) + len(queue._waiting) < number or not run:
            time.sleep(0)
    all_wait.set()
    for thread in threads:
        thread.join(10)
    return run, [answers[job.name] for job in jobs]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.booleans(), max_size=8),
    st.integers(1, 4),
    st.sampled_from([0.0, 60.0]),
    st.integers(1, 9),
    st.booleans(),
)
def test_both_clocks_follow_one_rule(describes: list[bool], size: int, delay: float, room: int, ticket: bool) -> None:
    """The first job takes until all others have come; the last one closes a window that would stay open."""
    jobs = [Job(number, describe) for number, describe in enumerate([True, *describes, True])]
    limits = Limits(size, delay, room, ticket)
    if delay and room < len(jobs) - 1:  # the closing one would be refused
        limits = Limits(1, delay, room, ticket)
    simulated = batches(jobs, limits, seconds=ARRIVAL_INTERVAL * (len(jobs) + 1))
    assert batches_in_real_time(jobs, limits) == simulated


def send_all(queue: Queue[Job, str], count: int, apart: float = 0.02) -> dict[int, str]:
    answers: dict[int, str] = {}
    threads = []
    for number in range(count):
        threads.append(
            threading.Thread(target=lambda job: answers.update({job.name: queue.send(job)}), args=(Job(number),))
        )
        threads[-1].start()
        time.sleep(apart)
    for thread in threads:
        thread.join(10)
    return answers


def test_threads_meet_in_one_window() -> None:
    run: list[list[int]] = []

    def call(batch: list[Job]) -> list[str]:
        run.append([job.name for job in batch])
        return [f"answer {job.name}" for job in batch]

    answers = send_all(Queue(Limits(4, 2.0, 100), call, lambda job: "refused"), 4)
    assert run == [[0, 1, 2, 3]]
    assert answers == {number: f"answer {number}" for number in range(4)}


def test_a_lone_sender_waits_for_the_window() -> None:
    queue = Queue(Limits(2, 0.2, 100), lambda batch: ["answer"] * len(batch), lambda job: "refused")
    begun = time.perf_counter()
    assert queue.send(Job(0)) == "answer"
    assert time.perf_counter() - begun >= 0.19


def test_threads_are_refused_by_a_full_queue() -> None:
    def call(batch: list[Job]) -> list[str]:
        time.sleep(0.5)
        return ["answer"] * len(batch)

    answers = send_all(Queue(Limits(1, 0.0, 1), call, lambda job: "refused"), 4)
    assert sorted(answers.values()) == ["answer", "answer", "refused", "refused"]


def test_what_run_raises_reaches_one_sender_and_the_others_try_again() -> None:
    failed = threading.Event()

    def call(batch: list[Job]) -> list[str]:
        if not failed.is_set():
            failed.set()
            raise KeyboardInterrupt
        return ["answer"] * len(batch)

    queue = Queue(Limits(2, 2.0, 100), call, lambda job: "refused")
    later: list[str] = []
    other = threading.Timer(0.1, lambda: later.append(queue.send(Job(1))))
    other.start()
    with pytest.raises(KeyboardInterrupt):
        queue.send(Job(0))
    other.join(10)
    assert later == ["answer"]


def test_interrupt_in_a_window_leaves_the_others_waiting() -> None:
    queue = Queue(Limits(3, 60.0, 100), lambda batch: ["answer"] * len(batch), lambda job: "refused")
    later: list[str] = []
    other = threading.Timer(0.1, lambda: later.append(queue.send(Job(1))))
    main = threading.main_thread().ident
    assert main is not None
    interrupt = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
    other.start()
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        queue.send(Job(0))
    queue.send(Job(2, describe=True))  # closes the other one's window
    other.join(10)
    assert later == ["answer"]
