"""Archives to check, and commands run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import handlerkit as hk
from handlerkit.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is empty; the cache of targets lies beside it."""
    monkeypatch.setenv("HANDLERKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("IPython.get_ipython", lambda: None)  # a notebook's tests leave a shell in this process
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def archive(folder: Path) -> Callable[..., Path]:
    """Writes an archive with this handler into the current folder."""

    def write(source: str, name: str = "m") -> Path:
        (folder / "handler.py").write_text(source)
        return hk.Archive(hk.Model(name, handler="handler.py")).save(".")

    return write


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in this process: its exit status, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        status = main([str(word) for word in words])
        return (status, *capsys.readouterr())

    return run
