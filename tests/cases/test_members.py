"""Values of JSON and of Python objects in a text, and where they stand."""

from __future__ import annotations

import pytest

from handlerkit.cases.members import quoted_as, values_in


def told(text: str) -> list[tuple[str | None, str, str]]:
    """Each text and number: its key, what it says, and how that is written."""
    leaves = sorted(values_in(text)[0].leaves(), key=lambda one: one.start)
    return [(one.key, one.text, text[one.start : one.end]) for one in leaves]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a": "x", "b": [1, "y"], "c": null, "d": {"e": 2.5}}',
         [("a", "x", '"x"'), (None, "1", "1"), (None, "y", '"y"'), ("e", "2.5", "2.5")]),
        ("[[1, 2.5], [-3e-7]]", [(None, "1, 2.5", "1, 2.5"), (None, "-3e-7", "-3e-7")]),
        (r'{"a\u0062": "\"q\" \u00e9"}', [("ab", '"q" é', r'"\"q\" \u00e9"')]),
        ("{'a': 'it\\'s \"so\"', 'b': None, 'c': ('d', 1)}",
         [("a", 'it\'s "so"', "'it\\'s \"so\"'"), (None, "d", "'d'"), (None, "1", "1")]),
        ('said {"a": "x"} and "b": "y"', [("a", "x", '"x"'), ("b", "y", '"y"')]),
        ('{"a": "x", "b": "unfinis', [("a", "x", '"x"')]),
        ('}]{"a": 1', [("a", "1", "1")]),
        ("", []),
    ],
)  # fmt: skip
def test_values(text: str, values: list[tuple[str | None, str, str]]) -> None:
    assert told(text) == values


def test_depth_is_no_obstacle() -> None:
    assert told("[" * 100_000 + '{"a": "x"') == [("a", "x", '"x"')]


@pytest.mark.parametrize("text", ['"x"', "'x'"])
def test_a_value_is_written_in_its_own_quotes(text: str) -> None:
    (value,) = values_in(text)[0].leaves()
    written = quoted_as(value, "a \"b\" 'c'", text)
    assert told(written)[0][1] == "a \"b\" 'c'"
