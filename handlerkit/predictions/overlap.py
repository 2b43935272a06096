"""Which boxes of two answers are the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Boxes that overlap by this share of their union are the same thing (PASCAL VOC's threshold).
MATCHED = 0.5
_LEAST = 1e-9  # boxes that do not overlap are never the same
_GRID = 1024  # pixels, on which outlines are drawn


def match_boxes(
    before: npt.NDArray[Any],
    after: npt.NDArray[Any],
    least: float = MATCHED,
    labels: tuple[Sequence[str], Sequence[str]] | None = None,
) -> list[tuple[int, int, float]]:
    """Pairs of boxes that are the same thing, as (index before, index after, IoU), the surest pairs first.

    Args:
        before: [N, 4], after: [M, 4], (x1, y1, x2, y2).
        least: the IoU from which on two boxes may be a pair; each box is in one pair at most.
        labels: their classes, if only boxes of one class may be a pair.
    """
    import numpy as np

    if not len(before) or not len(after):
        return []
    overlaps = _iou(np.asarray(before, np.float64), np.asarray(after, np.float64))
    if labels is not None:
        overlaps *= np.array(labels[0])[:, None] == np.array(labels[1])[None, :]
    rows, columns = np.nonzero(overlaps >= max(least, _LEAST))
    order = np.argsort(-overlaps[rows, columns], kind="stable")
    pairs: list[tuple[int, int, float]] = []
    taken: tuple[set[int], set[int]] = set(), set()
    for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            pairs.append((i, j, float(overlaps[i, j])))
    return pairs


def outline_iou(one: Sequence[npt.NDArray[Any]], other: Sequence[npt.NDArray[Any]]) -> float:
    """Intersection over union of what two lists of polygons ([corners, 2] each) enclose, drawn on a fine grid; 0 if a
    corner is not finite."""
    import numpy as np
    from PIL import Image, ImageDraw

    points = np.concatenate([*one, *other])
    if not np.isfinite(points).all():
        return 0
    corner, size = points.min(axis=0), np.maximum(np.ptp(points, axis=0), _LEAST)
    drawn = []
    for polygons in (one, other):
        image = Image.new("1", (_GRID, _GRID))
        for polygon in polygons:
            ImageDraw.Draw(image).polygon([*map(tuple, (polygon - corner) / size * (_GRID - 1))], fill=1)
        drawn.append(np.asarray(image))
    return float((drawn[0] & drawn[1]).sum() / (drawn[0] | drawn[1]).sum())


def _iou(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union, [N, M]; 0 if a box is not finite."""
    import numpy as np

    one, other = (np.where(np.isfinite(boxes).all(axis=1, keepdims=True), boxes, 0) for boxes in (one, other))
    corner = np.maximum(one[:, None, :2], other[None, :, :2])
    sides = (np.minimum(one[:, None, 2:], other[None, :, 2:]) - corner).clip(0)
    shared = sides[..., 0] * sides[..., 1]
    areas = [np.prod((boxes[:, 2:] - boxes[:, :2]).clip(0), axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    share: npt.NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return share
