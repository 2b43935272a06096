"""An environment of the cache as the own one of one server: what its workers install there goes with the server."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

from handlerkit.targets.target import Environment

_BELOW = "_handlerkit_below.pth"
#: What an environment's folder has beside the data files of its packages.
_OWN = ("bin", "lib", "lib64", "pyvenv.cfg", "environment.json")
#: The rest of a script's first line that names a Python.
_PYTHON = re.compile(rb"\s*/\S*/python[\d.]*\s*")


def lay_over(environment: Environment, folder: Path) -> Environment:
    """An environment in `folder`, a new one, with all that is in this one: its own packages, of which it has none yet,
    come before those. pip and uv install there, and leave what is below alone. This process's own environment is given
    back as it is. Raises OSError."""
    below = environment.folder
    if below is None:
        return environment
    site = folder / _site(below).relative_to(below)
    site.mkdir(parents=True)
    (site / _BELOW).write_text(f"import site; site.addsitedir({str(_site(below))!r})\n")
    shutil.copy(below / "pyvenv.cfg", folder)
    if (below / "lib64").is_symlink():
        (folder / "lib64").symlink_to(os.readlink(below / "lib64"))
    (folder / "bin").mkdir()
    for file in (below / "bin").iterdir():
        _lay_script(file, folder / "bin" / file.name)
    for entry in below.iterdir():
        if entry.name not in _OWN:
            _lay_data(entry, folder / entry.name)
    return replace(environment, interpreter=folder / "bin" / environment.interpreter.name, folder=folder)


def has_more(environment: Environment) -> bool:
    """Whether something was installed into an environment of `lay_over`; never of another one."""
    if environment.folder is None or not (site := _site(environment.folder)).joinpath(_BELOW).exists():
        return False
    return any(entry.name not in (_BELOW, "__pycache__") for entry in site.iterdir())


def _site(folder: Path) -> Path:
    return next(folder.glob("lib/python*/site-packages"))


def _lay_script(file: Path, place: Path) -> None:
    """A script that runs this environment's Python, whichever it named; Python itself and programs are linked."""
    if file.name.startswith("python"):
        place.symlink_to(os.readlink(file) if file.is_symlink() else file)
        return
    with open(file, "rb") as opened:
        head = opened.readline() if opened.read(2) == b"#!" else b""
        content = opened.read() if head else b""
    if not head:
        place.symlink_to(file)
        return
    if _PYTHON.fullmatch(head):
        head = os.fsencode(place.parent / "python") + b"\n"
    here, there = (os.fsencode(folder) + b"/" for folder in (file.parent, place.parent))
    place.write_bytes((b"#!" + head + content).replace(here, there))
    place.chmod(0o755)


def _lay_data(source: Path, place: Path) -> None:
    """Folders are made again, so that what is written there is written here; files are linked."""
    if source.is_dir() and not source.is_symlink():
        place.mkdir()
        for entry in source.iterdir():
            _lay_data(entry, place / entry.name)
    else:
        place.symlink_to(source)
