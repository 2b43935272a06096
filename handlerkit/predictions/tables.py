"""Boxes in bare rows of numbers, which nothing names: they have to prove that they are boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from handlerkit.predictions.oriented import Polygon, bounds, rotated
from handlerkit.predictions.shapes import is_number

_SLACK = 0.05  # of the picture's side: how far a box may go beyond it
_CLASSES = 10_000  # whole numbers above are something else


class TableRow(NamedTuple):
    """One row: its box, class and score, and its outline if it is turned."""

    box: list[float]
    label: float
    score: float
    outline: list[Polygon] | None = None


def rows_of_numbers(answer: Any, image_size: tuple[int, int] | None) -> list[TableRow] | None:
    """Boxes in rows of numbers, also in one list more; None unless everything in them fits boxes on that picture.

    Known are [x1, y1, x2, y2, score, class] with the last two in either order, ultralytics' tracks [x1, y1, x2, y2,
    track, score, class], and turned boxes [x, y, width, height, angle, score, class]. Each box has to lie on the
    picture and to have a size, classes to be whole, and scores to lie from 0 to 1 and not all to be whole.
    """
    rows = answer[0] if isinstance(answer, list) and len(answer) == 1 and _is_table(answer[0]) else answer
    if image_size is None or not _is_table(rows):
        return None
    columns: list[Sequence[float]] = list(zip(*rows, strict=True))
    if len(columns) == 7:
        return _of_seven(rows, columns, image_size)
    for scores, classes in ((4, 5), (5, 4)):
        if _are_scores(columns[scores]) and _are_classes(columns[classes]) and _are_corners(rows, image_size):
            return [TableRow(row[:4], row[classes], row[scores]) for row in rows]
    return None


def _is_table(value: Any) -> bool:
    """Whether it is rows of six or seven numbers that are finite."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, list) and len(row) == len(value[0]) in (6, 7) for row in value)
        and all(is_number(number) and math.isfinite(number) for row in value for number in row)
    )


def _of_seven(
    rows: Sequence[list[float]], columns: Sequence[Sequence[float]], image_size: tuple[int, int]
) -> list[TableRow] | None:
    if not (_are_scores(columns[5]) and _are_classes(columns[6])):
        return None
    upright = _are_corners(rows, image_size)
    if upright and _are_classes(columns[4], _CLASSES * _CLASSES):
        return [TableRow(row[:4], row[6], row[5]) for row in rows]
    width, height = image_size
    on_it = all(0 <= x <= width and 0 <= y <= height and w > 0 and h > 0 for x, y, w, h, *_ in rows)
    if upright or not on_it or not all(abs(angle) <= 2 * math.pi for angle in columns[4]):
        return None
    outlines = [rotated(*row[:5]) for row in rows]
    return [TableRow(bounds([outline]), row[6], row[5], [outline]) for row, outline in zip(rows, outlines, strict=True)]


def _are_scores(column: Sequence[float]) -> bool:
    return all(0 <= score <= 1 for score in column) and any(0 < score < 1 for score in column)


def _are_classes(column: Sequence[float], most: int = _CLASSES) -> bool:
    return all(0 <= index < most and index == index // 1 for index in column)


def _are_corners(rows: Sequence[list[float]], image_size: tuple[int, int]) -> bool:
    """Whether each row begins with a box that has a size and lies on the picture, in pixels or as fractions of it."""
    fractions = all(0 <= number <= 1 for row in rows for number in row[:4])
    width, height = (1, 1) if fractions else image_size
    return all(
        x1 < x2 <= width * (1 + _SLACK) and y1 < y2 <= height * (1 + _SLACK) and min(x1 / width, y1 / height) >= -_SLACK
        for x1, y1, x2, y2 in (row[:4] for row in rows)
    )
