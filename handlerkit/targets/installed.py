"""Targets that uv installs: the official images' pins, and requirements and lock files."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from handlerkit.errors import TargetError
from handlerkit.targets import cache, official
from handlerkit.targets.distributions import installed
from handlerkit.targets.here import modules, versions
from handlerkit.targets.interpreters import Interpreter, distance, exact, nearest, python_of
from handlerkit.targets.requirements import (
    RequirementLine,
    asked_python,
    check_kind,
    is_lock,
    markers_environment,
    pins_of,
    read_lines,
    read_lock,
    read_text,
)  # fmt: skip
from handlerkit.targets.target import Environment, Progress, Target
from handlerkit.targets.uv import Uv, Wanted

#: A pin's local version, as in torch==2.4.0+cpu.
_LOCAL = re.compile(r"(==\s*[\w.!]+)\+[\w.]+")


class Installed(Target):
    """Packages by their pins, installed by uv into the cache."""

    installs = True

    def __init__(self, name: str, python: tuple[int, int], wanted: Wanted) -> None:
        self.name = name
        self.python = python
        self._wanted = wanted
        self.key = self._key(python)

    @property
    def pins(self) -> Mapping[str, str]:
        """As the image or the file has them."""
        return self._wanted.pins

    @classmethod
    def official(cls, name: str) -> Installed:
        """An official image's."""
        wanted = "".join(f"{one}=={version}\n" if version else f"{one}\n" for one, version in official.PINS.items())
        return cls(name, official.PYTHON, Wanted(wanted, False, official.PINS))

    @classmethod
    def of_file(cls, path: Path) -> Installed:
        """A requirements or lock file's. Raises TargetError for a file that is none."""
        check_kind(path)
        here = sys.version_info[:2]
        if is_lock(path):
            lock = read_lock(path)
            return cls(path.name, lock.python or here, Wanted(read_text(path), True, lock.pins))
        python = asked_python(read_text(path)) or here
        lines = read_lines(path)
        if not any(line.names_package for line in lines):
            raise TargetError(f"{os.fspath(path)!r} names no package: it is no requirements file")
        return cls(path.name, python, Wanted(_as_text(lines), False, pins_of(lines, markers_environment(python))))

    def built(self, requirements: Sequence[str] = ()) -> Environment | None:
        """Made with the Python that it asks for, or with one that stands in for it."""
        return cache.read(cache.folder(self.key)) or self._standing_in()

    def build(self, requirements: Sequence[str] = (), progress: Progress | None = None) -> Environment:
        """Raises TargetError if uv is not installed, no Python is found, and a package is not to be had."""
        if (found := cache.read(cache.folder(self.key))) is not None:
            return found
        uv = Uv.find(self.name, progress)
        interpreter = exact(uv.interpreters(), self.python)
        if interpreter is None and (found := self._standing_in()) is not None:
            return found
        if interpreter is None:
            uv.download_python(self.python)
            interpreter = nearest(uv.interpreters(), self.python)
        return self._built_with(interpreter, uv, progress)

    def _built_with(self, interpreter: Interpreter, uv: Uv, progress: Progress | None) -> Environment:
        def make(aside: Path, final: Path) -> cache.Record:
            stands_in = interpreter.stands_in_for(self.python)
            uv.make(aside, interpreter.path, self._wanted, stands_in)
            found = installed(aside.glob("lib/python*/site-packages")).values()
            return cache.Record(self.name, interpreter.version, versions(found), modules(found), stands_in)

        return cache.made(self._key(interpreter.python), self.name, make, progress)

    def _standing_in(self) -> Environment | None:
        """One that was made with another Python, the nearest of those."""
        digest = self.key.rpartition("-")[2]
        found = [cache.read(place) for place in cache.root().glob(f"*-py3*-{digest}")]
        pythons = [(distance(python_of(one.python_version), self.python), one) for one in found if one is not None]
        return min(pythons, key=lambda pair: pair[0], default=(None, None))[1]

    def _key(self, python: tuple[int, int]) -> str:
        """Names the environment by what it is made from."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.name.lower())[:40].strip("-") or "file"
        made_from = f"{cache.FORM} {self.python} {self._wanted.is_lock} {self._wanted.text}"
        return f"{slug}-py{python[0]}{python[1]}-{sha256(made_from.encode()).hexdigest()[:12]}"


def _as_text(lines: Sequence[RequirementLine]) -> str:
    """What uv installs. A local version such as 2.4.0+cpu is a build that a package registry does not have; without an
    index of its own, the file gets the registry's build of 2.4.0."""
    has_index = any(
        line.text.startswith(("-i", "--index-url", "--extra-index-url", "-f", "--find-links")) for line in lines
    )
    texts = [line.text if has_index else _LOCAL.sub(r"\1", line.text) for line in lines]
    return "".join(f"{text}\n" for text in texts)
