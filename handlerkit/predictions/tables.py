"""Boxes in rows of numbers, of which no key says which is a score, a class or an angle: they have to prove it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from handlerkit.predictions.boxes import BOX, corners, is_numbers
from handlerkit.predictions.oriented import TURNED, Polygon, bounds, rotated
from handlerkit.predictions.shapes import LABEL_KEYS, SCORE_KEYS, first, is_number

_SLACK = 0.05  # of the picture's side: how far a box may go beyond it
_CLASSES = 10_000  # whole numbers above are something else

#: What may stand behind (x1, y1, x2, y2), and behind (x, y, width, height).
_UPRIGHT = (("score",), ("score", "label"), ("label", "score"), ("track", "score", "label"))
_ANGLED = (("angle",), ("angle", "score"), ("angle", "score", "label"))
_KEYS = {"score": SCORE_KEYS, "label": LABEL_KEYS}


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
    picture and to have a size, classes to be whole, and scores to lie from 0 to 1 and not all to be whole, or to be
    written as 1.0. Rows of zeros fill a batch up, and are left out.
    """
    rows = answer[0] if isinstance(answer, list) and len(answer) == 1 and _is_table(answer[0]) else answer
    if image_size is None or not _is_table(rows) or not (rows := [row for row in rows if any(row)]):
        return None
    columns: list[Sequence[float]] = list(zip(*rows, strict=True))
    if len(columns) == 7:
        return _of_seven(rows, columns, image_size)
    for scores, classes in ((4, 5), (5, 4)):
        if _are_scores(columns[scores]) and _are_classes(columns[classes]) and _are_corners(rows, image_size):
            return [TableRow(row[:4], row[classes], row[scores]) for row in rows]
    return None


def padding_of(answer: Any) -> int:
    """How many rows of zeros `rows_of_numbers` leaves out."""
    return sum(not any(row) for row in (answer if _is_table(answer) else answer[0]))


def spelled_out(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows, with keys as `plain_key` writes them, of which those whose box holds its score, class or angle too have
    these under keys of their own.

    Five to seven numbers under the name of a box are two corners with a score, and a class, if they can be in all rows;
    else the center, the size and an angle. What the row says beside its box is its score and its class.
    """
    keys = [next((key for key in BOX if key in row), "") for row in rows]
    numbers: list[Any] = [row.get(key) for row, key in zip(rows, keys, strict=True)]
    if not all(is_numbers(each) and 4 < len(each) < 8 and len(each) == len(numbers[0]) for each in numbers):
        return list(rows)
    four = [{**row, key: each[:4]} for row, key, each in zip(rows, keys, numbers, strict=True)]
    found = [corners(row, False) or [0, 0, 0, 0] for row in four]
    upright = all(x1 <= x2 and y1 <= y2 for x1, y1, x2, y2 in found)
    rests = [each[4:] for each in numbers]
    for names in (*(_UPRIGHT if upright else ()), *_ANGLED):
        if len(names) == len(rests[0]) and all(_fits(name, rests, i, rows) for i, name in enumerate(names)):
            said = [dict(zip(names, rest, strict=True)) for rest in rests]
            return [_with(*each) for each in zip(four, keys, said, strict=True)]
    return list(rows)


def _fits(name: str, rests: Sequence[list[float]], place: int, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column of numbers behind a box can be what it is called."""
    column = [rest[place] for rest in rests]
    if name == "angle":
        return all(abs(angle) <= 360 for angle in column)
    if name != "score":
        return _are_classes(column, _CLASSES * (_CLASSES if name == "track" else 1))
    beside = [first(row, SCORE_KEYS, score) for row, score in zip(rows, column, strict=True)]
    same = all(is_number(one) and abs(one - score) < 0.01 for one, score in zip(beside, column, strict=True))
    return same and all(0 <= score <= 1 for score in column)


def _with(row: Mapping[str, Any], key: str, said: dict[str, float]) -> Mapping[str, Any]:
    """A row, and what its box said behind its four numbers."""
    if "angle" in said:
        turned = {TURNED[0]: [*row[key], said.pop("angle")]}
        row = {**{name: value for name, value in row.items() if name != key}, **turned}
    named = {name: value for name, value in said.items() if not any(one in row for one in _KEYS.get(name, (name,)))}
    return {**named, **row}


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
    some = any(0 < score < 1 or (score == 1 and isinstance(score, float)) for score in column)
    return some and all(0 <= score <= 1 for score in column)


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
