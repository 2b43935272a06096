"""Names found in a text: the text with each of them marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handlerkit.formatting import shorten
from handlerkit.messages.texts import texts_of
from handlerkit.predictions import are_rows, bodies, is_number
from handlerkit.view.contents.changes import FEW, Changes
from handlerkit.view.contents.drawings import Drawing
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import Source
from handlerkit.view.html import fragments
from handlerkit.view.views.spec import ViewSpec

_LABELS = ("entity_group", "entity", "label", "type", "tag")
_ROWS = ("entities", "ents")
_WRITTEN = 8  # entities in words


@dataclass(frozen=True)
class Entity:
    """A name, from character `start` of a text to before `end`."""

    label: str
    start: int
    end: int
    score: float | None = None


@dataclass(frozen=True)
class MarkedText:
    """A text and the names in it, in their order."""

    text: str
    entities: tuple[Entity, ...]


def _read(source: Source) -> MarkedText | None:
    """Rows with "start" and "end" in the text that was sent, as transformers' pipelines, spaCy and the kit's
    text_entities answer; where they lack those, "word" is looked for in the text."""
    for body in bodies(source.json):
        rows: Any = next((body[key] for key in _ROWS if key in body), None) if isinstance(body, dict) else body
        if isinstance(rows, list) and len(rows) == 1 and are_rows(rows[0]):
            rows = rows[0]
        if not are_rows(rows):
            continue
        said = body.get("text") if isinstance(body, dict) else None
        texts = (said,) if isinstance(said, str) else texts_of(source.request)
        if len(texts) == 1 and (found := _entities(rows, texts[0])) is not None:
            return MarkedText(texts[0], tuple(_merged(found, texts[0])))
    return None


def _entities(rows: Sequence[Mapping[str, Any]], text: str) -> list[Entity] | None:
    """The entities of these rows; None if one of the rows is none."""
    found: list[Entity] = []
    for row in rows:
        label = next((row[key] for key in _LABELS if isinstance(row.get(key), str)), None)
        start, end = row.get("start"), row.get("end")
        if start is None and isinstance(word := row.get("word"), str):
            start = text.find(word.removeprefix("##").lstrip("Ġ▁"), found[-1].end if found else 0)
            end = start + len(word.removeprefix("##").lstrip("Ġ▁"))
        if label is None or type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
            return None
        score: Any = row.get("score")
        found.append(Entity(label, start, end, score if is_number(score) else None))
    return sorted(found, key=lambda one: (one.start, -one.end))


def _merged(found: Sequence[Entity], text: str) -> Iterator[Entity]:
    """Tokens that go on with an entity (I-PER behind B-PER) are one with it."""
    open_: Entity | None = None
    for one in found:
        prefix, dash, kind = one.label.partition("-")
        tagged = dash and prefix in ("B", "I", "E", "L", "S", "U")
        kind = kind if tagged else one.label
        goes_on = tagged and prefix not in ("B", "S", "U")
        if open_ is not None and goes_on and kind == open_.label and not text[open_.end : one.start].strip():
            scores = [score for score in (open_.score, one.score) if score is not None]
            open_ = Entity(kind, open_.start, one.end, min(scores, default=None))
            continue
        if open_ is not None:
            yield open_
        open_ = Entity(kind, one.start, one.end, one.score)
    if open_ is not None:
        yield open_


def _draw(content: MarkedText, answer: DecodedResponse) -> Drawing:
    counted = Counter(one.label for one in content.entities).most_common()
    keys = tuple((answer.named(label), str(count), answer.color(label), None) for label, count in counted)
    written = ", ".join(_written(one, content.text) for one in content.entities[:_WRITTEN])
    count = len(content.entities)
    more = f" and {count - _WRITTEN} more" if count > _WRITTEN else ""
    fact = f"{count} {'entity' if count == 1 else 'entities'}: {written}{more}"
    spans = [(one.start, one.end, answer.short(one.label), answer.color(one.label)) for one in content.entities]
    return Drawing((fact,), keys, html=fragments.marked(content.text, spans))


def _written(one: Entity, text: str) -> str:
    score = "" if one.score is None else f" {one.score:.2f}"
    return f"{one.label} “{shorten(text[one.start : one.end], 40)}”{score}"


def _changes(before: MarkedText, after: MarkedText, answer: DecodedResponse) -> Changes:
    if before.text != after.text:
        return Changes(("the texts differ",))
    sides = [{(one.label, one.start, one.end): one for one in side.entities} for side in (before, after)]
    lines = [f"found no longer: {_written(sides[0][key], before.text)}" for key in sides[0] if key not in sides[1]]
    lines += [f"newly found: {_written(sides[1][key], after.text)}" for key in sides[1] if key not in sides[0]]
    more = [f"and {len(lines) - FEW} more"] if len(lines) > FEW else []
    return Changes((*lines[:FEW], *more))


ENTITIES = ViewSpec("entities", _read, MarkedText, _draw, changes=_changes, shows_request=True)
