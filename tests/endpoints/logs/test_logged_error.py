"""Exceptions rebuilt from what a worker logged: for each, what Python itself tells of the original."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from handlerkit.endpoints.logs.logged_error import exception_from_log
from handlerkit.endpoints.logs.torchserve_log import error_in
from handlerkit.messages import ErrorInfo, Frame


class OddError(Exception):
    pass


def logged(function: Callable[[], Any]) -> tuple[BaseException, ErrorInfo]:
    """What a function raises, and what is read of it in a log."""
    try:
        function()
    except BaseException as error:
        info = error_in("".join(traceback.format_exception(error)).rstrip().split("\n"))
        assert info is not None
        return error, info
    raise AssertionError


@pytest.mark.parametrize(
    "code",
    [
        "{}['data']",
        "{}[1]",
        "undefined_name",
        "prnt",
        "import nobody_has_this.inside",
        "from os import nobody_has_this",
        "from os import pth",
        "(1).bit_lenth",
        "x = 1 +",
        "open('nobody_has_this')",
        "b'\\xff'.decode()",
        "raise ValueError",
        "raise ValueError('two\\nlines: with more')",
        "raise KeyboardInterrupt",
    ],
)
def test_type_text_and_name_survive(code: str) -> None:
    error, info = logged(lambda: exec(code, {}))
    again = exception_from_log(info)
    assert type(again).__name__ == type(error).__name__
    assert getattr(again, "name", None) == getattr(error, "name", None)
    if isinstance(error, SyntaxError):
        assert isinstance(again, SyntaxError)
        assert (again.msg, again.lineno, again.filename) == (error.msg, error.lineno, error.filename)
    elif not isinstance(error, OSError):  # its text holds the number, its arguments do not
        assert str(again) == str(error)


def test_other_class_is_made_up() -> None:
    def fail() -> None:
        raise OddError("text")

    again = exception_from_log(logged(fail)[1], RuntimeError)
    assert (type(again).__name__, str(again), isinstance(again, RuntimeError)) == ("OddError", "text", True)


def test_class_that_takes_more_than_a_message_is_made_up() -> None:
    again = exception_from_log(ErrorInfo("UnicodeDecodeError", "'utf-8' codec can't decode", (), ""))
    assert (type(again).__name__, str(again)) == ("UnicodeDecodeError", "'utf-8' codec can't decode")


HANDLER = Frame("h.py", 3, "initialize", "")
