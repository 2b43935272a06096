"""The errors: what they carry."""

from __future__ import annotations

import copy
import pickle

import pytest

from handlerkit.errors import HandlerkitError, LoadError, ModelError, ResponseError, ServerError
from handlerkit.messages import Finding, Response, Run

FINDING = Finding("undeclared", "It is not there.", "handler.py, line 1", "It fails.", "Declare it.", "error")
ERRORS = [
    ModelError("no such file"),
    LoadError("it does not load", response=Response(500, body=b"{}"), findings=(FINDING,), logs=("a line",)),
    ResponseError("it answers 503", Run((), (), (), "worker", "m")),
    ServerError("it did not start", "the log"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_goes_to_another_process_whole(error: HandlerkitError) -> None:
    """As with multiprocessing and joblib, which pickle what is raised."""
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert str(there) == str(error)
    assert vars(there) == vars(error)


def test_copied_error_says_the_same() -> None:
    error = ERRORS[1]
    assert isinstance(error, LoadError)
    there = copy.copy(error)
    assert (there.args, there.response, there.findings) == (error.args, error.response, error.findings)
