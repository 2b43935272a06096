"""The public names, pinned: users' code and notebooks rely on them."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import handlerkit as hk

HEAVY = ("torch", "torchvision", "ts", "numpy", "PIL", "matplotlib", "IPython", "ipywidgets")
PUBLIC = [
    "Archive",
    "Call",
    "Check",
    "Endpoint",
    "Exchange",
    "Finding",
    "Model",
    "Part",
    "Report",
    "Request",
    "Response",
    "Run",
    "Server",
    "Worker",
    "__version__",
    "check",
    "compare",
    "envelope",
    "errors",
    "load_ipython_extension",
    "mock_context",
    "session",
    "unload_ipython_extension",
    "unpack",
    "verify",
    "view",
]


def in_a_new_python(code: str) -> str:
    """What `code` prints in an interpreter that has imported nothing yet."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_public_names_are_these() -> None:
    assert sorted(hk.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_name_is_there(name: str) -> None:
    assert getattr(hk, name) is not None


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(hk.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imported = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(PUBLIC)


def test_import_loads_nothing_heavy() -> None:
    loaded = json.loads(in_a_new_python("import json, sys, handlerkit; print(json.dumps(list(sys.modules)))"))
    assert set(HEAVY).isdisjoint(loaded)


def test_dir_lists_names_that_are_not_loaded_yet() -> None:
    listed = in_a_new_python("import handlerkit; print(*dir(handlerkit))").split()
    assert set(PUBLIC) <= set(listed)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'handlerkit' has no attribute 'Wroker'"):
        _ = hk.Wroker


@pytest.mark.parametrize(
    "first",
    [
        "import handlerkit as hk",
        "import handlerkit.verify; import handlerkit as hk",
        "import handlerkit as hk; hk.verify; import handlerkit.verify",
        "import handlerkit as hk; from handlerkit.verify import verify",
    ],
)
def test_verify_is_the_function_in_any_order(first: str) -> None:
    assert in_a_new_python(f"{first}; print(type(hk.verify).__name__, hk.verify.__name__)") == "function verify"


def test_from_import_gives_the_function() -> None:
    from handlerkit import verify

    assert isinstance(verify, FunctionType)


@pytest.mark.parametrize("first", ["import handlerkit as hk", "import handlerkit.view; import handlerkit as hk"])
def test_view_is_callable_and_holds_draw(first: str) -> None:
    assert in_a_new_python(f"{first}; print(callable(hk.view), hk.view.draw.__name__)") == "True handlerkit.view.draw"


def test_errors_and_envelope_are_modules() -> None:
    assert isinstance(hk.errors, ModuleType)
    assert isinstance(hk.envelope, ModuleType)


def test_version_is_the_installed_one() -> None:
    assert hk.__version__ == importlib.metadata.version("handlerkit")
