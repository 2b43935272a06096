from __future__ import annotations

import threading
import time

import pytest

from handlerkit.timing import Stopwatch, Timings


class Clock:
    """Reads what it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Stopwatch:
    return Stopwatch(clock)


def test_stage_is_timed(watch: Stopwatch, clock: Clock) -> None:
    inference = watch.time("inference", clock.spend)
    watch.start()
    inference(2)
    clock.spend(1)
    timings = watch.stop()
    assert (timings.total, dict(timings.stages), timings.other) == (3, {"inference": 2}, 1)


def test_stage_inside_a_stage_counts_for_the_outer_one(watch: Stopwatch, clock: Clock) -> None:
    inner = watch.time("inference", clock.spend)
    outer = watch.time("preprocess", lambda: inner(2))
    watch.start()
    outer()
    assert dict(watch.stop().stages) == {"preprocess": 2}


def test_handle_is_what_it_does_beside_its_stages(watch: Stopwatch, clock: Clock) -> None:
    stage = watch.time("inference", clock.spend)

    def handle() -> None:
        clock.spend(1)
        stage(5)
        clock.spend(2)

    watch.start()
    watch.time("decode", clock.spend)(7)
    watch.handle(handle)()
    assert list(watch.stop()) == [("decode", 7), ("inference", 5), ("handle", 3), ("other", 0)]


def test_repeated_stage_adds_up(watch: Stopwatch, clock: Clock) -> None:
    stage = watch.time("inference", clock.spend)
    watch.start()
    stage(1)
    stage(2)
    assert watch.stop()["inference"] == 3


def test_failing_stage_is_timed(watch: Stopwatch, clock: Clock) -> None:
    def fail() -> None:
        clock.spend(1)
        raise ValueError("no picture")

    watch.start()
    with pytest.raises(ValueError, match="no picture"):
        watch.time("inference", fail)()
    assert watch.stop()["inference"] == 1


def test_stages_in_threads_share_the_time() -> None:
    watch = Stopwatch()
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        time.sleep(0.02)

    def handle() -> None:
        threads = [threading.Thread(target=watch.time(name, work)) for name in ("preprocess", "inference")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    watch.start()
    watch.handle(handle)()
    timings = watch.stop()
    assert sum(seconds for _, seconds in timings) == pytest.approx(timings.total)
    assert timings["preprocess"] == pytest.approx(timings["inference"], abs=0.01)
    assert timings["preprocess"] >= 0.009


def test_first_stage_is_all_since_the_start(watch: Stopwatch, clock: Clock) -> None:
    watch.start()
    clock.spend(2)
    watch.first("decode")
    clock.spend(1)
    assert list(watch.stop()) == [("decode", 2), ("other", 1)]


def test_settles_before_each_look_at_the_clock(watch: Stopwatch, clock: Clock) -> None:
    """A kernel that a stage has begun belongs to that stage."""
    pending = []

    def settle() -> None:
        while pending:
            clock.spend(pending.pop())

    watch.start(settle)
    watch.time("inference", lambda: pending.append(4))()
    assert watch.stop()["inference"] == 4


def test_stages_and_other_add_up() -> None:
    timings = Timings(10, {"decode": 1, "handle": 3})
    assert list(timings) == [("decode", 1), ("handle", 3), ("other", 6)]
