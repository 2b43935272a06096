"""What a notebook would have around the catalogue's cases."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import why_cases


@pytest.fixture
def fired(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the rules that gave a finding."""
    names: list[str] = []
    for module, attribute, value in list(why_cases.watched(names)):
        monkeypatch.setattr(module, attribute, value)
    return names


@pytest.fixture(autouse=True)
def command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's, though the cases' handlers run in this process."""
    monkeypatch.setattr(sys, "argv", ["model_service_worker.py", "--sock-type", "unix", "--sock-name", "s"])


@pytest.fixture(autouse=True)
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the notebook has and the archive does not."""
    module = types.ModuleType("only_the_notebook")
    module.__file__ = str(Path(__file__).with_name("only_the_notebook.py"))
    monkeypatch.setitem(sys.modules, "only_the_notebook", module)
    monkeypatch.setattr(sys.modules["__main__"], "A_NOTEBOOK_NAME", 1, raising=False)
