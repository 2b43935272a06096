"""Where two answers hold other boxes, beside what may differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from handlerkit.predictions import Detections, match_boxes
from handlerkit.predictions.boxes import is_box, says_where
from handlerkit.predictions.detections import BOX_COLUMNS
from handlerkit.predictions.oriented import says_outline
from handlerkit.predictions.overlap import outline_iou
from handlerkit.verify.difference import Difference
from handlerkit.verify.tolerance import Tolerance
from handlerkit.verify.values import compare_values


def compare_boxes(ours: Any, theirs: Any, tolerance: Tolerance) -> list[Difference] | None:
    """The differences of two JSON values that hold boxes; None if one does not, or no box may differ. All that is not
    where a box is has to be the same, beside it and elsewhere in the answer."""
    if tolerance.may.iou >= 1:
        return None
    here, there = Detections.find(ours), Detections.find(theirs)
    if here is None or there is None:
        return None
    boxes = _Boxes(here[0], there[0], tolerance)

    def instead(path: str, one: Any, other: Any) -> Iterable[Difference] | None:
        return boxes.compare(path, one, other) if one is here[1] and other is there[1] else None

    found = list(compare_values("body", ours, theirs, tolerance, instead))
    if not found:
        tolerance.met[f"boxes, which overlap by {tolerance.may.iou:g} or more"] = None
    return found


@dataclass
class _Boxes:
    """The boxes of two answers."""

    here: Detections
    there: Detections
    tolerance: Tolerance

    def compare(self, path: str, ours: Any, theirs: Any) -> Iterator[Difference]:
        """What holds them, with each list of something for each box in the order of the boxes that are the same."""
        labels = self.here.labels, self.there.labels
        pairs = sorted(match_boxes(self.here.boxes, self.there.boxes, self.tolerance.may.iou, labels))
        yield from self._alone(pairs)
        for i, j, _ in pairs:
            yield from self._outline(i, j)
        if isinstance(ours, list) and isinstance(theirs, list):
            yield from self._each(path, ours, theirs, pairs)
        elif isinstance(ours, dict) and isinstance(theirs, dict):
            compared = {next((key for key in BOX_COLUMNS if key in ours), "")}
            columns = [key for key in ours if self._is_column(ours[key], theirs.get(key)) and key not in compared]
            compared.update(columns)
            one, other = ({key: value for key, value in side.items() if key not in compared} for side in (ours, theirs))
            yield from compare_values(path, one, other, self.tolerance)
            for key in columns:
                yield from self._each(f"{path}.{key}", ours[key], theirs[key], pairs)
        else:
            yield from compare_values(path, ours, theirs, self.tolerance)

    def _is_column(self, ours: Any, theirs: Any) -> bool:
        counts = len(self.here), len(self.there)
        return isinstance(ours, list) and isinstance(theirs, list) and (len(ours), len(theirs)) == counts

    def _each(
        self, path: str, ours: Sequence[Any], theirs: Sequence[Any], pairs: Sequence[tuple[int, int, float]]
    ) -> Iterator[Difference]:
        for i, j, _ in pairs:
            yield from compare_values(f"{path}[{i}]", self._beside(ours[i]), self._beside(theirs[j]), self.tolerance)

    def _beside(self, row: Any) -> Any:
        """A row without what says where its box is."""
        if not isinstance(row, dict):
            return row
        outlined = self.here.outlines is not None or self.there.outlines is not None
        return {
            key: value
            for key, value in row.items()
            if not (says_where(key, row) or (outlined and says_outline(key)) or _is_named_box(key, row))
        }

    def _outline(self, i: int, j: int) -> Iterator[Difference]:
        sides = [found.outlines and found.outlines[at] for found, at in ((self.here, i), (self.there, j))]
        one, other = sides
        if not one and not other:
            return
        overlap = outline_iou(one, other) if one and other else 0
        if overlap < self.tolerance.may.iou:
            overlaps = f"an outline that overlaps by {overlap:.3g}"
            yield Difference(f"box {i}", _told(self.here, i), overlaps if other else "no outline")

    def _alone(self, pairs: Sequence[tuple[int, int, float]]) -> Iterator[Difference]:
        """The boxes that are in one answer only."""
        paired = [{pair[side] for pair in pairs} for side in (0, 1)]
        for i in sorted({*range(len(self.here))} - paired[0]):
            yield Difference(f"box {i}", _told(self.here, i), "nothing that overlaps enough")
        for j in sorted({*range(len(self.there))} - paired[1]):
            yield Difference(f"box {j}", "nothing that overlaps enough", _told(self.there, j))


def _is_named_box(key: str, row: dict[str, Any]) -> bool:
    """Whether it is the box of TorchServe's object_detector, {"coin": [x1, y1, x2, y2], "score": 0.9}."""
    return len(row) == 2 and "score" in row and key != "score" and is_box(row[key])


def _told(found: Detections, i: int) -> str:
    x1, y1, x2, y2 = (f"{value:g}" for value in found.boxes[i].tolist())
    return f"{found.labels[i] or 'box'} ({x1},{y1})-({x2},{y2})"
