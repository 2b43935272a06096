"""Boxes that are turned, and outlines of more corners than two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from handlerkit.predictions.boxes import BOX, POLYGON, is_box, is_numbers, polygons_of
from handlerkit.predictions.shapes import first, is_number, is_object, plain_key

#: The corners of one outline, (x, y) each.
Polygon = list[tuple[float, float]]

#: Keys of a row, as `plain_key` writes them: what holds (x, y, width, height, angle) or four corners.
TURNED = ("obb", "rbox", "rotatedbox", "rotatedbbox", "orientedbox", "orientedbbox", "xywhr")
_QUADRILATERAL = ("xyxyxyxy", "quad", "quadrilateral", "corners", "poly")
_ANGLE = ("r", "rotation", "angle", "theta")
_SIZED = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("cx", "cy", "w", "h"), ("cx", "cy", "width", "height"))
_EIGHT = tuple((f"x{i}", f"y{i}") for i in range(1, 5))


def outlines_of(rows: Sequence[Mapping[str, Any]]) -> tuple[list[list[Polygon] | None], str]:
    """What encloses each row's thing beside an upright box, and what was assumed of angles.

    Known are (x, y, width, height, angle) of the center, four corners in any of their forms, and polygons. Angles turn
    from x to y; they are in degrees if one of them goes beyond a turn in radians.
    """
    turned = [_turned(row) for row in rows]
    angles = [box[4] for box in turned if box is not None]
    degrees = any(abs(angle) > 2 * math.pi for angle in angles)
    outlines = [
        _polygons(row) if box is None else [_rotated(box, degrees)] for row, box in zip(rows, turned, strict=True)
    ]
    unit = "degrees" if degrees else "radians"
    return outlines, f"angles are read as {unit}" if any(angles) else ""


def says_outline(key: str) -> bool:
    """Whether a key of a row may hold an outline, or the angle of a box."""
    names = (*TURNED, *_QUADRILATERAL, *_ANGLE, *POLYGON, *(name for pair in _EIGHT for name in pair))
    return plain_key(key) in names


def rotated(x: float, y: float, width: float, height: float, angle: float) -> Polygon:
    """The corners of a box with that center, turned by an angle in radians (ultralytics' xywhr2xyxyxyxy)."""
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = (width / 2 * cos, width / 2 * sin), (-height / 2 * sin, height / 2 * cos)
    return [
        (x + i * along[0] + j * across[0], y + i * along[1] + j * across[1])
        for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]


def _rotated(box: Sequence[float], degrees: bool) -> Polygon:
    x, y, width, height, angle = box
    return rotated(x, y, width, height, math.radians(angle) if degrees else angle)


def bounds(outlines: Sequence[Polygon]) -> list[float]:
    """[x1, y1, x2, y2] around outlines."""
    xs, ys = zip(*(point for outline in outlines for point in outline), strict=True)
    return [min(xs), min(ys), max(xs), max(ys)]


def rectangle(box: Sequence[float]) -> Polygon:
    """The corners of an upright box."""
    x1, y1, x2, y2 = box
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def _turned(row: Mapping[str, Any]) -> list[float] | None:
    """(x, y, width, height, angle) of a row."""
    value = first(row, TURNED)
    if is_numbers(value) and len(value) == 5:
        return list(value)
    inside = first(row, (*TURNED, *BOX))
    inside = {plain_key(name): one for name, one in inside.items()} if is_object(inside) else row
    angle = first({**row, **inside}, _ANGLE)
    box = first(row, BOX)
    if not is_number(angle):
        return None
    for keys in _SIZED:
        if all(is_number(inside.get(key)) for key in keys):
            return [*(inside[key] for key in keys), angle]
    x1, y1, x2, y2 = box if is_box(box) else (math.nan,) * 4
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, angle] if x2 > x1 and y2 > y1 else None


def _polygons(row: Mapping[str, Any]) -> list[Polygon] | None:
    """The outlines in a row."""
    box = first(row, BOX)
    inside = {plain_key(name): one for name, one in box.items()} if is_object(box) else row
    if all(is_number(inside.get(key)) for pair in _EIGHT for key in pair):
        return [[(inside[x], inside[y]) for x, y in _EIGHT]]
    corners = None if is_numbers(box) and len(box) < 8 else polygons_of(box)  # three points are no box
    found = corners or polygons_of(first(row, (*_QUADRILATERAL, *TURNED))) or polygons_of(first(row, POLYGON))
    return [_points(polygon) for polygon in found] if found else None


def _points(polygon: Sequence[float]) -> Polygon:
    return list(zip(polygon[0::2], polygon[1::2], strict=True))
