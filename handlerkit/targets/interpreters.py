"""The Python that a target asks for, or the nearest one, among those that are installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from handlerkit.errors import TargetError


@dataclass(frozen=True)
class Interpreter:
    """A CPython; `version` such as "3.9.18"."""

    path: Path
    version: str

    @property
    def python(self) -> tuple[int, int]:
        """Such as (3, 9)."""
        return python_of(self.version)

    def stands_in_for(self, python: tuple[int, int]) -> str:
        """The sentence that says so; "" if it is the Python that was asked for."""
        if self.python == python:
            return ""
        asked = ".".join(map(str, python))
        return f"Python {self.version} stands in for Python {asked}, which is not installed here"


def exact(found: Sequence[Interpreter], python: tuple[int, int]) -> Interpreter | None:
    """The newest of that Python; None if there is none."""
    fitting = [one for one in found if one.python == python]
    return max(fitting, key=_release, default=None)


def nearest(found: Sequence[Interpreter], python: tuple[int, int]) -> Interpreter:
    """The newest of the Python that is nearest to that; of two as near, the newer one. Raises TargetError for none."""
    usable = [one for one in found if one.python >= (3, 8)]
    if not usable:
        raise TargetError(
            f"no Python is found for a target that asks for Python {'.'.join(map(str, python))}: install one"
        )
    least = min(distance(one.python, python) for one in usable)
    return max((one for one in usable if distance(one.python, python) == least), key=_release)


def distance(one: tuple[int, int], python: tuple[int, int]) -> tuple[int, bool]:
    """How far a Python is from the one that is asked for; older ones count as farther."""
    return abs(one[1] - python[1]), one < python


def python_of(version: str) -> tuple[int, int]:
    """(3, 9) of "3.9.18"."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _release(one: Interpreter) -> tuple[int, ...]:
    return tuple(int(part) for part in one.version.split(".") if part.isdigit())
