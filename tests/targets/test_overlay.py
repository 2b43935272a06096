"""An environment of the cache under one that a server has for itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from target_cases import python

from handlerkit.targets import Environment, find
from handlerkit.targets.overlay import has_more, lay_over

TELLS = "import json, sys, tiny, hooked; print(json.dumps([sys.prefix, tiny.NAME, hooked.NAME, tiny.__file__]))"


@pytest.fixture
def cached(tmp_path: Path) -> Environment:
    """With a package, a .pth file that adds a folder, a script, a program, and a data file."""
    folder = tmp_path / "cached"
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "tiny.py").write_text("NAME = 'tiny'\n")
    (site / "added").mkdir()
    (site / "added" / "hooked.py").write_text("NAME = 'hooked'\n")
    (site / "added.pth").write_text("added\n")
    (folder / "bin" / "tell").write_text(f"#!{folder}/bin/python\n{TELLS}\n")
    (folder / "bin" / "relocatable").write_text(
        '#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"\n\'\'\'\n' + f"{TELLS}\n"
    )
    (tmp_path / "elsewhere").write_text(f"#!/usr/bin/python3.9\n{TELLS}\n")
    (folder / "bin" / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "bin" / "program").symlink_to("/bin/true")
    (folder / "share").mkdir()
    (folder / "share" / "data").write_text("data")
    for name in ("tell", "relocatable"):
        (folder / "bin" / name).chmod(0o755)
    return Environment("t", folder / "bin" / "python", "3", {}, "", folder, {})


@pytest.fixture
def over(cached: Environment, tmp_path: Path) -> Environment:
    return lay_over(cached, tmp_path / "over")


def test_has_all_that_is_below(cached: Environment, over: Environment) -> None:
    assert cached.folder is not None
    below = next(cached.folder.glob("lib/python*/site-packages/tiny.py"))
    assert json.loads(python(over, TELLS)) == [str(over.folder), "tiny", "hooked", str(below)]
    assert ((over.folder or Path()) / "share" / "data").read_text() == "data"


@pytest.mark.parametrize("script", ["tell", "relocatable", "linked"])
def test_scripts_run_there(over: Environment, script: str) -> None:
    done = subprocess.run([over.path / script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0] == str(over.folder)
    assert subprocess.run([over.path / "program"], check=False).returncode == 0


def test_what_is_installed_there_comes_first_and_leaves_the_one_below_alone(
    cached: Environment, over: Environment, wheels: Path
) -> None:
    before = _listing(cached)
    assert not has_more(over)
    site = next((over.folder or Path()).glob("lib/python*/site-packages"))
    install = [sys.executable, "-m", "pip", "--python", over.interpreter, "install", "--no-index", "--find-links"]
    subprocess.run([*install, wheels, "tiny"], capture_output=True, check=True)
    (over.folder or Path()).joinpath("share", "more").write_text("")
    assert has_more(over)
    assert json.loads(python(over, TELLS))[3] == str(site / "tiny.py")
    assert _listing(cached) == before
    assert not has_more(cached)


def test_bytecode_is_no_package(over: Environment) -> None:
    next((over.folder or Path()).glob("lib/python*/site-packages")).joinpath("__pycache__").mkdir()
    assert not has_more(over)


def test_own_environment_is_given_back(tmp_path: Path) -> None:
    here = find("here").build()
    assert lay_over(here, tmp_path / "over") is here
    assert not has_more(here)


def _listing(environment: Environment) -> set[str]:
    return {
        os.path.join(base, file)
        for base, _, files in os.walk(environment.folder or "")
        for file in files
        if not file.endswith(".pyc")
    }
