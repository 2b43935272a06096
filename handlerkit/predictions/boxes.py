"""How rows say a box: by its corners, its center, its size or a polygon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from handlerkit.predictions.shapes import are_rows, first, is_number, is_object, plain_key

#: Keys of a row, as `plain_key` writes them: what holds a box, a polygon.
BOX = ("box", "bbox", "boundingbox", "xyxy")
POLYGON = ("polygon", "polygons", "points", "vertices", "contour", "segments", "segmentation")
#: The four numbers of a box: two corners; the upper left corner and the size; the center and the size; the size and a
#: point, of which the keys do not say if it is the corner or the center.
_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
_SIZED = (("left", "top", "width", "height"), ("xmin", "ymin", "width", "height"))
_CENTERED = (("xcenter", "ycenter", "width", "height"), ("cx", "cy", "w", "h"))
_POINTED = (("x", "y", "width", "height"), ("x", "y", "w", "h"))


def is_numbers(value: Any) -> bool:
    """Whether it is a list of numbers alone."""
    return isinstance(value, list) and all(map(is_number, value))


def says_where(key: str, row: Mapping[str, Any]) -> bool:
    """Whether a key of a row says where its upright box is."""
    plain, keys = plain_key(key), set(map(plain_key, row))
    if not keys.isdisjoint(BOX):
        return plain in BOX
    return any(plain in names and keys >= {*names} for names in (*_CORNERS, *_SIZED, *_CENTERED, *_POINTED))


def is_box(value: Any) -> bool:
    """Whether it is a list of four numbers."""
    return is_numbers(value) and len(value) == 4


def corners(row: Mapping[str, Any], centered: bool) -> list[float] | None:
    """A row's box as [x1, y1, x2, y2]; None if it has none. `centered`: its "x" and "y" are those of the center."""
    box = first(row, BOX)
    if is_box(box):
        return _sized(box) if "categoryid" in row and "bbox" in row else list(box)
    inside = {plain_key(name): value for name, value in box.items()} if is_object(box) else row
    for keys in (*_CORNERS, *_SIZED, *_CENTERED, *_POINTED):
        if all(is_number(inside.get(key)) for key in keys):
            numbers = [inside[key] for key in keys]
            if keys in _CORNERS:
                return numbers
            return _sized(numbers, centered=keys in _CENTERED or (keys in _POINTED and centered))
    return None


def _sized(box: Sequence[float], centered: bool = False) -> list[float]:
    """[x1, y1, x2, y2] of a box whose corner, or center, and size are given."""
    x, y, width, height = box
    if centered:
        x, y = x - width / 2, y - height / 2
    return [x, y, x + width, y + height]


def is_pointed(row: Mapping[str, Any]) -> bool:
    """Whether the row's keys leave open if "x" and "y" are a corner."""
    box = first(row, BOX, row)
    names = set(map(plain_key, box)) if is_object(box) else set()
    return any(names >= {*keys} for keys in _POINTED) and not any(names >= {*keys} for keys in (*_CORNERS, *_SIZED))


def are_centered(rows: Sequence[Mapping[str, Any]], image_size: tuple[int, int] | None) -> bool:
    """Whether "x" and "y" are the boxes' centers: what lies within the picture decides, else whether the other keys are
    Roboflow's, which are."""
    as_centers, as_corners = ([corners(row, centered) for row in rows] for centered in (True, False))
    within = [_lie_within(boxes, image_size) for boxes in (as_centers, as_corners)]
    if within[0] != within[1]:
        return within[0]
    return all({"class", "confidence"} <= row.keys() for row in rows)


def _lie_within(boxes: Sequence[list[float] | None], image_size: tuple[int, int] | None) -> bool:
    """Whether no box goes beyond the picture; beyond its left and upper edge if its size is not known."""
    numbers = [box for box in boxes if box is not None]
    largest = max((max(box) for box in numbers), default=0)
    slack, (width, height) = (0.01, (1, 1)) if largest <= 1.5 else (1, image_size or (math.inf, math.inf))
    edges = (-slack, -slack, width + slack, height + slack)
    return all(
        box[0] >= edges[0] and box[1] >= edges[1] and box[2] <= edges[2] and box[3] <= edges[3] for box in numbers
    )


def polygons_of(value: Any) -> list[list[float]] | None:
    """Polygons as COCO writes them, [x1, y1, x2, y2, ...] each; None if these are none.

    Known are one or several of `[x1, y1, ...]`, `[[x1, y1], ...]`, `[{"x": x1, "y": y1}, ...]` and
    `{"x": [x1, ...], "y": [y1, ...]}`, with three points or more.
    """
    if (outline := _polygon(value)) is not None:
        return [outline]
    outlines = [_polygon(each) for each in value] if isinstance(value, list) else []
    return [outline for outline in outlines if outline is not None] if outlines and None not in outlines else None


def _polygon(value: Any) -> list[float] | None:
    if is_object(value) and isinstance(value.get("x"), list) and isinstance(value.get("y"), list):
        value = [list(point) for point in zip(value["x"], value["y"], strict=False)]
    elif are_rows(value):
        value = [[point.get("x"), point.get("y")] for point in value]
    if not isinstance(value, list):
        return None
    if all(isinstance(point, list) and len(point) == 2 for point in value):
        value = [number for point in value for number in point]
    fits = len(value) >= 6 and len(value) % 2 == 0 and all(map(is_number, value))
    return value if fits and not all(number in (0, 1) for number in value) else None  # those are a mask
