"""What is copied into exported apps is a package of its own, whatever it is called there, and runs on Python 3.9."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import vermin

import handlerkit.serving

FOLDER = Path(handlerkit.serving.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))
ALLOWED = {"httptools"}
#: start runs inside a TorchServe worker; models_file runs where workers do, which need yaml too; bulk imports what
#: tables and clusters need when it meets them.
OTHERS = {
    "start.py": {"ts"}, "models_file.py": {"yaml"}, "inputs.py": {"pyarrow"}, "results.py": {"pyarrow"},
    "on_ray.py": {"ray"},
}  # fmt: skip


def python_3_9() -> str | None:
    """One that runs, of the places where one may be."""
    found = [shutil.which("python3.9"), *map(str, Path.home().glob(".pyenv/versions/3.9*/bin/python"))]
    works = [
        one for one in found if one and subprocess.run([one, "-V"], capture_output=True, check=False).returncode == 0
    ]
    return works[0] if works else None


def imported(file: Path) -> set[str]:
    """The packages that a module imports, but for the standard library's and its own."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            is_inside = 0 < node.level <= len(file.relative_to(FOLDER).parts)
            names.add("" if is_inside else node.module or "a package above")
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {""}


@pytest.mark.parametrize("file", [pytest.param(file, id=file.name) for file in MODULES])
def test_a_module_imports_the_standard_library_the_parser_and_its_neighbors(file: Path) -> None:
    assert imported(file) <= ALLOWED | OTHERS.get(file.name, set())


@pytest.mark.parametrize("file", [pytest.param(file, id=file.name) for file in MODULES])
def test_a_module_needs_no_newer_python_than_3_9(file: Path) -> None:
    visitor = vermin.visit(file.read_text(), vermin.Config())
    _, newest = visitor.minimum_versions()
    assert newest <= (3, 9)


def test_all_can_be_imported_in_python_3_9(tmp_path: Path) -> None:
    if (python := python_3_9()) is None:
        pytest.skip("there is no Python 3.9 here: with it (uv python install 3.9) this test runs")
    shutil.copytree(FOLDER, tmp_path / "copied")
    # where httptools is not installed for it, an empty module stands in
    (tmp_path / "httptools.py").write_text("HttpRequestParser = None\n")
    places = [file.relative_to(FOLDER).with_suffix("").parts for file in MODULES if file.stem != "__init__"]
    names = [".".join(("copied", *place)) for place in places]
    script = f"import {', '.join(names)}"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([python, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_contract_forbids_every_package_that_the_kit_imports() -> None:
    kit = FOLDER.parent
    files = [file for file in kit.rglob("*.py") if {"handlers", "files"}.isdisjoint(file.relative_to(kit).parts)]
    names = {name for file in files for name in imported(file)} - {kit.name}
    contracts = tomllib.loads((kit.parent / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one["name"].startswith("serving stands alone")]
    assert names - ALLOWED <= set(contract["forbidden_modules"])
