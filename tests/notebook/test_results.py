"""How the session's answers read."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlerkit.notebook.results import Awaiting, Exported, Ready, Written

TORCH_WARNS = "torch/jit/_serialization.py:176: FutureWarning: `torch.jit.load` is deprecated."


def test_ready_tells_what_the_handler_logged() -> None:
    ready = Ready("m", "class H", "loaded", 0.1, ("loading the weights", "ready"))
    assert repr(ready) == "m: class H, loaded in 100 ms\n  loading the weights\n  ready"


def test_ready_leaves_out_warnings_of_installed_packages() -> None:
    logs = ("before", TORCH_WARNS, "  warnings.warn(", "  indented by the handler", "after", "  and indented")
    shown = repr(Ready("m", "class H", "loaded", 0.1, logs)).splitlines()[1:]
    assert shown == ["  before", "    indented by the handler", "  after", "    and indented"]


@pytest.mark.parametrize(
    "line",
    ["<model_dir>/handler.py:3: UserWarning: mine", "see docs/usage.py:3 for more", "handler.py:3: UserWarning: m"],
)
def test_ready_keeps_what_the_handler_says(line: str) -> None:
    assert line in repr(Ready("m", "class H", "loaded", 0.1, (line,)))


def test_written_tells_of_the_load_it_caused() -> None:
    ready = Ready("m", "class H", "loaded again: initialize changed", 0.1)
    assert repr(Written("words.py", "m")) == "words.py travels with m"
    loaded = "m: class H, loaded again: initialize changed, in 100 ms"
    assert repr(Written("words.py", "m", ready)) == f"words.py travels with m\n{loaded}"


def test_exported_names_the_files() -> None:
    assert repr(Exported(Path("store/m.mar"), 573, ("a.py", "b.pt"))) == "store/m.mar (573 B): a.py, b.pt"


def test_awaiting_without_files() -> None:
    assert repr(Awaiting("m", ())) == "m; its handler is still to come: write it in a %%handler cell"
