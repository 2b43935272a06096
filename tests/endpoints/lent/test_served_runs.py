"""The requests of clients that are kept."""

from __future__ import annotations

import threading

import pytest

from handlerkit.endpoints.lent.served_runs import ServedRuns
from handlerkit.messages import Call, Exchange, LogLine, Request, Response, Run
from handlerkit.timing import Timings


def run(body: bytes = b"", answer: bytes = b"", **response: object) -> Run:
    return Run((Exchange(Request(body=body), Response(200, body=answer, **response)),), model="m")


def test_the_newest_is_last() -> None:
    runs = ServedRuns()
    for number in range(3):
        runs.append(run(b"%d" % number))
    assert [one.request.body for one in runs] == [b"0", b"1", b"2"]
    assert runs[-1].request.body == b"2"
    assert [one.request.body for one in runs[1:]] == [b"1", b"2"]


def test_the_oldest_go_when_there_are_too_many() -> None:
    runs = ServedRuns(runs=2)
    for number in range(3):
        runs.append(run(b"%d" % number))
    assert [one.request.body for one in runs] == [b"1", b"2"]
    assert runs.total == 3


@pytest.mark.parametrize(
    "large",
    [
        run(body=b"x" * 60),
        run(answer=b"x" * 60),
        run(answer=b"x" * 30, chunks=(b"x" * 30,)),
        Run((), (Call((), Timings(0.0), (LogLine("INFO", "x" * 60),)),)),
    ],
    ids=["request", "answer", "stream", "log"],
)
def test_the_oldest_go_when_they_are_too_large(large: Run) -> None:
    runs = ServedRuns(size=100)
    runs.append(first := run(b"x" * 50))
    runs.append(large)
    assert first not in runs
    assert [*runs] == [large]


def test_one_that_is_too_large_alone_is_not_kept() -> None:
    runs = ServedRuns(size=100)
    runs.append(run(b"x" * 101))
    assert (len(runs), runs.total) == (0, 1)
    runs.append(run(b"x"))
    assert len(runs) == 1


def test_each_request_of_a_batch_counts() -> None:
    runs = ServedRuns()
    runs.append(Run(run().exchanges * 3))
    assert (len(runs), runs.total) == (1, 3)


def test_an_index_that_is_not_there_says_how_many_are() -> None:
    with pytest.raises(IndexError, match="0 Runs of clients are kept"):
        ServedRuns()[-1]


def test_clear_forgets_them() -> None:
    runs = ServedRuns()
    runs.append(run(b"x"))
    runs.clear()
    assert (len(runs), runs.total) == (0, 1)


def test_they_can_be_read_while_more_come() -> None:
    runs = ServedRuns(runs=5)
    ended = threading.Event()

    def come() -> None:
        while not ended.is_set():
            runs.append(run(b"x"))

    thread = threading.Thread(target=come)
    thread.start()
    try:
        for _ in range(300):
            assert len([*runs]) <= 5
    finally:
        ended.set()
        thread.join()
