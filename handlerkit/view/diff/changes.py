"""What changed from one answer to another: in words, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, Any, NamedTuple

from handlerkit.formatting import percent, pixels, shorten
from handlerkit.predictions import Classifications, Detections, SegmentationMap
from handlerkit.view import draw
from handlerkit.view.decode.contents import DecodedResponse, HeatMap, InstanceMasks, Picture, Tensors, TokenWeights
from handlerkit.view.drawings import under

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

#: Boxes that overlap by this share of their union are the same thing (PASCAL VOC's threshold).
MATCHED = 0.5
_MOVED = 0.98  # an overlap below this is a move
_FEW = 6  # changes written out
_NEW, _GONE, _CHANGED = (0, 158, 115), (213, 94, 0), (204, 121, 167)


@dataclass(frozen=True, eq=False)
class Changes:
    """What changed. `lines`: in words, none where nothing did; `image`: a picture of it, or None."""

    lines: tuple[str, ...] = ()
    image: Image.Image | None = None


def changes(before: DecodedResponse, after: DecodedResponse) -> Changes:
    """What changed between two answers of one kind. Answers of two kinds, and contents that are not compared here, have
    no changes to tell: their bytes speak."""
    if type(before.content) is not type(after.content):
        return Changes((f"was read as {before.view}, is read as {after.view}",))
    return _changed(before.content, after.content, after)


def match(before: npt.NDArray[Any], after: npt.NDArray[Any], least: float = MATCHED) -> list[tuple[int, int, float]]:
    """Pairs of boxes that are the same thing, as (index before, index after, IoU), the surest pairs first.

    Args:
        before: [N, 4], after: [M, 4], (x1, y1, x2, y2).
        least: the IoU from which on two boxes may be a pair; each box is in one pair at most.
    """
    import numpy as np

    if not len(before) or not len(after):
        return []
    overlaps = _iou(np.asarray(before, np.float64), np.asarray(after, np.float64))
    rows, columns = np.nonzero(overlaps >= least)
    order = np.argsort(-overlaps[rows, columns], kind="stable")
    pairs: list[tuple[int, int, float]] = []
    taken: tuple[set[int], set[int]] = set(), set()
    for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            pairs.append((i, j, float(overlaps[i, j])))
    return pairs


def _iou(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union, [N, M]; 0 where a box is not finite."""
    import numpy as np

    one, other = (np.where(np.isfinite(boxes).all(axis=1, keepdims=True), boxes, 0) for boxes in (one, other))
    corner = np.maximum(one[:, None, :2], other[None, :, :2])
    sides = (np.minimum(one[:, None, 2:], other[None, :, 2:]) - corner).clip(0)
    shared = sides[..., 0] * sides[..., 1]
    areas = [np.prod((boxes[:, 2:] - boxes[:, :2]).clip(0), axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    share: npt.NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return share


@singledispatch
def _changed(before: Any, after: Any, answer: DecodedResponse) -> Changes:
    return Changes()


@_changed.register
def _(before: Detections, after: Detections, answer: DecodedResponse) -> Changes:
    return _boxes_changed(before, after, answer, ("box", "boxes"))


@_changed.register
def _(before: InstanceMasks, after: InstanceMasks, answer: DecodedResponse) -> Changes:
    return _boxes_changed(before.found, after.found, answer, ("mask", "masks"))


@_changed.register
def _(before: SegmentationMap, after: SegmentationMap, answer: DecodedResponse) -> Changes:
    if before.classes.shape != after.classes.shape:
        return Changes((f"the class map was {_size(before.classes)}, is {_size(after.classes)}",))
    where = before.classes != after.classes
    if not where.any():
        return Changes()
    lines = [_pixels(int(where.sum()), where.size)]
    moves = Counter(zip(before.classes[where].tolist(), after.classes[where].tolist(), strict=True))
    for (one, other), count in moves.most_common(_FEW):
        lines.append(f"{before.name(one)} -> {after.name(other)}: {pixels(count)}")
    if len(moves) > _FEW:
        lines.append(f"and {len(moves) - _FEW} more pairs of classes")
    return Changes(tuple(lines), _highlight(where, answer))


@_changed.register
def _(before: Picture, after: Picture, answer: DecodedResponse) -> Changes:
    import numpy as np

    one, other = before.image, after.image
    lines = [] if before.said == after.said else [f"was {before.said}, is {after.said}"]
    if one.size != other.size:
        return Changes(tuple(lines))
    mode = "RGBA" if draw.is_transparent(one) or draw.is_transparent(other) else "RGB"
    pixels = [np.asarray(draw.rgb(image) if mode == "RGB" else image.convert(mode), np.int16) for image in (one, other)]
    apart = np.abs(pixels[0] - pixels[1]).max(axis=2)
    where = apart > 0
    if not where.any():
        return Changes(tuple(lines))
    lines.append(f"{_pixels(int(where.sum()), where.size)}, by up to {int(apart.max())} of 255")
    return Changes(tuple(lines), draw.highlight(draw.fit(draw.rgb(other), 800, 800), where))


@_changed.register
def _(before: HeatMap, after: HeatMap, answer: DecodedResponse) -> Changes:
    import numpy as np

    if before.values.shape != after.values.shape:
        return Changes((f"the heat map was {_size(before.values)}, is {_size(after.values)}",))
    apart = np.abs(before.values - after.values)
    if not apart.any():
        return Changes()
    line = f"heat differs by {apart.mean():.2g} on average, by up to {apart.max():.2g}"
    return Changes((line,), _highlight(apart > 0.1, answer))


@_changed.register
def _(before: Classifications, after: Classifications, answer: DecodedResponse) -> Changes:
    lines = []
    if before.names and after.names:
        first = [max(zip(one.probabilities, one.names, strict=True), key=lambda p: p[0])[1] for one in (before, after)]
        lines += [f"the likeliest was {first[0]}, is {first[1]}"] * (first[0] != first[1])
    return Changes((*lines, *_rows(before.names, before.probabilities, after.names, after.probabilities, percent)))


@_changed.register
def _(before: TokenWeights, after: TokenWeights, answer: DecodedResponse) -> Changes:
    return Changes(tuple(_rows(before.tokens, before.weights, after.tokens, after.weights, "{:+.3g}".format)))


@_changed.register
def _(before: Tensors, after: Tensors, answer: DecodedResponse) -> Changes:
    import numpy as np

    lines = []
    there = dict(after.tensors)
    for name, array in before.tensors:
        label = name or "the tensor"
        if (other := there.get(name)) is None:
            lines.append(f"{label} is gone")
        elif other.shape != array.shape or other.dtype != array.dtype:
            lines.append(f"{label} was {array.dtype} {list(array.shape)}, is {other.dtype} {list(other.shape)}")
        elif (count := int((array != other).sum())) > 0:
            apart = np.nanmax(np.abs(array.astype(np.float64) - other.astype(np.float64)))
            lines.append(f"{label}: {count} of {array.size} numbers differ, by up to {apart:.4g}")
    lines += [f"{name or 'a tensor'} is new" for name in there if name not in dict(before.tensors)]
    return Changes(tuple(lines))


class _Told(NamedTuple):
    """A box that changed: in words, in one word, where, and in which color."""

    line: str
    word: str
    box: npt.NDArray[Any]
    color: draw.Color


def _boxes_changed(before: Detections, after: Detections, answer: DecodedResponse, words: tuple[str, str]) -> Changes:
    """Pairs by IoU; what changed in a pair, what is new, what is gone."""
    pairs = match(before.boxes, after.boxes)
    told = []
    for i, j, overlap in sorted(pairs, key=lambda pair: pair[1]):
        if said := ", ".join(_pair_changed(before, after, i, j, overlap)):
            line = f"{after.labels[j] or words[0]} {_place(after, j)}: {said}"
            told.append(_Told(line, "changed", after.boxes[j], _CHANGED))
    same = len(pairs) - len(told)
    told += _alone(after, {j for _, j, _ in pairs}, words[0], "new", _NEW)
    told += _alone(before, {i for i, _, _ in pairs}, words[0], "gone", _GONE)
    if not told:
        return Changes()
    counts = Counter({"the same": same}) + Counter(one.word for one in told)
    sums = ", ".join(f"{count} {word}" for word, count in counts.items())
    lines = [f"{len(before)} {words[len(before) != 1]} before, {len(after)} after: {sums}"]
    lines += [one.line for one in told[:_FEW]]
    lines += [f"and {len(told) - _FEW} more"] * (len(told) > _FEW)
    if answer.input_image is None:
        return Changes(tuple(lines))
    pale = draw.highlight(answer.input_image.shown, _nowhere())
    scale = pale.width / answer.input_image.size[0]
    image = draw.boxes(
        pale, [one.box * scale for one in told], [one.word for one in told], colors=[one.color for one in told]
    )
    return Changes(tuple(lines), image)


def _alone(found: Detections, paired: set[int], what: str, word: str, color: draw.Color) -> Iterator[_Told]:
    """Boxes that are in no pair."""
    for i in range(len(found)):
        if i not in paired:
            score = f" {found.scores[i]:.2f}" if found.scores is not None else ""
            yield _Told(f"{found.labels[i] or what}{score} {_place(found, i)}: {word}", word, found.boxes[i], color)


def _pair_changed(before: Detections, after: Detections, i: int, j: int, overlap: float) -> Iterator[str]:
    if before.labels[i] != after.labels[j]:
        yield f"was {before.labels[i]}, is {after.labels[j]}"
    if overlap < _MOVED:
        yield f"moved from {_place(before, i)}, IoU {overlap:.2f}"
    if before.scores is not None and after.scores is not None:
        one, other = (f"{scores[k]:.2f}" for scores, k in ((before.scores, i), (after.scores, j)))
        if one != other:
            yield f"score {one} -> {other}"


def _place(found: Detections, i: int) -> str:
    x1, y1, x2, y2 = (f"{value:.0f}" for value in found.boxes[i].tolist())
    return f"({x1},{y1})-({x2},{y2})"


def _rows(
    names: Sequence[str], values: Sequence[float], others: Sequence[str], their: Sequence[float], written: Any
) -> Iterator[str]:
    """`cat: 75 % -> 60 %` for each value that changed in print, the largest change first."""
    one, other = dict(zip(names, values, strict=True)), dict(zip(others, their, strict=True))
    rows = []
    for name in dict.fromkeys((*one, *other)):
        sides = [written(side[name]) if name in side else "nothing" for side in (one, other)]
        if sides[0] != sides[1]:
            rows.append(
                (
                    -round(abs(one.get(name, 0) - other.get(name, 0)), 6),
                    f"{shorten(name, 60)}: {sides[0]} -> {sides[1]}",
                )
            )
    yield from (line for _, line in sorted(rows, key=lambda row: row[0])[:_FEW])
    if len(rows) > _FEW:
        yield f"and {len(rows) - _FEW} more"


def _pixels(count: int, whole: int) -> str:
    return f"{pixels(count)} changed ({percent(count / whole)})"


def _size(array: npt.NDArray[Any]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"


def _highlight(where: npt.NDArray[np.bool_], answer: DecodedResponse) -> Image.Image:
    """The changed pixels of a map on the input image, or on white where there is none."""
    import numpy as np
    from PIL import Image

    if answer.input_image is not None and answer.frame is not None:
        ground, layer = under(where.astype(np.uint8) * 255, answer.input_image, answer.frame, Image.Resampling.NEAREST)
        return draw.highlight(ground, layer > 0)
    return draw.highlight(draw.fit(Image.new("RGB", where.shape[::-1], "white"), 800, 800), where)


def _nowhere() -> npt.NDArray[np.bool_]:
    import numpy as np

    return np.zeros((1, 1), bool)
