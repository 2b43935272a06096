"""Text that others wrote, as displays show it."""

from __future__ import annotations

import pytest

from handlerkit.formatting import plain, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\u202eb\u2069", "a\\u202eb\\u2069"),
        ("a\u200fb\ufeff", "a\\u200fb\\ufeff"),
        ("over\rwritten", "over\\rwritten"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("a\tb\r\nc\n", "a\tb\r\nc\n"),
        ("שלום ∙ 👩\u200d🔬 é", "שלום ∙ 👩\u200d🔬 é"),
    ],
)
def test_what_steers_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_plain_leaves_it_to_visible() -> None:
    assert plain("\x1b[1mbold at 0x7f0000001234") == "\x1b[1mbold at 0x…"
