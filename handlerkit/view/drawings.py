"""Answers as drawings: a picture, its key, and what both say in words."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from handlerkit.formatting import duration, percent, pixels, shorten, size
from handlerkit.predictions import Classifications, Detections, SegmentationMap
from handlerkit.view import draw
from handlerkit.view.decode.contents import (
    DecodedResponse,
    Document,
    Frame,
    HeatMap,
    InstanceMasks,
    Picture,
    StreamChunks,
    Tensors,
    TokenWeights,
    Unread,
)
from handlerkit.view.html import elements, fragments

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from handlerkit.view.decode.source import InputImage

_FEW = 5  # boxes written out
_LONG = 12  # lines of an answer's text from which on it is folded
_MOST = 10  # classes listed
_READABLE = 480  # pixels that a picture with labels has at least, where it can grow by a whole number
_GRAY = (160, 160, 160)
_FRAME = (0, 114, 178)

#: (name, value, color, share from 0 to 1 or None)
Key = tuple[str, str, draw.Color, float | None]


@dataclass(frozen=True)
class Drawing:
    """What one answer shows.

    Attributes:
        facts: the picture in words, a line each.
        keys: (name, value, color, share from 0 to 1 or None): the classes in it.
        image: the picture.
        aside: the picture is the request's, small beside the keys.
        html: what is shown below the picture and its key.
        text: that in words, where `facts` and `keys` do not say it.
        folded: html to unfold: the answer as it is.
    """

    facts: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    image: Image.Image | None = None
    aside: bool = False
    html: str = ""
    text: str = ""
    folded: str = ""

    @property
    def lines(self) -> list[str]:
        """Facts and keys as text."""
        named = ", ".join(" ".join(filter(None, (name, value))) for name, value, _, _ in self.keys)
        return [*self.facts, *([named] if named else [])]


def drawing(answer: DecodedResponse) -> Drawing:
    """The drawing of an answer; what was noted of it is told after what it is."""
    drawn = _drawn(answer.content, answer)
    if answer.body[:1] in (b"[", b"{") and not isinstance(answer.content, Document | StreamChunks):
        drawn = replace(drawn, folded=elements.code(fragments.pretty(answer.body.decode(errors="replace"))))
    return replace(drawn, facts=(*drawn.facts, *answer.notes))


@singledispatch
def _drawn(content: Any, answer: DecodedResponse) -> Drawing:
    raise TypeError(f"no drawing of a {type(content).__name__}")


@_drawn.register
def _(content: Picture, answer: DecodedResponse) -> Drawing:
    shown = draw.fit(content.image)
    cutout = draw.is_transparent(shown)
    return Drawing((f"image {content.said}",), image=draw.checkerboard(shown) if cutout else draw.rgb(shown))


@_drawn.register
def _(content: SegmentationMap, answer: DecodedResponse) -> Drawing:
    from PIL import Image

    height, width = content.classes.shape
    keys = []
    for index, count in list(content.pixels().items())[: 2 * _MOST]:
        # class 0 is not painted
        color = draw.color(index) if index else _GRAY
        keys.append((content.name(index), f"{percent(count / (height * width))} ({pixels(count)})", color, None))
    facts = [f"class map {width}x{height}"]
    if content.probabilities is not None and content.probabilities.size:
        facts[0] += f", mean probability {float(content.probabilities.mean()):.2f}"
    indexes = draw.palette_indexes(content.classes)
    if answer.input_image is None or answer.frame is None:
        blank = draw.fit(Image.new("RGB", (width, height), "white"))
        return Drawing(tuple(facts), tuple(keys), draw.overlay(blank, indexes, opacity=1))
    ground, layer = under(indexes, answer.input_image, answer.frame, Image.Resampling.NEAREST)
    return Drawing(tuple(facts), tuple(keys), draw.overlay(ground, layer))


@_drawn.register
def _(content: HeatMap, answer: DecodedResponse) -> Drawing:
    import numpy as np
    from PIL import Image

    height, width = content.values.shape
    fact = f"heat map {width}x{height}, values {content.said}"
    row, column = np.unravel_index(int(np.argmax(content.values)), content.values.shape)
    levels = (content.values * 255).astype(np.uint8)
    if answer.input_image is None or answer.frame is None:
        grown = max(1, 320 // max(width, height))
        blank = Image.new("RGB", (width * grown, height * grown))
        return Drawing((f"{fact}, strongest at ({column},{row})",), image=draw.heat(blank, content.values, 1))
    ground, layer = under(levels, answer.input_image, answer.frame, Image.Resampling.BILINEAR)
    x1, y1, x2, y2 = answer.frame
    x, y = x1 + (column + 0.5) * (x2 - x1) / width, y1 + (row + 0.5) * (y2 - y1) / height
    return Drawing((f"{fact}, strongest at ({x:.0f},{y:.0f})",), image=draw.heat(ground, layer / 255))


@_drawn.register
def _(content: Detections, answer: DecodedResponse) -> Drawing:
    facts, keys, colors = [_boxes_fact(content, "box")], _counts(content, answer), _colors(content, answer)
    if (input_image := answer.input_image) is None:
        return Drawing(tuple(facts), keys)
    canvas, scale = _canvas(input_image)
    names, scores = (content.labels, content.scores) if answer.labeled else (None, None)
    image = draw.boxes(canvas, content.boxes * scale, names, scores, colors=colors)
    if skipped := image.info["skipped"]:
        facts.append(f"{skipped} not drawn: outside the input image, or not finite")
    return Drawing(tuple(facts), keys, image)


@_drawn.register
def _(content: InstanceMasks, answer: DecodedResponse) -> Drawing:
    from PIL import Image

    found, masks = content.found, content.masks
    facts, keys, colors = [_boxes_fact(found, "mask")], _counts(found, answer), _colors(found, answer)
    facts[0] += f"; {pixels(sum(int(mask.sum()) for mask in content.masks))}"
    if answer.input_image is None:
        height, width = content.masks[0].shape
        canvas = draw.fit(Image.new("RGB", (width, height), "white"))
    else:
        frame = answer.frame or (0, 0, *answer.input_image.size)
        canvas, _ = _canvas(answer.input_image, frame)
        masks = [laid(mask, answer.input_image, frame, Image.Resampling.NEAREST) for mask in masks]
    names, scores = (found.labels, found.scores) if answer.labeled else (None, None)
    image = draw.masks(canvas, masks, names, scores, colors=colors)
    if skipped := image.info["skipped"]:
        facts.append(f"{skipped} not drawn: without a pixel")
    return Drawing(tuple(facts), keys, image)


@_drawn.register
def _(content: Classifications, answer: DecodedResponse) -> Drawing:
    pairs = list(zip(content.names, content.probabilities, strict=True))
    keys = tuple((name, percent(share), draw.color(0), share) for name, share in pairs[:_MOST])
    facts = (f"{len(pairs)} classes, the first {_MOST} of them:",) if len(pairs) > _MOST else ()
    return Drawing(
        facts, keys, draw.fit(answer.input_image.shown, 240, 240) if answer.input_image else None, aside=True
    )


@_drawn.register
def _(content: TokenWeights, answer: DecodedResponse) -> Drawing:
    order = sorted(range(len(content.tokens)), key=lambda i: -abs(content.weights[i]))[:8]
    strongest = ", ".join(f"{content.tokens[i]} {content.weights[i]:+.2g}" for i in order)
    count = len(content.tokens)
    fact = f"{count} word{'s' * (count != 1)} weighed, the strongest: {shorten(strongest, 200)}"
    return Drawing((fact,), html=fragments.words(content.tokens, content.weights))


@_drawn.register
def _(content: Tensors, answer: DecodedResponse) -> Drawing:
    shown = content.tensors[:_MOST]
    facts = [fragments.tensor_fact(name, array) for name, array in shown]
    if len(content.tensors) > _MOST:
        facts.append(f"and {len(content.tensors) - _MOST} more")
    return Drawing(tuple(facts), html="".join(fragments.histogram(array) for _, array in shown))


@_drawn.register
def _(content: Document, answer: DecodedResponse) -> Drawing:
    if not content.text:
        return Drawing(("an empty body",))
    laid = fragments.pretty(content.text)
    count = laid.count("\n") + 1
    if count <= _LONG:
        return Drawing(html=elements.code(laid), text=laid)
    if content.value is None:
        return Drawing((f"text, {count} lines",), text=laid, folded=elements.code(laid))
    return Drawing(_shape(content.value), html=fragments.tree(content.value), text=laid, folded=elements.code(laid))


@_drawn.register
def _(content: StreamChunks, answer: DecodedResponse) -> Drawing:
    texts = [shorten(" ".join(fragments.piece(chunk).split())) for chunk in content.chunks[:_MOST]]
    if content.arrivals is not None:
        texts = [f"{one}  after {duration(after)}" for one, after in zip(texts, content.arrivals, strict=False)]
    text = "\n".join(f"{number}  {one}" for number, one in enumerate(texts, 1))
    count = len(content.chunks)
    more = f"\n... and {count - _MOST} more" if count > _MOST else ""
    shown = fragments.stream(content.chunks, content.arrivals)
    return Drawing((f"streamed in {count} pieces",), html=shown, text=text + more)


@_drawn.register
def _(content: Unread, answer: DecodedResponse) -> Drawing:
    data = content.data
    return Drawing((f"{size(len(data))} of bytes: {data[:24].hex(' ')}{' …' if len(data) > 24 else ''}",))


def under(
    values: npt.NDArray[Any], input_image: InputImage, frame: Frame, method: Image.Resampling
) -> tuple[Image.Image, npt.NDArray[Any]]:
    """The input image at the size it is shown at, and a map [H, W] of 8 bits or bools that lies on it."""
    return _ground(input_image, frame), laid(values, input_image, frame, method)


def laid(values: npt.NDArray[Any], input_image: InputImage, frame: Frame, method: Image.Resampling) -> npt.NDArray[Any]:
    """A map [H, W] of 8 bits or bools in its place on the input image as it is shown, 0 beside it; as it is where it
    lies on all of the input image."""
    import numpy as np
    from PIL import Image

    if frame == (0, 0, *input_image.size):
        return values
    x1, y1, x2, y2 = _shown(input_image, frame)
    region = Image.fromarray(np.ascontiguousarray(values).view(np.uint8)).resize(
        (max(1, x2 - x1), max(1, y2 - y1)), method
    )
    layer = Image.new("L", input_image.shown.size)
    layer.paste(region, (x1, y1))
    return np.asarray(layer).astype(values.dtype)


def _ground(input_image: InputImage, frame: Frame) -> Image.Image:
    """The input image as it is shown; what a handler cropped away is pale, and the rest framed."""
    from PIL import Image, ImageDraw

    ground = input_image.shown
    if frame == (0, 0, *input_image.size):
        return ground
    x1, y1, x2, y2 = _shown(input_image, frame)
    pale = Image.blend(ground, Image.new("RGB", ground.size, "white"), 0.55)
    inside = (max(0, x1), max(0, y1), min(ground.width, x2), min(ground.height, y2))
    pale.paste(ground.crop(inside), inside[:2])
    ImageDraw.Draw(pale).rectangle((x1 - 1, y1 - 1, x2, y2), outline=_FRAME)
    return pale


def _shown(input_image: InputImage, frame: Frame) -> tuple[int, int, int, int]:
    """A frame in the pixels of the input image as it is shown."""
    scale = input_image.shown.width / input_image.size[0]
    x1, y1, x2, y2 = (round(edge * scale) for edge in frame)
    return x1, y1, x2, y2


def _canvas(input_image: InputImage, frame: Frame | None = None) -> tuple[Image.Image, npt.NDArray[Any]]:
    """The input image to draw boxes on, and what a box's edges are multiplied with. A small one grows, so that its
    labels can be read."""
    import numpy as np

    canvas = _ground(input_image, frame or (0, 0, *input_image.size))
    if (grown := _READABLE // max(canvas.size)) > 1:
        canvas = canvas.resize((canvas.width * grown, canvas.height * grown))
    return canvas, np.array([canvas.width / input_image.size[0], canvas.height / input_image.size[1]] * 2)


def _colors(found: Detections, answer: DecodedResponse) -> list[draw.Color]:
    colors = {name: answer.color(name) for name in dict.fromkeys(found.labels)}
    return [colors[label] for label in found.labels]


def _counts(found: Detections, answer: DecodedResponse) -> tuple[Key, ...]:
    """How many there are of each class, most first."""
    counted = Counter(found.labels).most_common(2 * _MOST)
    return tuple((name, str(count), answer.color(name), None) for name, count in counted if name)


def _boxes_fact(found: Detections, what: str) -> str:
    """`12 boxes: coin 0.98 (10,20)-(50,60), ... and 7 more`."""
    rows = []
    for i, box in enumerate(found.boxes[:_FEW]):
        x1, y1, x2, y2 = (f"{value:.0f}" if math.isfinite(value) else str(value) for value in box)
        score = f"{found.scores[i]:.2f}" if found.scores is not None else ""
        rows.append(" ".join(filter(None, [shorten(found.labels[i], 40), score, f"({x1},{y1})-({x2},{y2})"])))
    more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
    plural = {"box": "boxes"}.get(what, f"{what}s") if len(found) != 1 else what
    return f"{len(found)} {plural}" + (f": {', '.join(rows)}{more}" if rows else "")


def _shape(value: Any) -> tuple[str, ...]:
    """`JSON object: model, embedding`: what an answer holds that is shown as a tree."""
    if isinstance(value, dict):
        names = ", ".join(list(value)[:8]) + (f" and {len(value) - 8} more" if len(value) > 8 else "")
        return (f"JSON object: {shorten(names)}",)
    return (f"JSON list of {len(value)}",)
