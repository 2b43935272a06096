"""Which modules of this process a fresh interpreter of its environment would have."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple


@functools.cache
def server_path() -> tuple[str, ...]:
    """sys.path of a fresh interpreter of this environment, without PYTHON* variables and the current folder."""
    program = "import json, sys; print(json.dumps(sys.path))"
    found = subprocess.run([sys.executable, "-E", "-P", "-c", program], capture_output=True, check=True)
    return tuple(json.loads(found.stdout))


class Census(NamedTuple):
    """The modules that are loaded, by their top-level names, and which of those are not installed."""

    roots: Mapping[str, list[str]]
    foreign: set[str]


@functools.lru_cache(maxsize=1)
def census(mark: tuple[int, str]) -> Census:
    """Counted once for all workers, until a module is loaded or dropped: `mark` changes then."""
    roots: dict[str, list[str]] = {}
    for name in sys.modules:
        roots.setdefault(name.partition(".")[0], []).append(name)
    return Census(roots, {root for root in roots if not installed(root)})


def importable(folder: str) -> set[str]:
    """Names of the modules and packages that stand in `folder` itself."""
    found = set()
    for entry in os.scandir(folder):
        if entry.name.endswith(".py"):
            found.add(entry.name[:-3])
        elif entry.is_dir() and os.path.exists(os.path.join(entry.path, "__init__.py")):
            found.add(entry.name)
    return found


def installed(root: str) -> bool:
    """Whether a fresh interpreter would find this top-level module where the loaded one came from."""
    module = sys.modules.get(root)
    return _is_installed(getattr(module, "__file__", None), tuple(getattr(module, "__path__", ())))


@functools.cache
def _is_installed(file: str | None, package: tuple[str, ...]) -> bool:
    places = [os.path.abspath(place) for place in (*package, None if package else file) if place]
    if not places:
        return True  # built in, frozen, or made in memory by an installed package
    packages = tuple(
        os.path.join(folder, "") for folder in server_path() if sys.prefix in folder or sys.base_prefix in folder
    )
    return any(os.path.dirname(place) in server_path() or place.startswith(packages) for place in places)
