"""How a worker dies, as a small type."""

from __future__ import annotations

import pytest

from handlerkit.serving.worker_death import WorkerDied, too_long
from handlerkit.worker_process import packets


def test_exception_carries_the_death_and_shows_its_sentence() -> None:
    death = too_long(11, 10)
    problem = WorkerDied(death)
    assert problem.death == ("size", "The answer has 11 bytes; max_response_size is 10.")
    assert str(problem) == death.message


def test_death_comes_out_of_a_worker_process_as_it_was() -> None:
    death = too_long(11, 10)
    assert packets.read_plain(bytearray(packets.pack((death, None)))) == (death, None)


def test_worker_that_sends_unreadable_data_is_dropped_like_a_dead_one() -> None:
    with pytest.raises(WorkerDied, match=r"^The worker process sent data that cannot be read") as raised:
        packets.read_plain(b"no pickle")
    assert raised.value.death.kind == "exit"
