"""Inside a worker: operators, a trace, lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlerkit import Model, Request, Worker
from handlerkit.bench import profile
from handlerkit.errors import ResponseError

HANDLER = """import torch
from helper import double


class Doubles:
    def initialize(self, context):
        self.weights = torch.ones(300, 300)

    def handle(self, data, context):
        answer = double(self.weights @ self.weights)
        return [float(answer.sum())]
"""
HELPER = """def double(x):
    return x * 2
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    (tmp_path / "doubles.py").write_text(HANDLER)
    (tmp_path / "helper.py").write_text(HELPER)
    with Worker(Model("m", handler=tmp_path / "doubles.py", extra_files=[tmp_path / "helper.py"])) as worker:
        yield worker


def test_operators_and_a_trace(worker: Worker, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = profile(worker, Request(), calls=2, trace=tmp_path / "trace.json")
    assert "aten::mm" in found.table
    names = [event.get("name") for event in json.loads(found.trace.read_text())["traceEvents"]]
    assert names.count("aten::mm") == 2
    assert capfd.readouterr() == ("", "")


def test_lines_of_the_handler_and_its_helper(worker: Worker, tmp_path: Path) -> None:
    pytest.importorskip("line_profiler")
    found = profile(worker, Request(), calls=3, trace=tmp_path / "trace.json")
    lines = {(line.file, line.line): line for line in found.lines}
    assert set(lines) == {("doubles.py", 10), ("doubles.py", 11), ("helper.py", 2)}
    assert {line.hits for line in found.lines} == {3}
    assert lines["helper.py", 2].source == "    return x * 2"
    assert all(0 < line.seconds < 5 for line in found.lines)


def test_the_handler_is_left_as_it_was(worker: Worker, tmp_path: Path) -> None:
    before = worker.predict(Request()).response.body
    codes: list[object] = []
    for _ in range(2):
        profile(worker, Request(), calls=1, trace=tmp_path / "trace.json")
        codes.append(worker.predict(Request()).response.body)
    assert codes == [before, before]
    assert sys.getprofile() is None


def test_without_line_profiler_it_says_how_to_get_it(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "line_profiler", None)
    found = profile(worker, Request(), calls=1, trace=tmp_path / "trace.json")
    assert (found.lines, "%pip install line_profiler" in found.missing) == ((), True)


def test_a_failing_handler_is_not_profiled(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("def handle(data, context):\n    return [data[0]['x']] if data else None\n")
    with Worker(Model("m", handler=tmp_path / "fails.py")) as worker, pytest.raises(ResponseError, match="KeyError"):
        profile(worker, Request(), trace=tmp_path / "trace.json")
