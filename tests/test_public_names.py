"""The public names, pinned: users' code and notebooks rely on them."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import handlerkit as hk

API = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
HEAVY = ("ray", "torch", "torchvision", "ts", "numpy", "PIL", "matplotlib", "IPython", "ipywidgets")
PUBLIC = [
    "App",
    "Archive",
    "Bench",
    "Call",
    "Case",
    "CaseReport",
    "Check",
    "Classifications",
    "Detections",
    "Endpoint",
    "Exchange",
    "Finding",
    "Model",
    "Part",
    "RayServe",
    "Remote",
    "Report",
    "Request",
    "Response",
    "Run",
    "SegmentationMap",
    "Server",
    "Worker",
    "__version__",
    "cases",
    "check",
    "compare",
    "envelope",
    "errors",
    "keep",
    "load_ipython_extension",
    "mock_context",
    "serve",
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


@pytest.mark.parametrize("name", PUBLIC)
def test_name_is_in_the_documentation(name: str) -> None:
    assert re.search(rf"(`hk|:: handlerkit)\.{name}(`|\n)", API)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(hk.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    imported = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(PUBLIC)


def test_import_loads_nothing_heavy() -> None:
    loaded = json.loads(in_a_new_python("import json, sys, handlerkit; print(json.dumps(list(sys.modules)))"))
    assert set(HEAVY).isdisjoint(loaded)


@pytest.mark.parametrize("first", ["import handlerkit", "import handlerkit.cli.main, handlerkit.archive"])
def test_dir_lists_the_public_names_alone(first: str) -> None:
    assert in_a_new_python(f"{first}; print(*dir(handlerkit))").split() == PUBLIC


@pytest.mark.parametrize("use_jedi", [True, False])
def test_tab_offers_the_public_names_alone(use_jedi: bool) -> None:
    code = f"""
from IPython.core.completer import IPCompleter, provisionalcompleter
import handlerkit
with provisionalcompleter():
    completer = IPCompleter(namespace={{"hk": handlerkit}}, use_jedi={use_jedi})
    print(*sorted(one.text.lstrip(".") for one in completer.completions("hk.", 3)))
"""
    assert in_a_new_python(code).split() == [name for name in PUBLIC if not name.startswith("_")]


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
