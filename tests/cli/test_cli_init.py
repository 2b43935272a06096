"""handlerkit init: what it writes, and that the CI of it is green at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import handlerkit as hk
from handlerkit.cli.networks import LABELS, NETWORKS
from handlerkit.model import READY_MADE


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was just written."""
    from handlerkit.cli.main import main

    folder = tmp_path_factory.mktemp("projects") / "two-coins"
    assert main(["init", str(folder)]) == 0
    return folder


def steps(project: Path) -> list[str]:
    """The commands of its workflow, without those that install."""
    workflow = yaml.safe_load((project / ".github/workflows/test.yml").read_text())
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert commands[0] == "pip install -r requirements-dev.txt"
    return commands[1:]


def ci(project: Path, command: str) -> subprocess.CompletedProcess[str]:
    """As a runner does it: a shell in the project's folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CI": "true"}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command],
        cwd=project, env=environment, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip


def test_its_workflow_is_green_at_once(project: Path) -> None:
    own = [command for command in steps(project) if "--target" not in command]
    assert own == ["handlerkit check --format github", "pytest"]
    for command in own:
        done = ci(project, command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


@pytest.mark.server
def test_its_last_step_asks_a_real_torchserve(project: Path) -> None:
    (command,) = [command for command in steps(project) if "--target" in command]
    done = ci(project, command.partition("#")[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 cases on declared" in done.stdout
    assert (project / "report.html").is_file()


def test_its_workflow_is_red_for_another_answer(project: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(project, tmp_path / "changed")
    network = tmp_path / "changed" / "network.py"
    network.write_text(network.read_text().replace("images.mean", "-images.mean"))
    done = ci(tmp_path / "changed", "handlerkit test --report report.html")
    assert done.returncode == 1
    assert "red: what was kept -> what is answered" in done.stdout


def test_its_hooks_are_commands_of_ours(project: Path) -> None:
    hooks = yaml.safe_load((project / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == ["handlerkit check", "handlerkit test"]


def test_nothing_is_overwritten(command, folder: Path) -> None:
    (folder / "handlerkit.toml").write_text("mine")
    status, said, error = command("init", ".")
    assert (status, said) == (2, "")
    assert error == "handlerkit init: handlerkit.toml is there already: nothing was written; choose another folder\n"
    assert [path.name for path in folder.iterdir()] == ["handlerkit.toml"]


def test_a_folder_of_other_files_keeps_them(command, folder: Path) -> None:
    for name in ("README.md", ".gitignore", "LICENSE"):
        (folder / name).write_text("mine")
    status, said, error = command("init", ".", "--name", "m")
    assert (status, error) == (0, "")
    assert said.endswith("left as it is: .gitignore\nleft as it is: README.md\n")
    assert {(folder / name).read_text() for name in ("README.md", ".gitignore", "LICENSE")} == {"mine"}
    assert (folder / "cases/red.har").is_file()


def test_a_handler_of_text_says_what_it_needs(command) -> None:
    status, _, error = command("init", "project", "--from", "text_entities")
    assert status == 2
    assert "text_entities needs a model of transformers" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("handler", NETWORKS)
def test_each_handler_has_a_stand_in_that_answers(command, handler: str) -> None:
    status, said, error = command("init", "project", "--from", handler, "--name", "m")
    assert (status, error) == (0, "")
    assert f"{handler}.py" in said
    assert [case.name for case in hk.cases("project/cases")] == ["blue", "green", "red"]
    assert all(case.run.ok for case in hk.cases("project/cases"))


def test_every_ready_made_handler_of_images_is_offered() -> None:
    assert set(LABELS) <= set(NETWORKS) <= set(READY_MADE)


def test_an_unknown_handler_is_asked_wrongly(command) -> None:
    status, _, error = command("init", "project", "--from", "clasifier")
    assert status == 2
    assert "did you mean classifier?" in error
    assert not Path("project").exists()
