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


def in_shell(shell: str, code: str, folder: Path) -> str:
    """What a shell prints that finds the command on its PATH and has read none of its user's files."""
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed")
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    path = f"{SCRIPT.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [program, *options, "-c", code], env={**os.environ, "PATH": path, "HOME": str(folder)}, capture_output=True,
        text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


def test_bash_completes_after_its_script(folder: Path) -> None:
    (folder / "coins.png").touch()
    code = r"""
        eval "$(handlerkit completion bash)"
        function=$(complete -p handlerkit | sed 's/.*-F \([^ ]*\).*/\1/')
        offer() {
            COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
            $function handlerkit "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
            echo ${COMPREPLY[@]}
        }
        offer "handlerkit ch"
        offer "handlerkit check --target torchserve-0.12.0-c"
        offer "handlerkit request coi"
    """
    assert in_shell("bash", code, folder).split() == ["check", "torchserve-0.12.0-cpu", "coins.png"]


def test_fish_completes_after_its_script(folder: Path) -> None:
    code = 'handlerkit completion fish | source; complete --do-complete "handlerkit ch"'
    assert in_shell("fish", code, folder).split() == ["check"]


def test_zsh_completes_after_its_script(folder: Path) -> None:
    code = """
        autoload -Uz compinit && compinit -u -D
        eval "$(handlerkit completion zsh)"
        print -r -- ${_comps[handlerkit]}
    """
    assert in_shell("zsh", code, folder).split() == ["_python_argcomplete"]


def test_no_other_command_imports_it(folder: Path) -> None:
    assert "argcomplete" not in imported_by("targets")
