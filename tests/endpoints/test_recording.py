"""The folder in which the workers of an app keep what they are handed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handlerkit.endpoints.recording import RecordFolder, Recording
from handlerkit.serving.workers.recorder import Recorder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordFolder:
    """One whose variables this process has, as an app's would."""
    folder = RecordFolder(tmp_path / "recorded")
    for name, value in folder.variables.items():
        monkeypatch.setenv(name, value)
    return folder


def test_messages_of_the_block_alone_are_recorded(folder: RecordFolder, tmp_path: Path) -> None:
    worker = Recorder(9000)
    worker.keep((b"before",))
    with folder.recording() as recording:
        worker.keep((b"one",))
        worker.keep((b"two",))
    worker.keep((b"after",))
    assert recording.messages == (b"one", b"two")
    assert [*tmp_path.iterdir()] == []


def test_a_block_that_fails_leaves_no_folder(folder: RecordFolder, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), folder.recording():
        raise KeyboardInterrupt
    assert [*tmp_path.iterdir()] == []


def test_the_block_of_another_thread_waits_for_the_end_of_this_one(folder: RecordFolder) -> None:
    worker = Recorder(9000)

    def other() -> Recording:
        with folder.recording() as recording:
            worker.keep((b"theirs",))
        return recording

    with ThreadPoolExecutor(1) as pool:
        with folder.recording() as ours:
            theirs = pool.submit(other)
            with pytest.raises(TimeoutError):
                theirs.result(0.2)
            worker.keep((b"ours",))
        assert (ours.messages, theirs.result(10).messages) == ((b"ours",), (b"theirs",))


def test_a_block_in_a_block_fails_and_the_outer_one_goes_on(folder: RecordFolder) -> None:
    with folder.recording() as recording:
        with pytest.raises(FileExistsError), folder.recording():
            pass
        Recorder(9000).keep((b"one",))
    assert recording.messages == (b"one",)
