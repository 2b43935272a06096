"""The Python that a target asks for, or the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlerkit.errors import TargetError
from handlerkit.targets.interpreters import Interpreter, exact, nearest


def these(*versions: str) -> list[Interpreter]:
    return [Interpreter(Path(f"/usr/bin/python{version}"), version) for version in versions]


def test_newest_of_that_python_is_taken() -> None:
    found = exact(these("3.9.2", "3.9.18", "3.10.1"), (3, 9))
    assert found is not None
    assert found.version == "3.9.18"


def test_there_may_be_none_of_that_python() -> None:
    assert exact(these("3.10.1", "3.11.7"), (3, 9)) is None


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        (("3.11.7", "3.12.1"), "3.11.7"),
        (("3.8.18", "3.10.13", "3.13.0"), "3.10.13"),  # of two as near, the newer: what it lacks is what 3.9 lacks
        (("3.8.18", "3.12.1"), "3.8.18"),
        (("3.7.2", "3.6.15", "3.13.0"), "3.13.0"),  # too old for anything that a target pins
        (("3.10.1", "3.10.13", "3.10.4"), "3.10.13"),
    ],
)
def test_nearest_stands_in(versions: tuple[str, ...], chosen: str) -> None:
    assert nearest(these(*versions), (3, 9)).version == chosen


def test_one_that_stands_in_says_so() -> None:
    (one,) = these("3.10.13")
    assert one.stands_in_for((3, 9)) == "Python 3.10.13 stands in for Python 3.9, which is not installed here"
    assert one.stands_in_for((3, 10)) == ""


def test_no_python_at_all_is_one_sentence() -> None:
    with pytest.raises(TargetError, match=r"no Python is found for a target that asks for Python 3\.9"):
        nearest([], (3, 9))
