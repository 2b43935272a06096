"""What every benchmark returns: rows of one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure of ours beside another's, both measured in the same run.

    `ratio` is what `limit` speaks of: ours / other for "at most 2.5 × cp", other / ours for "at least 20 × faster".
    `limit` is "" where there is none, and `ok` true then.
    """

    what: str
    ours: float
    other: float
    unit: str
    ratio: float
    limit: str
    ok: bool


def render(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | ours | other | ratio | limit | |", "|---|---:|---:|---:|---|---|"]
    for row in rows:
        mark = "ok" if row.ok else "**missed**"
        lines.append(
            f"| {row.what} | {_figure(row.ours)} {row.unit} | {_figure(row.other)} {row.unit} "
            f"| {_figure(row.ratio)} | {row.limit} | {mark if row.limit else ''} |"
        )
    return "\n".join(lines)


def _figure(value: float) -> str:
    """Three significant digits, without an exponent."""
    size = abs(value)
    digits = 0 if size >= 100 or size == 0 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"
