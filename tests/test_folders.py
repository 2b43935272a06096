"""Temporary folders: whose they are, and that they go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlerkit import folders
from handlerkit.folders import OwnFolder, make_folder


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files; pytest's own has too long a name for a socket in it."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        folders._clear_up.cache_clear()
        yield Path(folder)


def left_by_a_killed_process(temporary: Path) -> Path:
    program = "import os, handlerkit.folders as f; print(f.make_folder(), flush=True); os.kill(os.getpid(), 9)"
    environment = {**os.environ, "TMPDIR": str(temporary)}
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert killed.returncode == -signal.SIGKILL
    return Path(killed.stdout.strip())


def test_what_a_killed_process_left_is_removed_at_the_next_start(temporary: Path) -> None:
    left = left_by_a_killed_process(temporary)
    assert left.is_dir()
    made = make_folder()
    assert list(temporary.iterdir()) == [made]


def test_what_belongs_to_a_living_process_or_another_container_stays(temporary: Path) -> None:
    mine = make_folder()
    left = left_by_a_killed_process(temporary)
    other = folders._namespace() ^ 1
    elsewhere = left.with_name(left.name.replace(f"hk-{folders._namespace():04x}", f"hk-{other:04x}"))
    left.rename(elsewhere)
    (temporary / "hk-notes").mkdir()
    folders._clear_up.cache_clear()
    assert {mine, make_folder(), elsewhere, temporary / "hk-notes"} == set(temporary.iterdir())


def test_process_that_was_forked_off_removes_nothing() -> None:
    own = OwnFolder()
    program = f"import os, sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\n" + (
        "from handlerkit.folders import OwnFolder\nown = OwnFolder()\n"
        "if os.fork() == 0: sys.exit()\nos.wait()\nprint(own.path.is_dir())\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "True\n"
    own.remove()
    assert not own.path.exists()


def test_folder_is_made_again_in_its_place() -> None:
    own = OwnFolder()
    assert not own.restore()
    own.remove()
    assert own.restore()
    assert own.path.is_dir()
