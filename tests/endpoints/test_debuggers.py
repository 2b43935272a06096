"""Code carries the name of the file that the user edits: debuggers stop there, and coverage counts there."""

from __future__ import annotations

import bdb
import io
import itertools
import json
import pdb
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Request, Run
from handlerkit.model import Model

SOURCE = """import helper


class Handler:
    def initialize(self, context):
        self.context = context

    def handle(self, data, context):
        answers = []
        for row in data:
            answers.append(helper.double(row["body"]))
        return answers
"""
HELPER = """def double(value):
    twice = value * 2
    return twice


def never():
    return None
"""
LINE = 11  # of SOURCE: the call of helper.double


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "handler.py").write_text(SOURCE)
    (tmp_path / "helper.py").write_text(HELPER)
    return Model("m", handler=tmp_path / "handler.py", extra_files=[tmp_path / "helper.py"])


class Stops(bdb.Bdb):
    """Goes on at each breakpoint, and remembers where that was."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[tuple[str, int]] = []

    def user_line(self, frame: FrameType) -> None:
        if self.get_breaks(frame.f_code.co_filename, frame.f_lineno):
            self.places.append((frame.f_code.co_filename, frame.f_lineno))
        self.set_continue()


def test_breakpoint_in_the_users_file_stops_there(model: Model) -> None:
    places = [(str(model.handler_file), LINE), (str(model.extra_files[0]), 2)]
    stops = Stops()
    for place in places:
        assert stops.set_break(*place) is None
    with Worker(model, in_process=True) as worker:
        run = stops.runcall(worker.predict, Request.json(1))
    assert (run.response.json(), stops.places) == (2, places)


def test_prompt_of_a_debugger_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = "def handle(data, context):\n    breakpoint()\n    return ['ok'] * len(data or ())\n"
    (tmp_path / "h.py").write_text(stops)
    monkeypatch.setattr(sys, "stdin", io.StringIO("c\np data\nc\n"))
    monkeypatch.setattr(sys, "breakpointhook", lambda: pdb.Pdb(nosigint=True).set_trace(sys._getframe(1)))
    with Worker(Model("m", handler=tmp_path / "h.py"), in_process=True) as worker:
        assert worker.predict(Request.json({"a": 1})).response.text == "ok"
    assert "[{'body': {'a': 1}}]" in capsys.readouterr().out


def test_exception_opens_in_the_users_file(model: Model) -> None:
    seen: list[BaseException] = []
    with Worker(model, in_process=True) as worker:
        worker.on_exception = seen.append
        worker.predict(Request.json({}))
    trace = seen[0].__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    assert trace is not None
    assert (trace.tb_frame.f_code.co_filename, trace.tb_lineno) == (str(model.extra_files[0]), 2)


class DebugAdapter:
    """A client of the debug adapter protocol."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._file = self._socket.makefile("rb")
        self._numbers = itertools.count(1)

    def ask(self, command: str, **arguments: Any) -> int:
        number = next(self._numbers)
        body = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return number

    def wait(self, **wanted: Any) -> dict[str, Any]:
        """The next message with these values."""
        while True:
            length = 0
            while line := self._file.readline().strip():
                length = int(line.partition(b":")[2])
            message = json.loads(self._file.read(length))
            if wanted.items() <= message.items():
                return message

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def attached(tmp_path: Path) -> Iterator[tuple[Worker, DebugAdapter]]:
    """A worker process that listens for a debugger, and the debugger."""
    pytest.importorskip("debugpy")
    listens = "import debugpy\nPORT = debugpy.listen(('127.0.0.1', 0))[1]\nprint('port', PORT)\n"
    (tmp_path / "handler.py").write_text(SOURCE.replace("import helper\n", f"import helper\n{listens}"))
    (tmp_path / "helper.py").write_text(HELPER)
    with Worker(Model("m", handler=tmp_path / "handler.py", extra_files=[tmp_path / "helper.py"])) as worker:
        port = next(int(line.text.split()[1]) for line in worker.load_logs if line.text.startswith("port "))
        client = DebugAdapter(port)
        yield worker, client
        client.close()


def test_debugpy_stops_in_the_worker_process(attached: tuple[Worker, DebugAdapter], tmp_path: Path) -> None:
    worker, client = attached
    client.ask("initialize", adapterID="test", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
    client.wait(type="response", command="initialize")
    client.ask("attach", justMyCode=False)
    client.wait(type="event", event="initialized")
    file = str(tmp_path / "helper.py")
    client.ask("setBreakpoints", source={"path": file}, breakpoints=[{"line": 2}])
    assert client.wait(type="response", command="setBreakpoints")["body"]["breakpoints"][0]["verified"]
    client.ask("configurationDone")
    client.wait(type="response", command="configurationDone")
    runs: list[Run] = []
    asks = threading.Thread(target=lambda: runs.append(worker.predict(Request.json(21))))
    asks.start()
    stopped = client.wait(type="event", event="stopped")["body"]
    client.ask("stackTrace", threadId=stopped["threadId"])
    frame = client.wait(type="response", command="stackTrace")["body"]["stackFrames"][0]
    client.ask("continue", threadId=stopped["threadId"])
    asks.join()
    assert (stopped["reason"], frame["source"]["path"], frame["line"]) == ("breakpoint", file, 2)
    assert runs[0].response.json() == 42


COVERED = """
import sys
import handlerkit as hk

model = hk.Model("m", handler=sys.argv[1], extra_files=[sys.argv[2]])
with hk.Worker(model, in_process=sys.argv[3] == "here") as worker:
    assert worker.predict(hk.Request.json(1)).response.json() == 2
"""


@pytest.mark.parametrize("where", ["here", "worker process"])
def test_coverage_counts_the_lines_of_the_users_file(model: Model, tmp_path: Path, where: str) -> None:
    pytest.importorskip("coverage")
    (tmp_path / "covered.py").write_text(COVERED)
    data = tmp_path / "data"
    (tmp_path / "rc").write_text(f"[run]\nparallel = true\npatch = subprocess, fork\ndata_file = {data}\n")
    coverage = [sys.executable, "-m", "coverage"]
    files = [str(model.handler_file), str(model.extra_files[0])]
    script = [*coverage, "run", f"--rcfile={tmp_path / 'rc'}", str(tmp_path / "covered.py"), *files, where]
    subprocess.run(script, cwd=tmp_path, check=True, timeout=120)
    subprocess.run([*coverage, "combine", f"--rcfile={tmp_path / 'rc'}"], cwd=tmp_path, check=True)
    told = tmp_path / "told.json"
    subprocess.run([*coverage, "json", f"--rcfile={tmp_path / 'rc'}", "-o", str(told)], cwd=tmp_path, check=True)
    found = {Path(name).name: file["executed_lines"] for name, file in json.loads(told.read_text())["files"].items()}
    assert (found["handler.py"][-4:], found["helper.py"]) == ([9, 10, 11, 12], [1, 2, 3, 6])
