"""What a worker writes between calls: read at all times, and told with the next call."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import soon

from handlerkit.endpoints.loads.stream_reader import StreamReader
from handlerkit.endpoints.worker import Worker
from handlerkit.messages import LogLine, Request
from handlerkit.model import Model
from handlerkit.serving.wire import WorkerResponse
from handlerkit.worker_process.log_capture import Journal, PlainPaths

WRITES_ON = """
import os, threading, time

state = {}

def write():
    while not state.get("go"):
        time.sleep(0.005)
    for number in range(4000):
        print(f"line {number} " + "x" * 100, flush=True)
    print("begun", end="", flush=True)
    state["done"] = True

def handle(data, context):
    if data is None:
        threading.Thread(target=write, daemon=True).start()
        return None
    said, state["go"] = str(state.get("done", False)), True
    return [said] * len(data)
"""


@pytest.fixture
def streams() -> Iterator[tuple[StreamReader, int, int]]:
    """A reader and the ends to write to."""
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    for end in (out, err):
        os.set_blocking(end, False)
    reader = StreamReader(Journal(PlainPaths(Path("/model"))), io.FileIO(out, "r"), io.FileIO(err, "r"))
    yield reader, out_end, err_end
    for end in (out_end, err_end):
        os.close(end)
    reader.close()


def test_thread_of_a_handler_that_writes_more_than_a_pipe_holds_goes_on_between_calls(tmp_path: Path) -> None:
    (tmp_path / "h.py").write_text(WRITES_ON)
    heard: list[LogLine | WorkerResponse] = []
    with Worker(Model("m", handler=tmp_path / "h.py")) as worker:
        first = worker.predict(Request())
        time.sleep(1.5)  # a pipe holds some 600 of the lines
        run = worker.predict(Request(), on_event=heard.append)
    assert (first.response.text, run.response.text) == ("False", "True")
    lines = [line.text for line in first.logs + run.logs]
    assert [line for line in lines if line.startswith("line ")] == [f"line {n} " + "x" * 100 for n in range(4000)]
    assert any(line.startswith("begunBackend received inference") for line in lines)  # as on a server
    assert [line for line in heard if isinstance(line, LogLine)] == list(run.logs)


def test_lines_are_read_once_somebody_took_the_first(streams: tuple[StreamReader, int, int]) -> None:
    reader, out, err = streams
    assert reader.take() == ()
    content = b"a line\n" * 30_000  # three times what a pipe holds
    writer = threading.Thread(
        target=lambda: [os.write(out, content[at : at + 70]) for at in range(0, len(content), 70)]
    )
    writer.start()
    writer.join(10)
    assert not writer.is_alive()
    os.write(err, b"warned\n")
    lines = reader.take()
    assert [line for line in lines if line.level == "INFO"] == [LogLine("INFO", "a line")] * 30_000
    assert lines.count(LogLine("WARN", "warned")) == 1


def test_what_is_not_kept_is_counted(streams: tuple[StreamReader, int, int]) -> None:
    reader, out, _ = streams
    reader.take()
    for _ in range(300):
        os.write(out, b"x" * 9_999 + b"\n")
    assert soon(lambda: reader._kept + reader._dropped == 3_000_000)
    reader.awaited = True
    os.write(out, b"the call's own\n")
    *kept, told, own = [line.text for line in reader.take()]
    assert sum(len(line) + 1 for line in kept) == (1 << 20) + 1
    assert told == f"... {3_000_000 - (1 << 20)} bytes more, written between two calls, are not kept"
    assert own == "the call's own"


def test_thread_leaves_the_streams_to_a_call(streams: tuple[StreamReader, int, int]) -> None:
    reader, out, _ = streams
    reader.take()
    reader.awaited = True
    os.write(out, b"in the call\n")
    time.sleep(0.5)
    assert reader._kept == 0
    assert [line.text for line in reader.take()] == ["in the call"]


def test_thread_ends_with_the_worker(handlers: Path) -> None:
    def reading() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "handlerkit reads a worker's streams"}

    before = reading()
    with Worker(Model("m", handler=handlers / "mirror.py")):
        (own,) = reading() - before
    own.join(5)
    assert not own.is_alive()
