"""The types of torchserve that the wheel brings: they are those of torchserve, and checkers find them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HANDLER = """from ts.context import Context
from ts.torch_handler.base_handler import BaseHandler


class Handler(BaseHandler):
    def handle(self, data: list[dict[str, bytes]], context: Context) -> list[str]:
        reveal_type(context.get_request_header(0, "accept"))
        reveal_type(self.context)
        context.set_response_contents(0, "image/png")
        return ["ok"] * len(data)
"""


#: torch has types, and reading them takes a minute.
SETTINGS = "[mypy]\nstrict = true\n[mypy-torch.*]\nfollow_imports = skip\n"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "mypy.ini"
    file.write_text(SETTINGS)
    return file


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)], capture_output=True, text=True, timeout=170, check=False
    )


def test_a_checker_knows_what_a_handler_is_given(tmp_path: Path, settings: Path) -> None:
    file = tmp_path / "handler.py"
    file.write_text(HANDLER)
    done = run("mypy", "--config-file", settings, "--cache-dir", tmp_path / "cache", file)
    assert 'Revealed type is "str | None"' in done.stdout
    assert 'Revealed type is "ts.context.Context"' in done.stdout
    assert '"Context" has no attribute "set_response_contents"; maybe "set_response_content_type"' in done.stdout
    assert "import-untyped" not in done.stdout
    assert done.stdout.count("error:") == 1


def test_the_stubs_are_torchserves(settings: Path) -> None:
    modules = "ts.context", "ts.torch_handler.base_handler"
    done = run("mypy.stubtest", "--ignore-missing-stub", "--mypy-config-file", settings, *modules)
    assert done.returncode == 0, done.stdout + done.stderr
