"""What was seen while a handler ran, as a check tells it."""

from __future__ import annotations

from typing import Any

import pytest
from findings_of import only

from handlerkit.messages import Call, Run, SideEffect
from handlerkit.timing import Timings

LINE = "handler.py, line 3"


def run_of(*seen: SideEffect) -> Run:
    return Run((), (Call([], Timings(0.0), seen=seen),))


@pytest.mark.parametrize(
    ("seen", "name", "severity", "says"),
    [
        (("read", "~/m/x.txt", LINE, True), "seen_read", "warning", "~/m/x.txt was read while it was loaded: it lies"),
        (("write", "/var/log/x.log", LINE), "seen_write", "warning", "/var/log/x.log was written in a request: that"),
        (("network", "x.org:443", LINE, True), "seen_network", "warning", "x.org:443 was asked over the network while"),
        (("network", "x.org:443", LINE), "seen_network", "info", "x.org:443 was asked over the network in a request."),
        (("process", "ffmpeg -i x", LINE), "seen_process", "warning", "A program was started in a request: ffmpeg"),
        (("import", "skimage", LINE), "seen_import", "error", "skimage was imported, and is not in the archive"),
        (("import", "matplotlib", LINE), "seen_import", "info", "matplotlib was imported by a request"),
    ],
)
def test_told_with_its_line(checked, seen: tuple[Any, ...], name: str, severity: str, says: str) -> None:
    found = only(checked("import torch\n", runs=[run_of(SideEffect(*seen))]), name)
    assert found.severity == severity
    assert found.message.startswith(says)
    assert found.where == LINE
    assert found.fix


def test_once_for_all_runs(checked) -> None:
    seen = SideEffect("process", "ffmpeg", "handler.py, line 3")
    assert len(checked("import torch\n", runs=[run_of(seen, seen), run_of(seen)])) == 1


def test_a_missing_import_that_is_read_is_told_once(checked) -> None:
    found = checked("import skimage\n", runs=[run_of(SideEffect("import", "skimage", "handler.py, line 1", True))])
    assert [one.name for one in found] == ["missing_module"]


@pytest.mark.parametrize("seen", [(), (SideEffect("import", "torch", "handler.py, line 1", True),)])
def test_nothing_to_tell(checked, seen: tuple[SideEffect, ...]) -> None:
    assert checked("import torch\n", runs=[run_of(*seen)]) == []


def test_without_runs_nothing_is_known(checked) -> None:
    assert checked("import torch\n") == []
