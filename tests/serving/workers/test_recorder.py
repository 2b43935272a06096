"""What workers are handed, kept while somebody asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlerkit.serving.workers.recorder import RECORD, Recorder, messages_in


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where messages are to be kept; it is not there yet."""
    monkeypatch.setenv(RECORD, str(tmp_path / "recorded"))
    return tmp_path / "recorded"


def test_messages_of_each_worker_are_kept_in_their_order(folder: Path) -> None:
    folder.mkdir()
    first, second = Recorder(9000), Recorder(9001)
    first.keep((b"I", memoryview(b"one")))
    second.keep((b"two",))
    first.keep(())
    first.keep((b"three",))
    assert list(messages_in(folder)) == [b"Ione", b"", b"three", b"two"]


def test_nothing_is_kept_while_the_folder_is_not_there(folder: Path) -> None:
    recorder = Recorder(9000)
    recorder.keep((b"before",))
    assert not folder.exists()
    folder.mkdir()
    recorder.keep((b"while",))
    assert list(messages_in(folder)) == [b"while"]


def test_nothing_is_kept_without_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RECORD, raising=False)
    monkeypatch.chdir(tmp_path)
    Recorder(9000).keep((b"x",))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file_costs_nothing_else(folder: Path) -> None:
    folder.mkdir()
    recorder = Recorder(9000)
    recorder.keep((b"one",))
    (file,) = folder.iterdir()
    file.unlink()
    file.mkdir()
    recorder.keep((b"two",))
