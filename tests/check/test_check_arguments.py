"""Arguments that an older Python's standard library does not take."""

from __future__ import annotations

import pytest
from findings_of import only


@pytest.mark.parametrize(
    ("line", "version"),
    [
        (r'import re; X = re.compile(r"(?>[a-z]+)\d")', "3.11"),
        (r'import re; X = re.sub(r"\d++", "", "1")', "3.11"),
        (r'import re; X = re.findall(r"a{1,2}+", "1")', "3.11"),
        ('import datetime; X = datetime.datetime.fromisoformat("2024-01-01T00:00:00Z")', "3.11"),
        ('from datetime import datetime; X = datetime.fromisoformat("2024-01-01T00:00:00Z")', "3.11"),
        ('import traceback; X = traceback.format_exception(ValueError("x"))', "3.10"),
    ],
)
def test_what_python_39_does_not_take(checked, line: str, version: str) -> None:
    found = only(checked(f"{line}\n"), "newer_python")
    assert f"Python {version}; torchserve-0.12.0-cpu has 3.9." in found.message


@pytest.mark.parametrize(
    "line",
    [
        r'import re; X = re.compile(r"[+*]+\++ {2}x}+ (?P<a>b)+ \\+")',
        r'import re; X = re.compile("[]+]+")',
        'import datetime; X = datetime.datetime.fromisoformat("2024-01-01T00:00:00+00:00")',
        'import traceback; X = traceback.format_exception(ValueError, ValueError("x"), None)',
        "import sys, traceback; X = traceback.format_exception(*sys.exc_info())",
        'import re\ntry:\n    X = re.compile("a++")\nexcept Exception:\n    X = None',
    ],
)
def test_what_it_takes(checked, line: str) -> None:
    assert checked(f"{line}\n") == []


HINTS = """
from __future__ import annotations
import typing

class Handler:
    top: int | None = None

    def initialize(self, context):
        self.hints = typing.get_type_hints({})

    def handle(self, data, context):
        return data
"""


def test_annotations_that_are_evaluated_after_all(checked) -> None:
    assert only(checked(HINTS.format("Handler")), "newer_python").where == "handler.py, line 6"


def test_annotations_of_another_class(checked) -> None:
    assert checked(HINTS.format("Exception")) == []
