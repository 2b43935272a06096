"""What every benchmark returns: rows of one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan


@dataclass(frozen=True)
class Row:
    """One figure of ours beside another's, both measured in the same run.

    `ratio` is what `limit` speaks of: ours / other for "at most 2.5 × cp", other / ours for "at least 20 × faster".
    `limit` is "" where there is none, and `ok` true then. `note` is below the table: what bounds the figure, or why
    there is none.
    """

    what: str
    ours: float
    other: float
    unit: str
    ratio: float
    limit: str
    ok: bool
    note: str = ""

    @classmethod
    def cheaper(cls, what: str, ours: float, other: float, unit: str, least: float, note: str = "") -> Row:
        """One whose other figure is to be at least so many times ours."""
        ratio = other / ours
        return cls(what, ours, other, unit, ratio, f"at least {least} × cheaper", ratio >= least, note)

    @classmethod
    def dearer(cls, what: str, ours: float, other: float, unit: str, most: float, note: str = "") -> Row:
        """One whose own figure is to be at most so many times the other."""
        ratio = ours / other
        return cls(what, ours, other, unit, ratio, f"at most {most} ×", ratio <= most, note)

    @classmethod
    def skipped(cls, what: str, reason: str) -> Row:
        """One that could not be measured here."""
        return cls(what, nan, nan, "", nan, "", True, f"skipped: {reason}")


def render(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, and their notes as a list."""
    lines = ["| what | ours | other | ratio | limit | |", "|---|---:|---:|---:|---|---|"]
    for row in rows:
        mark = "skipped" if isnan(row.ratio) else "" if not row.limit else "ok" if row.ok else "**missed**"
        lines.append(
            f"| {row.what} | {_figure(row.ours)} {row.unit} | {_figure(row.other)} {row.unit} "
            f"| {_figure(row.ratio)} | {row.limit} | {mark} |"
        )
    notes = [f"- {row.what}: {row.note}" for row in rows if row.note]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _figure(value: float) -> str:
    """Three significant digits, without an exponent."""
    if isnan(value):
        return "–"
    size = abs(value)
    digits = 0 if size >= 100 or size == 0 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"
