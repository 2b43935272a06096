"""What Tab offers in a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cli_runs import SCRIPT, imported_by

from handlerkit.cli.completion import SHELLS


def offered(line: str, folder: Path) -> list[str]:
    """What the command answers the shell that asks for the end of this line."""
    answers = folder.parent / "answers"
    environment = {
        **os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SHELL": "bash", "COMP_LINE": line,
        "COMP_POINT": str(len(line)), "COMP_TYPE": "63", "_ARGCOMPLETE_STDOUT_FILENAME": str(answers),
    }  # fmt: skip
    subprocess.run([SCRIPT], env=environment, check=True, timeout=60, capture_output=True)
    return [word.strip() for word in answers.read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("handlerkit ch", {"check"}),
        ("handlerkit check --tar", {"--target"}),
        ("handlerkit check --target torchserve-0.12.0-c", {"torchserve-0.12.0-cpu"}),
        ("handlerkit check --format g", {"github"}),
        ("handlerkit request --as segm", {"segmentation"}),
        ("handlerkit request --envelope kserve", {"kserve", "kservev2"}),
        ("handlerkit request fir", {"first", "first.png"}),
        ("handlerkit verify --endpoint s", {"server"}),
        ("handlerkit completion f", {"fish"}),
    ],
)
def test_the_end_of_a_line(folder: Path, line: str, words: set[str]) -> None:
    (folder / "handlerkit.toml").write_text('[models.first]\nhandler = "h.py"\n')
    (folder / "first.png").touch()
    assert set(offered(line, folder)) == words


def test_a_broken_file_offers_nothing_and_says_nothing(folder: Path) -> None:
    (folder / "handlerkit.toml").write_text("name =")
    assert offered("handlerkit request fir", folder) == [""]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_its_script(command, folder: Path, shell: str) -> None:
    status, said, error = command("completion", shell)
    assert (status, error) == (0, "")
    assert "handlerkit" in said
    if (program := shutil.which(shell)) is not None:
        (folder / "script").write_text(said)
        subprocess.run([program, "-n", "script"], check=True, timeout=60)


def test_no_other_command_imports_it(folder: Path) -> None:
    assert "argcomplete" not in imported_by("targets")
