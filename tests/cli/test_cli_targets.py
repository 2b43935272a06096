"""handlerkit targets: what is kept, made and removed. `declared` is made of links, in no time."""

from __future__ import annotations

import io
import json
import sys
from datetime import datetime
from pathlib import Path

import pytest

from handlerkit.cli.progress import steps


def test_nothing_is_kept_at_first(command) -> None:
    assert command("targets") == (0, "no environments are kept; --build NAME makes one\n", "")


def test_one_is_made_listed_and_removed(command) -> None:
    status, said, _ = command("targets", "--build", "declared")
    assert status == 0
    assert said.startswith(f"Python {sys.version.split()[0]}, torch ")
    assert said.endswith(", target declared\n")
    status, said, error = command("targets")
    head, row = said.splitlines()
    assert (status, error, head.split()[:2], row.split()[0]) == (0, "", ["target", "Python"], "declared")
    assert sys.version.split()[0] in row
    assert command("targets", "--remove", "declared") == (0, "removed declared\n", "")
    assert command("targets")[1].startswith("no environments are kept")


def test_they_are_listed_as_json(command) -> None:
    assert command("targets", "--json") == (0, "[]\n", "")
    command("targets", "--build", "declared")
    status, said, error = command("targets", "--json")
    (one,) = json.loads(said)
    assert (status, error) == (0, "")
    assert (one["target"], one["python"], one["in_use"]) == ("declared", sys.version.split()[0], False)
    assert one["size"] >= one["frees"] > 0
    assert datetime.fromisoformat(one["last_used"]).tzinfo is not None
    assert Path(one["interpreter"]).exists()


def test_all_are_removed(command) -> None:
    command("targets", "--build", "declared")
    assert command("targets", "--remove", "all") == (0, "removed declared\n", "")
    assert command("targets", "--remove", "all") == (0, "", "")


def test_a_cache_that_cannot_be_written_is_one_line(command, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HANDLERKIT_CACHE", str(tmp_path / "file"))
    status, said, error = command("targets", "--build", "declared")
    assert (status, said) == (2, "")
    assert error.splitlines()[-1].startswith("handlerkit targets: the environment of declared cannot be kept in ")
    assert command("targets")[:2] == (0, "no environments are kept; --build NAME makes one\n")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_steps_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with steps() as progress:
        for words in ("finding Python", "installing", "installing", "linking"):
            progress(words)
    assert capsys.readouterr() == ("", "finding Python\ninstalling\nlinking\n")


def test_steps_are_one_line_of_a_terminal_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with steps() as progress:
        progress("finding Python")
        progress("installing")
    assert terminal.getvalue() == "\r\x1b[Kfinding Python\r\x1b[Kinstalling\r\x1b[K"
