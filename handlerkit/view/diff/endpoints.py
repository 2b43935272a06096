"""Two endpoints side by side: what each answered and how long it took, and each difference in a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from handlerkit.formatting import duration, plain
from handlerkit.messages import Exchange
from handlerkit.verify import ComparedEndpoints, ComparedResponse
from handlerkit.view.html import elements, exchange, findings
from handlerkit.view.output import View


class _Row(NamedTuple):
    """What is compared, and what it is on each side."""

    what: str
    ours: str
    theirs: str


def endpoints_view(compared: ComparedEndpoints) -> View:
    """The display of two compared endpoints."""
    names = _names(compared)
    head = _head(compared)
    text, body = [head, f"  {' -> '.join(names)}"], []
    exchanges = zip(compared.run.exchanges, compared.other.exchanges, strict=True)
    for row, pair, seconds in zip(compared.rows, exchanges, compared.seconds, strict=True):
        rows = list(_rows(row, *pair, seconds))
        text.append(f"{row.label}  {row.verdict}{_left_out(row)}")
        text += [f"  {one.what}: {one.ours} -> {one.theirs}" for one in rows]
        body += [_cells(row if first == 0 else None, one) for first, one in enumerate(rows)]
    found = tuple(dict.fromkeys((*compared.run.findings, *compared.other.findings)))
    table = elements.wide_table(("request", "what", *names), body, "answers")
    line = elements.headline(head)
    return View(
        plain("\n".join((*text, *findings.findings_text(found)))),
        elements.page(line, plain(table), findings.findings(found)),
    )


def _names(compared: ComparedEndpoints) -> tuple[str, str]:
    """Those of the endpoints; numbered if both have the same one."""
    ours, theirs = compared.run.endpoint, compared.other.endpoint
    return (ours, theirs) if ours != theirs else (f"{ours} (1)", f"{theirs} (2)")


def _head(compared: ComparedEndpoints) -> str:
    count, differing = len(compared.rows), sum(row.verdict == "different" for row in compared.rows)
    if differing:
        return f"{differing} of {count} answers differ" if count > 1 else "the answer differs"
    return f"{count} answers, all the same" if count > 1 else "the same answer"


def _rows(row: ComparedResponse, one: Exchange, other: Exchange, seconds: tuple[float, float]) -> Iterator[_Row]:
    ours, theirs = (
        f"{exchange.answered(each.response)} in {duration(taken)}"
        for each, taken in zip((one, other), seconds, strict=True)
    )
    yield _Row("answer", ours, theirs)
    for found in row.differences:
        yield _Row(found.where, found.ours, found.theirs)
    for found in row.forced:
        yield _Row(f"{found.where} (forced)", found.ours, found.theirs)


def _left_out(row: ComparedResponse) -> str:
    return f"  left out: {', '.join(row.volatile)}" if row.volatile else ""


def _cells(row: ComparedResponse | None, one: _Row) -> list[str]:
    """A row of the table; the first of a request names it."""
    label = ""
    if row is not None:
        label = f"{elements.escape(row.label)} {exchange.verdict(row)}"
        label += f'<div class="hk-soft">{elements.escape(_left_out(row).strip())}</div>' if row.volatile else ""
        sides = (elements.escape(one.ours), elements.escape(one.theirs))
    else:
        sides = (f"<code>{elements.escape(one.ours)}</code>", f"<code>{elements.escape(one.theirs)}</code>")
    return [label, elements.escape(one.what), *sides]
