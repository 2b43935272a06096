"""The section `handler:` of model-config.yaml."""

from __future__ import annotations

from typing import Any

import pytest
from handler_settings import Settings


def test_settings_have_defaults_and_are_read() -> None:
    known = Settings(size=(7, ("a number", lambda value: isinstance(value, int))))
    assert vars(known.read({})) == {"size": 7, "max_response_size": 6553500}
    assert (
        vars(known.read({"handler": None})) == vars(known.read({"handler": {"profile": True}})) == vars(known.read({}))
    )
    assert known.read({"handler": {"size": 9}}).size == 9


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": "9"}, "section handler: size is a number, not '9'"),
        ({"seize": 9}, "there is no setting 'seize', only size, max_response_size"),
        ([9], r"it holds settings by name, not \[9\]"),
    ],
)
def test_wrong_settings_are_named(given: Any, sentence: str) -> None:
    known = Settings(size=(7, ("a number", lambda value: isinstance(value, int))))
    with pytest.raises(RuntimeError, match=sentence):
        known.read({"handler": given})
