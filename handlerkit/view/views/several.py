"""Several texts in a request, and an answer to each: each beside its text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from handlerkit.formatting import shorten
from handlerkit.messages import Exchange, Request
from handlerkit.messages.texts import texts_of
from handlerkit.predictions import bodies, is_number
from handlerkit.view.contents.drawings import MOST, Drawing, drawing
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import Source
from handlerkit.view.html import elements, fragments
from handlerkit.view.views.spec import ViewSpec

_SCORED = re.compile(r"\S.* -?\d+\.\d{4}( .+)?")


@dataclass(frozen=True, eq=False)
class AnsweredTexts:
    """The texts of a request, and the answer to each as the view reads it that fits it."""

    texts: tuple[str, ...]
    answers: tuple[DecodedResponse, ...]


def _read(source: Source) -> AnsweredTexts | None:
    if source.read_part is None or len(texts := texts_of(source.request)) < 2:
        return None
    if (answers := _answers(source, len(texts))) is None:
        return None
    parts = [
        Exchange(Request.text(text), replace(source.response, body=answer, chunks=None))
        for text, answer in zip(texts[:MOST], answers, strict=False)
    ]
    return AnsweredTexts(texts, tuple(map(source.read_part, parts)))


def _answers(source: Source, count: int) -> list[bytes] | None:
    """The answer to each of the texts: of a list of objects, lists or texts, of columns, or of paragraphs."""
    if source.json is None:
        return _paragraphs(source, count)
    for body in bodies(source.json):
        rows = body if isinstance(body, list) else _rows(body)
        if rows is not None and len(rows) == count and all(isinstance(one, dict | list | str) for one in rows):
            return [(one if isinstance(one, str) else json.dumps(one)).encode() for one in rows]
    return None


def _rows(body: Any) -> list[Any] | None:
    """`{"labels": ["good", "bad"], "scores": [0.9, 0.8]}` as what it says of each text; None for the classes of one
    text, whose scores add up to 1, and for other objects."""
    columns = {key: value for key, value in body.items() if isinstance(value, list)} if isinstance(body, dict) else {}
    counts = {len(column) for column in columns.values()}
    if len(counts) != 1 or _are_of_one(columns):
        return None
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [
        {key: value[i] if isinstance(value[i], list) else [value[i]] for key, value in columns.items()}
        for i in range(counts.pop())
    ]


def _are_of_one(columns: dict[str, list[Any]]) -> bool:
    """Whether columns may be the classes of one text: each has a name of its own, and they share a whole of 1."""
    names = [column for column in columns.values() if all(isinstance(one, str) for one in column)]
    shares = [column for column in columns.values() if all(map(is_number, column))]
    return any(len(set(column)) == len(column) for column in names) and any(
        abs(sum(column) - 1) < 0.01 for column in shares
    )


def _paragraphs(source: Source, count: int) -> list[bytes] | None:
    """A paragraph for each text, of lines such as `good 0.8700`, as the text handlers in handlerkit/handlers/ write
    them; it is empty if nothing was found."""
    paragraphs = (source.text or "").split("\n\n")
    fits = len(paragraphs) == count and any(paragraphs)
    lines = [line for one in paragraphs for line in one.splitlines()]
    return [one.encode() for one in paragraphs] if fits and all(map(_SCORED.fullmatch, lines)) else None


def _draw(content: AnsweredTexts, answer: DecodedResponse) -> Drawing:
    rows, facts = [], [f"{len(content.texts)} texts, an answer to each:"]
    for text, one in zip(content.texts, content.answers, strict=False):
        drawn = drawing(one)
        said = "; ".join(drawn.lines) or shorten(" ".join(drawn.text.split()))
        facts.append(f"“{shorten(' '.join(text.split()), 60)}”  ->  {said}")
        beside = "" if one.spec.shows_request else f'<div class="hk-text">{elements.escape(shorten(text, 600))}</div>'
        answered = f"{elements.key(drawn.keys)}{drawn.html}" or elements.escape(said)
        rows.append(f'<div class="hk-beside hk-of-text">{beside}<div>{answered}</div></div>')
    if len(content.texts) > MOST:
        more = f"and {len(content.texts) - MOST} more"
        facts.append(more)
        rows.append(f'<div class="hk-soft">{more}</div>')
    html, folded = "".join(rows), elements.code(fragments.pretty(answer.body.decode(errors="replace")))
    shown_as = answer.view if answer.body.lstrip()[:1] in (b"[", b"{") else ""
    return Drawing((facts[0],), html=html, small=html, text="\n".join(facts[1:]), folded=folded, shown_as=shown_as)


SEVERAL = ViewSpec("texts", _read, AnsweredTexts, _draw, shows_request=True)
