"""Files that shadow installed modules."""

from __future__ import annotations

import pytest
from findings_of import only


@pytest.mark.parametrize("name", ["random", "json", "queue", "types", "logging", "numpy", "torch", "ts", "yaml"])
@pytest.mark.parametrize("target", ["declared", "torchserve-0.12.0-cpu"])
def test_modules_that_every_worker_imports(checked, name: str, target: str) -> None:
    found = only(checked("import os\n", {f"{name}.py": "x = 1\n"}, target=target), "shadowed_module")
    assert found.where == f"{name}.py"
    assert found.effect.endswith("the worker dies at its start.")
    assert found.fix == f"Rename {name}.py."


def test_a_package_of_that_name(checked) -> None:
    only(checked("import os\n", {"torch/__init__.py": "", "torch/nn.py": ""}), "shadowed_module")


@pytest.mark.parametrize(
    "name", ["utils", "helper", "model", "labels", "test", "wave", "turtle", "transforms", "network"]
)
def test_names_of_their_own(checked, name: str) -> None:
    assert checked(f"from {name} import x\n", {f"{name}.py": "x = 1\n"}) == []


def test_a_folder_of_data_is_no_module(checked) -> None:
    assert checked("import json\n", {"json/labels.txt": "cat\n"}) == []


def test_a_handler_named_like_what_it_imports(checked) -> None:
    found = only(checked("import matplotlib.pyplot\n", name="matplotlib"), "shadowed_module")
    assert found.message == "matplotlib.py imports itself: it shadows the installed matplotlib."


def test_names_that_the_installed_one_has(checked) -> None:
    found = only(checked("from networkx import Graph\n", {"networkx.py": "def draw(): pass\n"}), "shadowed_module")
    assert found.message == "networkx.py shadows the installed networkx, and has no Graph."


def test_a_copy_of_an_installed_module_is_meant(checked) -> None:
    import typing_extensions

    with open(typing_extensions.__file__, "rb") as file:
        assert (
            checked("from typing_extensions import Self\n", {"typing_extensions.py": file.read()}, target="declared")
            == []
        )


def test_modules_inside_the_interpreter_stand_before_files(checked) -> None:
    found = only(checked("from time import measure\n", {"time.py": "def measure(): pass\n"}), "shadowed_module")
    assert found.message == "`time` is inside the interpreter, so time.py of the archive is not imported."
