"""Progress: one growing line in IPython, nothing elsewhere, ended at the end."""

from __future__ import annotations

import IPython
import pytest

from handlerkit.notebook import progress


@pytest.fixture
def in_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())


def test_step_is_one_line_that_grows(in_ipython: None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("starting") as say:
        say("starting")
        say("sending")
    assert capsys.readouterr() == ("starting, sending\n", "")


def test_nothing_is_said_past_the_line(in_ipython: None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("starting") as say:
        pass
    say("loading")
    assert capsys.readouterr().out == "starting\n"


def test_the_line_ends_after_an_error(in_ipython: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), progress.step("starting"):
        raise KeyError
    assert capsys.readouterr().out == "starting\n"


def test_large_files_count_to_the_end(in_ipython: None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bytes_written("writing coins") as tell:
        tell(0, 200_000_000)
        tell(50_000_000, 200_000_000)
        tell(200_000_000, 200_000_000)
    counted = " ".join(f"{percent} %" for percent in range(10, 101, 10))
    assert capsys.readouterr().out == f"writing coins {counted}\n"


def test_small_files_say_nothing(in_ipython: None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bytes_written("writing coins") as tell:
        tell(10, 20)
    assert capsys.readouterr().out == ""


def test_outside_ipython_nothing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    with progress.step("starting") as say, progress.bytes_written("writing") as tell:
        say("sending")
        tell(1, 10**9)
    assert capsys.readouterr() == ("", "")
