"""What a notebook changes does not reach a handler, and what a handler changes stays in its process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).with_name("isolation")


def names(file: str) -> list[str]:
    return [json.loads(line)["name"] for line in (HERE / file).read_text().splitlines()]


def run(script: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run("changes_of_the_notebook.py", tmp_path_factory.mktemp("notebook"))


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run("changes_of_the_notebook.py", tmp_path_factory.mktemp("late"), "late")


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run("changes_of_a_handler.py", tmp_path_factory.mktemp("handler"))


@pytest.mark.parametrize("name", names("notebook_state_reaches_handler.jsonl"))
def test_notebook_does_not_reach_the_handler(notebook: dict[str, Any], name: str) -> None:
    before, after = notebook[name]
    assert after == before


@pytest.mark.parametrize("name", names("notebook_state_reaches_handler.jsonl"))
def test_nor_does_what_it_changed_before_the_first_worker(
    notebook: dict[str, Any], late: dict[str, Any], name: str
) -> None:
    assert late[name][1] == notebook[name][0]


@pytest.mark.parametrize("name", names("handler_changes_process.jsonl"))
def test_handler_does_not_reach_the_notebook(handler: dict[str, Any], name: str) -> None:
    before, after, _ = handler[name]
    assert after == before


def test_most_handlers_answer_after_their_change(handler: dict[str, Any]) -> None:
    assert sum(status == 200 for _, _, status in handler.values()) > 0.8 * len(handler)
