"""Where two answers hold other boxes, beside what may differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isclose
from typing import Any

from handlerkit.predictions import Detections, match_boxes
from handlerkit.verify.difference import Difference
from handlerkit.verify.tolerance import Tolerance
from handlerkit.verify.values import compare_values

#: What is compared as boxes is; other columns, such as masks, as they are.
_OF_BOXES = {"boxes", "bboxes", "labels", "classes", "scores", "confidences"}


def compare_boxes(ours: Any, theirs: Any, tolerance: Tolerance) -> list[Difference] | None:
    """The differences of two JSON values that are boxes; None if one is not, or no box may differ."""
    if tolerance.may.iou >= 1:
        return None
    here, there = Detections.read(ours), Detections.read(theirs)
    if here is None or there is None:
        return None
    pairs = sorted(match_boxes(here.boxes, there.boxes, tolerance.may.iou, (here.labels, there.labels)))
    found = [*_beside(ours, theirs, tolerance), *_apart(here, there, pairs, tolerance)]
    counts = len(here.boxes), len(there.boxes)
    found += _columns_apart((ours, theirs), counts, [(i, j) for i, j, _ in pairs], tolerance)
    if not found:
        tolerance.met[f"boxes, which overlap by {tolerance.may.iou:g} or more"] = None
    return found


def _beside(ours: Any, theirs: Any, tolerance: Tolerance) -> Iterator[Difference]:
    """Plain values beside the boxes."""
    one, other = (_plain_values(side) for side in (ours, theirs))
    return compare_values("body", one, other, tolerance)


def _plain_values(value: Any) -> dict[str, Any]:
    members = value.items() if isinstance(value, dict) else ()
    return {key: one for key, one in members if not isinstance(one, list | dict)}


def _columns(value: Any, count: int) -> dict[str, list[Any]]:
    """What else is told of each box, such as its mask."""
    members = value.items() if isinstance(value, dict) else ()
    return {key: one for key, one in members if key not in _OF_BOXES and isinstance(one, list) and len(one) == count}


def _columns_apart(
    answers: tuple[Any, Any], counts: tuple[int, int], pairs: Sequence[tuple[int, int]], tolerance: Tolerance
) -> Iterator[Difference]:
    here, there = (_columns(*one) for one in zip(answers, counts, strict=True))
    for key in dict.fromkeys([*here, *there]):
        for i, j in pairs:
            one, other = ({key: side[key][at]} if key in side else {} for side, at in ((here, i), (there, j)))
            yield from compare_values(f"box {i}", one, other, tolerance)


def _apart(
    here: Detections, there: Detections, pairs: Sequence[tuple[int, int, float]], tolerance: Tolerance
) -> Iterator[Difference]:
    alone = [set(range(len(side))) - {pair[index] for pair in pairs} for index, side in enumerate((here, there))]
    for i in sorted(alone[0]):
        yield Difference(f"box {i}", _told(here, i), "nothing that overlaps enough")
    for j in sorted(alone[1]):
        yield Difference(f"box {j}", "nothing that overlaps enough", _told(there, j))
    for i, j, _ in pairs:
        one, other = (None if side.scores is None else float(side.scores[at]) for side, at in ((here, i), (there, j)))
        same = one is other if one is None or other is None else isclose(one, other, rel_tol=tolerance.may.rtol)
        if not same:
            yield Difference(f"score of box {i}", _score(one), _score(other))


def _told(found: Detections, i: int) -> str:
    x1, y1, x2, y2 = (f"{value:g}" for value in found.boxes[i].tolist())
    return f"{found.labels[i] or 'box'} ({x1},{y1})-({x2},{y2})"


def _score(score: float | None) -> str:
    return "nothing" if score is None else f"{score:.6g}"
