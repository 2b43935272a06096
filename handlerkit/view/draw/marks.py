"""What was found in a picture, one by one: boxes and instance masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from handlerkit.view.draw.canvas import rgb
from handlerkit.view.draw.labels import Box, LabelPainter, line
from handlerkit.view.draw.palette import Color, color

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image, ImageDraw

    from handlerkit.view.draw.canvas import ImageLike

#: Points to join, several times; one alone is a dot.
Lines = Sequence[Sequence[Sequence[float]]]

_MANY = 30  # with so many things, labels have no scores
_SHORT = 6  # letters of a name that is shortened
_LABELED = 100  # things that get a label; more would hide the picture


def boxes(
    image: ImageLike,
    boxes: npt.ArrayLike,
    labels: Sequence[str] | None = None,
    scores: npt.ArrayLike | None = None,
    *,
    colors: Sequence[Color] | None = None,
    lines: Sequence[Lines] | None = None,
    width: int | None = None,
    font_size: int | None = None,
) -> Image.Image:
    """Boxes with their label and score, the largest first so that small ones stay visible.

    Args:
        boxes: float [N, 4], (x1, y1, x2, y2) in pixels, x2 and y2 exclusive.
        labels: N names. scores: float [N].
        colors: N colors; by default one for each label, in the order they appear.
        lines: N lists of lines that are drawn instead of each box, (x, y) points to join; a point alone is a dot.
        width, font_size: of the lines and the letters in pixels; by default they follow the picture's size.

    Boxes that lie outside, and those with a coordinate that is not finite, are skipped.
    """
    import numpy as np
    from PIL import ImageDraw

    canvas = rgb(image).copy()
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    shown = np.isfinite(corners).all(axis=1)
    width = width or max(2, round(min(canvas.size) / 300))
    x1, x2 = np.sort(np.nan_to_num(corners[:, 0::2]), axis=1).clip(-2 * width, canvas.width + 2 * width).T
    y1, y2 = np.sort(np.nan_to_num(corners[:, 1::2]), axis=1).clip(-2 * width, canvas.height + 2 * width).T
    shown &= (x2 > 0) & (y2 > 0) & (x1 < canvas.width) & (y1 < canvas.height)
    order = [i for i in np.argsort((x1 - x2) * (y2 - y1), kind="stable").tolist() if shown[i]]
    places = np.stack([x1, y1, np.maximum(x1, x2 - 1), np.maximum(y1, y2 - 1)], axis=1).round().astype(int).tolist()

    color_of = _colors(labels, colors)
    draw = ImageDraw.Draw(canvas)
    for i in order:
        if lines is None:
            draw.rectangle(places[i], outline=color_of(i), width=width)
        else:
            _draw_lines(draw, lines[i], color_of(i), width)
    _write(canvas, {i: places[i] for i in order}, labels, scores, color_of, font_size)
    canvas.info["skipped"] = len(corners) - len(order)
    return canvas


def _draw_lines(draw: ImageDraw.ImageDraw, lines: Lines, color: Color, width: int) -> None:
    """Lines, and then dots with a dark edge, which are seen on lines of their color too."""
    for each in lines:
        if len(each) > 1:
            draw.line([(x, y) for x, y in each], fill=color, width=width, joint="curve")
    for each in lines:
        if len(each) == 1:
            draw.circle((each[0][0], each[0][1]), 1.5 * width, fill=color, outline=(0, 0, 0))


def masks(
    image: ImageLike,
    masks: Sequence[npt.NDArray[np.bool_]] | npt.NDArray[np.bool_],
    labels: Sequence[str] | None = None,
    scores: npt.ArrayLike | None = None,
    *,
    colors: Sequence[Color] | None = None,
    opacity: float = 0.5,
    width: int | None = None,
    font_size: int | None = None,
) -> Image.Image:
    """Instance masks, each with an outline in its full color, the largest first so that small ones stay visible.

    Args:
        masks: N bool [H, W]; stretched to the image's size, without blending, if theirs differs.
        labels: N names. scores: float [N].
        colors: N colors; by default one for each label, in the order they appear.
        opacity: of the inside of a mask; 0 shows the outline alone.
        width, font_size: of the outline and the letters in pixels; by default they follow the picture's size.

    Masks without a pixel are skipped.
    """
    import numpy as np
    from PIL import Image

    canvas = rgb(image).copy()
    width = width or max(1, round(min(canvas.size) / 500))
    fill = round(255 * min(1.0, max(0.0, opacity)))
    cuts: list[tuple[int, int, Box, npt.NDArray[np.bool_]]] = []
    for i, mask in enumerate(masks):
        if (found := _cut(np.asarray(mask, bool), canvas.size)) is not None:
            cuts.append((-int(np.count_nonzero(found[1])), i, *found))
    color_of = _colors(labels, colors)
    for _, i, (left, top, _, _), cut in sorted(cuts, key=lambda one: one[:2]):
        # one paste a mask, within its bounds: its alpha is `fill` inside and 255 at the outline
        alpha = cut.view(np.uint8) * np.uint8(255) - _inside(cut, width).view(np.uint8) * np.uint8(255 - fill)
        canvas.paste(color_of(i), (left, top), Image.fromarray(alpha))
    places = {i: (left, top, right - 1, low - 1) for _, i, (left, top, right, low), _ in cuts}
    _write(canvas, places, labels, scores, color_of, font_size)
    canvas.info["skipped"] = len(masks) - len(cuts)
    return canvas


def mask_to_xyxy(mask: npt.NDArray[np.bool_]) -> Box | None:
    """(x1, y1, x2, y2) of the True pixels of a bool [H, W], x2 and y2 exclusive; None if there are none."""
    import numpy as np

    mask = np.ascontiguousarray(mask)
    # eight pixels at a time if the width allows it
    words = mask.view(np.uint64 if mask.shape[1] % 8 == 0 else np.uint8)
    rows = np.flatnonzero(np.max(words, axis=1))
    if not len(rows):
        return None
    top, low = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:low].any(axis=0))
    return int(columns[0]), top, int(columns[-1]) + 1, low


def _cut(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> tuple[Box, npt.NDArray[np.bool_]] | None:
    """A mask's bounds on a picture of that size, and what lies in them; None if it has no pixel there."""
    import math

    import numpy as np
    from PIL import Image

    if (found := mask_to_xyxy(mask)) is None:
        return None
    left, top, right, low = found
    height, width = mask.shape
    if (width, height) == size:
        return found, np.ascontiguousarray(mask[top:low, left:right])
    x, y = size[0] / width, size[1] / height
    left, top, right, low = math.floor(left * x), math.floor(top * y), math.ceil(right * x), math.ceil(low * y)
    source = (left / x, top / y, min(width, right / x), min(height, low / y))
    stretched = Image.fromarray(mask.view(np.uint8)).resize(
        (right - left, low - top), Image.Resampling.NEAREST, box=source
    )
    return (left, top, right, low), np.asarray(stretched).astype(bool)


def _inside(mask: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.bool_]:
    """Pixels of a mask that are further than `width` from its edge, along rows and columns."""
    import numpy as np

    inner = np.zeros_like(mask)
    if min(mask.shape) > 2 * width:
        middle = slice(width, -width)
        inner[middle, middle] = (
            mask[middle, middle]
            & mask[2 * width :, middle]
            & mask[: -2 * width, middle]
            & mask[middle, 2 * width :]
            & mask[middle, : -2 * width]
        )
    return inner


def _colors(labels: Sequence[str] | None, colors: Sequence[Color] | None) -> Callable[[int], Color]:
    places = {name: place for place, name in enumerate(dict.fromkeys(labels or ()))}

    def color_of(i: int) -> Color:
        if colors is not None and i < len(colors):
            return colors[i]
        return color(places[labels[i]] if labels is not None and i < len(labels) else 0)

    return color_of


def _write(
    canvas: Image.Image,
    places: dict[int, Any],
    labels: Sequence[str] | None,
    scores: npt.ArrayLike | None,
    color_of: Callable[[int], Color],
    font_size: int | None,
) -> None:
    """Write labels and scores, the best first, since one that finds no free place is left out; the more there are, the
    shorter."""
    import numpy as np

    marks = [] if scores is None else np.asarray(scores, np.float64).tolist()
    written = LabelPainter(canvas, font_size, list(places.values()))

    def worst(i: int) -> float:
        return -marks[i] if i < len(marks) and marks[i] == marks[i] else 0.0

    for i in sorted(places, key=worst)[:_LABELED]:
        name = str(labels[i]) if labels is not None and i < len(labels) else ""
        full = line(f"{name} {marks[i]:.2f}" if i < len(marks) else name)
        texts = [full, line(name), f"{name[:_SHORT]}…" if len(name) > _SHORT else line(name)]
        if texts := list(filter(None, dict.fromkeys(texts[(len(places) > _MANY) :]))):
            written.add(texts[0], places[i], color_of(i), *texts[1:])
