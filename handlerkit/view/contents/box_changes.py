"""What changed from some boxes to others: pairs by their overlap, what is new, what is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from handlerkit.predictions import Detections, match_boxes
from handlerkit.view import draw
from handlerkit.view.contents.changes import FEW, Changes
from handlerkit.view.decode.response import DecodedResponse

if TYPE_CHECKING:
    import numpy.typing as npt

_MOVED = 0.98  # an overlap below this is a move
_NEW, _GONE, _CHANGED = (0, 158, 115), (213, 94, 0), (204, 121, 167)


class _BoxChange(NamedTuple):
    """A box that changed: in words, in one word, where, and in which color."""

    line: str
    word: str
    box: npt.NDArray[Any]
    color: draw.Color


def boxes_changed(before: Detections, after: Detections, answer: DecodedResponse, words: tuple[str, str]) -> Changes:
    """Pairs by IoU; what changed in a pair, what is new, what is gone. `words`: one of them, and several."""
    pairs = match_boxes(before.boxes, after.boxes)
    changed = []
    for i, j, overlap in sorted(pairs, key=lambda pair: pair[1]):
        if said := ", ".join(_pair_changed(before, after, answer, i, j, overlap)):
            line = f"{answer.named(after.labels[j]) or words[0]} {_place(after, j)}: {said}"
            changed.append(_BoxChange(line, "changed", after.boxes[j], _CHANGED))
    same = len(pairs) - len(changed)
    changed += _alone(after, answer, {j for _, j, _ in pairs}, words[0], "new", _NEW)
    changed += _alone(before, answer, {i for i, _, _ in pairs}, words[0], "gone", _GONE)
    if not changed:
        return Changes()
    counts = Counter({"the same": same}) + Counter(one.word for one in changed)
    sums = ", ".join(f"{count} {word}" for word, count in counts.items())
    lines = [f"{len(before)} {words[len(before) != 1]} before, {len(after)} after: {sums}"]
    lines += [one.line for one in changed[:FEW]]
    lines += [f"and {len(changed) - FEW} more"] * (len(changed) > FEW)
    if answer.input_image is None:
        return Changes(tuple(lines))
    import numpy as np

    pale = draw.highlight(answer.input_image.shown, np.zeros((1, 1), bool))
    scale = pale.width / answer.input_image.size[0]
    image = draw.boxes(
        pale, [one.box * scale for one in changed], [one.word for one in changed], colors=[one.color for one in changed]
    )
    return Changes(tuple(lines), image)


def _alone(
    found: Detections, answer: DecodedResponse, paired: set[int], what: str, word: str, color: draw.Color
) -> Iterator[_BoxChange]:
    """Boxes that are in no pair."""
    for i in range(len(found)):
        if i not in paired:
            score = f" {found.scores[i]:.2f}" if found.scores is not None else ""
            name = answer.named(found.labels[i]) or what
            yield _BoxChange(f"{name}{score} {_place(found, i)}: {word}", word, found.boxes[i], color)


def _pair_changed(
    before: Detections, after: Detections, answer: DecodedResponse, i: int, j: int, overlap: float
) -> Iterator[str]:
    if before.labels[i] != after.labels[j]:
        yield f"was {answer.named(before.labels[i])}, is {answer.named(after.labels[j])}"
    if overlap < _MOVED:
        yield f"moved from {_place(before, i)}, IoU {overlap:.2f}"
    if before.scores is not None and after.scores is not None:
        one, other = (f"{scores[k]:.2f}" for scores, k in ((before.scores, i), (after.scores, j)))
        if one != other:
            yield f"score {one} -> {other}"


def _place(found: Detections, i: int) -> str:
    x1, y1, x2, y2 = (f"{value:.0f}" for value in found.boxes[i].tolist())
    return f"({x1},{y1})-({x2},{y2})"
