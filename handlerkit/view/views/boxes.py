"""Boxes with a class and a score, as JSON."""

from __future__ import annotations

from handlerkit.predictions import Detections
from handlerkit.view import draw
from handlerkit.view.contents.box_changes import boxes_changed
from handlerkit.view.contents.changes import Changes
from handlerkit.view.contents.drawings import (
    Drawing,
    box_labels,
    boxes_fact,
    boxes_table,
    canvas_of,
    class_colors,
    class_counts,
)
from handlerkit.view.contents.marks import Marks, box_rows, class_rows
from handlerkit.view.decode.placing import input_image_of, place_boxes
from handlerkit.view.decode.response import DecodedResponse, Placed
from handlerkit.view.decode.source import Source
from handlerkit.view.views.spec import ViewSpec


def _read(source: Source) -> Detections | None:
    value, array = source.json, source.array
    if array is not None:  # rows of six or seven numbers (handlerkit/predictions/tables.py)
        value = array.tolist() if array.shape[-1:] in ((6,), (7,)) else None
    return Detections.read(value, source.input_image.size if source.input_image else None)


def _asked(source: Source) -> Detections | None:
    """Also an empty list, which says of itself only that there is none of anything."""
    import numpy as np

    return _read(source) or (Detections(np.zeros((0, 4), np.float32), None, []) if source.json == [] else None)


def _place(content: Detections, source: Source) -> Placed:
    image, notes = input_image_of(source)
    boxes, placed = place_boxes(content, image, source.geometry)
    return Placed(boxes, image, None, (*notes, *filter(None, [content.assumed]), *placed))


def _draw(content: Detections, answer: DecodedResponse) -> Drawing:
    facts, keys = [boxes_fact(content, answer, "box")], class_counts(content, answer)
    if content.keypoints is not None:
        seen = (content.keypoints[..., 2] > 0).sum()
        facts.append(f"{content.keypoints.shape[1]} keypoints each, {seen} of {content.keypoints[..., 2].size} seen")
    table = boxes_table(content, answer)
    if answer.input_image is None:
        return Drawing(tuple(facts), keys, html=table)
    canvas, scale = canvas_of(answer.input_image)
    names, scores = (box_labels(content, answer), content.scores) if answer.labeled else (None, None)
    shown, colors = content.moved(scale[:2].tolist()), class_colors(content, answer)
    image = draw.boxes(canvas, shown.boxes, names, scores, colors=colors, lines=shown.lines())
    if skipped := image.info["skipped"]:
        facts.append(f"{skipped} not drawn: outside the input image, or not finite")
    return Drawing(tuple(facts), keys, image, html=table)


def _changes(before: Detections, after: Detections, answer: DecodedResponse) -> Changes:
    return boxes_changed(before, after, answer, ("box", "boxes"))


def _marks(content: Detections, answer: DecodedResponse) -> Marks:
    return Marks({"classes": class_rows(content.labels, answer), "boxes": box_rows(content)})


BOXES = ViewSpec("boxes", _read, Detections, _draw, asked=_asked, place=_place, changes=_changes, marks=_marks)
