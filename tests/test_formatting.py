"""Numbers, and text that others wrote, as displays show them."""

from __future__ import annotations

import re

import pytest

from handlerkit.formatting import byte_size, duration, plain, tally, visible


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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ns"),
        (84e-6, "84 µs"),
        (1.2e-3, "1.2 ms"),
        (12.34e-3, "12.3 ms"),
        (0.1234, "123 ms"),
        (0.9996, "1 s"),
        (3.4, "3.4 s"),
        (59.99, "1 min"),
        (90, "1.5 min"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
    assert re.fullmatch(r"\d[\d.,]*\s?(ns|µs|ms|s|min)", said)  # what compares notebooks


def test_sizes() -> None:
    counts = (0, 89, 12_400, 999_960, 6_553_500)
    assert [byte_size(count) for count in counts] == ["0 B", "89 B", "12.4 KB", "1 MB", "6.6 MB"]


def test_verdicts_are_tallied_in_their_order() -> None:
    assert tally(["same", "failed", "same"]) == "2 same, 1 failed"
