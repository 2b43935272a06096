"""Targets: the environments in which an archive is proven.

`find` gives one by its name, as plain data; its `build` makes the environment. Where a thing belongs:

    target.py         Target and Environment, what all of them are
    here.py           this environment whole
    declared.py       this environment, but only what is declared: links to the distributions' files
    installed.py      the official images' pins, requirements and lock files: installed by uv
    official.py       the official images' pins, nothing else
    overlay.py        an environment as the own one of one server
    uv.py             uv, as a program that is started
    requirements.py   reads requirements and lock files
    distributions.py  reads what is installed in a folder
    interpreters.py   finds the Python that a target asks for
    cache.py, lock.py keep what was made: whole, shared between processes, bounded

A new target is a subclass of `Target` in a file of its own, and a word in `find`. Nothing here imports what runs or
describes a model: archive, unpack, model, messages and below are allowed (import-linter).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from handlerkit.errors import TargetError
from handlerkit.targets import official
from handlerkit.targets.cache import Cached, cached, remove
from handlerkit.targets.declared import Declared
from handlerkit.targets.here import Here
from handlerkit.targets.installed import Installed
from handlerkit.targets.target import Environment, Target

__all__ = ["NAMES", "Cached", "Environment", "Target", "cached", "find", "remove"]

#: The names of targets that are no files.
NAMES = ("declared", *official.NAMES, "here")
#: A name that is meant as a file, also if there is none: with a folder, or a suffix of letters.
_FILE_NAME = re.compile(r"/|\.[A-Za-z]+$")


def find(name: str | os.PathLike[str]) -> Target:
    """The target of that name; nothing is built.

    Args:
        name: "declared", "torchserve-0.12.0-cpu", "torchserve-0.12.0-gpu", "here", or the path of a requirements or
            lock file: requirements.txt, what `pip freeze`, pip-compile or `uv export` wrote, pylock.toml. A comment
            such as "# Python 3.9" says which Python it is for, as the headers of pip-compile and uv do; without one it
            is this Python.

    Raises TargetError, in one sentence, for a name that is none of them, for a file that cannot be read, and for one
    that names no package.
    """
    if name == "declared":
        return Declared()
    if name == "here":
        return Here()
    if name in official.NAMES:
        return Installed.official(str(name))
    path = Path(name).expanduser()
    if not os.fspath(name) or not path.exists():
        kind = "file" if _FILE_NAME.search(os.fspath(name)) else "target"
        raise TargetError(
            f"there is no {kind} {os.fspath(name)!r}: choose {', '.join(NAMES)}, or name a requirements or lock file"
        )
    return Installed.of_file(path)
