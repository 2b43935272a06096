"""Several texts in a request, and an answer to each: each beside its text."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from handlerkit.formatting import shorten
from handlerkit.messages import Exchange, Request
from handlerkit.messages.texts import texts_of
from handlerkit.predictions import bodies
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import Source
from handlerkit.view.drawings import MOST, Drawing, drawing
from handlerkit.view.html import elements, fragments
from handlerkit.view.views.spec import ViewSpec


@dataclass(frozen=True, eq=False)
class AnsweredTexts:
    """The texts of a request, and the answer to each as the view reads it that fits it."""

    texts: tuple[str, ...]
    answers: tuple[DecodedResponse, ...]


def _read(source: Source) -> AnsweredTexts | None:
    """A list with an object or a list for each of the texts."""
    if source.read_part is None or len(texts := texts_of(source.request)) < 2:
        return None
    for body in bodies(source.json):
        if isinstance(body, list) and len(body) == len(texts) and all(isinstance(one, dict | list) for one in body):
            parts = [
                Exchange(Request.text(text), replace(source.response, body=json.dumps(answer).encode(), chunks=None))
                for text, answer in zip(texts[:MOST], body, strict=False)
            ]
            return AnsweredTexts(texts, tuple(map(source.read_part, parts)))
    return None


def _draw(content: AnsweredTexts, answer: DecodedResponse) -> Drawing:
    rows, facts = [], [f"{len(content.texts)} texts, an answer to each:"]
    for text, one in zip(content.texts, content.answers, strict=False):
        drawn = drawing(one)
        said = "; ".join(drawn.lines) or shorten(" ".join(drawn.text.split()))
        facts.append(f"“{shorten(' '.join(text.split()), 60)}”  ->  {said}")
        beside = "" if one.spec.shows_request else f'<div class="hk-text">{elements.escape(shorten(text, 600))}</div>'
        rows.append(
            f'<div class="hk-beside hk-of-text">{beside}<div>{elements.key(drawn.keys)}{drawn.html}</div></div>'
        )
    if len(content.texts) > MOST:
        more = f"and {len(content.texts) - MOST} more"
        facts.append(more)
        rows.append(f'<div class="hk-soft">{more}</div>')
    html, folded = "".join(rows), elements.code(fragments.pretty(answer.body.decode(errors="replace")))
    return Drawing((facts[0],), html=html, small=html, text="\n".join(facts[1:]), folded=folded, shown_as=answer.view)


SEVERAL = ViewSpec("texts", _read, AnsweredTexts, _draw, shows_request=True)
