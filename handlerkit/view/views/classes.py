"""Names and their probabilities, as JSON: bars beside the request's image."""

from __future__ import annotations

from handlerkit.formatting import percent
from handlerkit.predictions import Classifications
from handlerkit.view import draw
from handlerkit.view.contents.changes import Changes, value_changes
from handlerkit.view.contents.drawings import MOST, Drawing
from handlerkit.view.decode.placing import input_image_of
from handlerkit.view.decode.response import DecodedResponse, Placed
from handlerkit.view.decode.source import Source
from handlerkit.view.views.spec import ViewSpec


def _read(source: Source) -> Classifications | None:
    return Classifications.read(source.json, source.labels)


def _place(content: Classifications, source: Source) -> Placed:
    return Placed(content, input_image_of(source)[0])


def _draw(content: Classifications, answer: DecodedResponse) -> Drawing:
    pairs = list(zip(content.names, content.probabilities, strict=True))
    keys = tuple((answer.named(name), percent(share), draw.color(0), share) for name, share in pairs[:MOST])
    facts = (f"{len(pairs)} classes, the first {MOST} of them:",) if len(pairs) > MOST else ()
    if not pairs:
        facts = ("0 classes",)
    image = draw.fit(answer.input_image.shown, 240, 240) if answer.input_image else None
    return Drawing(facts, keys, image, aside=True)


def _changes(before: Classifications, after: Classifications, answer: DecodedResponse) -> Changes:
    lines = []
    if before.names and after.names:
        first = [side.names[side.probabilities.index(max(side.probabilities))] for side in (before, after)]
        was, now = map(answer.named, first)
        lines += [f"the most likely class was {was}, is {now}"] * (was != now)
    one, other = ((tuple(map(answer.named, side.names)), side.probabilities) for side in (before, after))
    return Changes((*lines, *value_changes(one, other, percent)))


CLASSES = ViewSpec("classes", _read, Classifications, _draw, place=_place, changes=_changes)
