"""Points of a body, a face or a thing, in the forms in which answers hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from handlerkit.predictions.shapes import are_rows, first, is_number, is_object, plain_key

#: (x, y, how sure it is to be seen: 0 for a point that is not).
Point = tuple[float, float, float]
#: Pairs of points to join, by their places.
Bones = Sequence[tuple[int, int]]

#: Keys of a row, as `plain_key` writes them.
KEYPOINTS = ("keypoints", "landmarks")
_SEEN = ("confidence", "score", "visible", "visibility", "v", "conf")
_OF_ALL = ("keypointscores", "keypointsscores", "keypointscore")
#: The bones between COCO's 17 points (person_keypoints_val2017.json, "skeleton"), counted from 0: nose, eyes, ears,
#: shoulders, elbows, wrists, hips, knees, ankles, the left one first.
_BODY = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
    (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
#: Those of a hand's 21 points: the wrist, then four of each finger from the thumb on (MediaPipe, HAND_CONNECTIONS).
_HAND = (
    *((0, 1), (0, 5), (5, 9), (9, 13), (13, 17), (0, 17)),
    *((point, point + 1) for base in range(1, 21, 4) for point in range(base, base + 3)),
)
#: The least score of a point that is seen, as Ultralytics draws it (utils/plotting.py, Annotator.kpts).
_LEAST = 0.25


def skeleton_of(points: int) -> Bones:
    """The bones between that many points: of a body, a hand, or none."""
    return {17: _BODY, 21: _HAND}.get(points, ())


def keypoints_of_row(row: Mapping[str, Any]) -> list[Point] | None:
    """The points of a row, whose keys are as `plain_key` writes them; None if it has none."""
    scores = first(row, (*_OF_ALL, "scores"))
    return keypoints_of(first(row, KEYPOINTS), scores if isinstance(scores, list) else None)


def keypoints_of(value: Any, scores: Sequence[float] | None = None) -> list[Point] | None:
    """The points in a value; None if it holds none.

    Known are COCO's `[x1, y1, v1, x2, ...]`, `[[x, y], ...]` and `[[x, y, score], ...]`, `[{"x": ..., "y": ...}, ...]`
    as in Roboflow's answers, and `{"x": [...], "y": [...]}` as in ultralytics'. `scores` are those of points that have
    none of their own. What stands behind x and y is COCO's flag if all are 0, 1 or 2, else a score. Points at (0, 0),
    with the flag 0 or with a low score are not seen.
    """
    if is_object(value):
        columns = value.get("x"), value.get("y"), first(value, _SEEN)
        if not all(isinstance(column, list) for column in columns[:2]):
            return None
        rows: Any = [
            list(row) for row in zip(*(column for column in columns if isinstance(column, list)), strict=False)
        ]
    elif are_rows(value):
        plain = [{plain_key(name): one for name, one in row.items()} for row in value]
        rows = [
            [row.get("x"), row.get("y"), *([seen] if is_number(seen := first(row, _SEEN)) else [])] for row in plain
        ]
    elif isinstance(value, list) and value and all(map(is_number, value)):
        step = 3 if len(value) % 3 == 0 and all(0 <= seen <= 2 for seen in value[2::3]) else 2
        rows = [value[i : i + step] for i in range(0, len(value), step)]
    else:
        rows = value
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        return None
    if {len(row) for row in rows} not in ({2}, {3}) or not all(is_number(one) for row in rows for one in row):
        return None
    if scores is not None and len(scores) == len(rows) and all(map(is_number, scores)) and len(rows[0]) == 2:
        rows = [[*row, score] for row, score in zip(rows, scores, strict=True)]
    points = [(x, y, seen[0] if seen else 1.0) for x, y, *seen in rows]
    least = 1 if all(seen in (0, 1, 2) for _, _, seen in points) else _LEAST
    return [(x, y, 0.0 if x == y == 0 or seen < least else seen) for x, y, seen in points]
