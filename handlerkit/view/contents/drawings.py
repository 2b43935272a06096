"""What a view shows of a response, and how it draws on the request's image."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from handlerkit.formatting import shorten
from handlerkit.predictions import Detections
from handlerkit.view import draw
from handlerkit.view.decode.response import DecodedResponse, Region
from handlerkit.view.html import elements, fragments

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from handlerkit.view.decode.source import InputImage

MOST = 10  # classes, tensors, pieces of a stream that are listed
_FEW = 5  # boxes written out
_ROWS = 200  # of the table of all boxes
_READABLE = 480  # pixels that a picture with labels has at least, if it can grow by a whole number
_OUTLINE = (0, 114, 178)

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
        text: that in words, if `facts` and `keys` do not say it.
        small: html that is shown among several answers, instead of `html` and `text`.
        folded: html to unfold: the answer as it is.
        shown_as: the view that took JSON for something, which a display says; "" if nothing was taken for anything.
    """

    facts: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    image: Image.Image | None = None
    aside: bool = False
    html: str = ""
    text: str = ""
    small: str = ""
    folded: str = ""
    shown_as: str = ""

    @property
    def lines(self) -> list[str]:
        """Facts and keys as text."""
        named = ", ".join(" ".join(filter(None, (name, value))) for name, value, _, _ in self.keys)
        return [*self.facts, *([named] if named else [])]


def drawing(answer: DecodedResponse) -> Drawing:
    """The drawing of a response, with the notes about it after its facts."""
    assert answer.spec.draw is not None  # it has a content
    drawn = answer.spec.draw(answer.content, answer)
    if answer.body[:1] in (b"[", b"{") and not drawn.text:
        body = elements.code(fragments.pretty(answer.body.decode(errors="replace")))
        drawn = replace(drawn, folded=body, shown_as=answer.view)
    return replace(drawn, facts=(*drawn.facts, *answer.notes))


def under(
    values: npt.NDArray[Any], input_image: InputImage, region: Region, method: Image.Resampling, beside: int = 0
) -> tuple[Image.Image, npt.NDArray[Any]]:
    """The input image at the size it is shown at, and a map [H, W] of 8 bits or bools on top of it."""
    return _ground(input_image, region), laid(values, input_image, region, method, beside)


def laid(
    values: npt.NDArray[Any], input_image: InputImage, region: Region, method: Image.Resampling, beside: int = 0
) -> npt.NDArray[Any]:
    """A map [H, W] of 8 bits or bools in its place on the input image as it is shown, and `beside` around it; unchanged
    if it covers the whole input image."""
    import numpy as np
    from PIL import Image

    if region == (0, 0, *input_image.size):
        return values
    x1, y1, x2, y2 = _shown(input_image, region)
    size = max(1, x2 - x1), max(1, y2 - y1)
    scaled = Image.fromarray(np.ascontiguousarray(values).view(np.uint8)).resize(size, method)
    layer = Image.new("L", input_image.shown.size, beside)
    layer.paste(scaled, (x1, y1))
    return np.asarray(layer).astype(values.dtype)


def _ground(input_image: InputImage, region: Region) -> Image.Image:
    """The input image as it is shown; what the handler cropped away is pale, and the rest has a frame."""
    from PIL import Image, ImageDraw

    ground = input_image.shown
    if region == (0, 0, *input_image.size):
        return ground
    x1, y1, x2, y2 = _shown(input_image, region)
    pale = Image.blend(ground, Image.new("RGB", ground.size, "white"), 0.55)
    inside = (max(0, x1), max(0, y1), min(ground.width, x2), min(ground.height, y2))
    pale.paste(ground.crop(inside), inside[:2])
    ImageDraw.Draw(pale).rectangle((x1 - 1, y1 - 1, x2, y2), outline=_OUTLINE)
    return pale


def _shown(input_image: InputImage, region: Region) -> tuple[int, int, int, int]:
    """A region in the pixels of the input image as it is shown."""
    scale = input_image.shown.width / input_image.size[0]
    x1, y1, x2, y2 = (round(edge * scale) for edge in region)
    return x1, y1, x2, y2


def canvas_of(input_image: InputImage, region: Region | None = None) -> tuple[Image.Image, npt.NDArray[Any]]:
    """The input image to draw boxes on, enlarged if it is small so that labels can be read, and the factors [4] of a
    box's (x1, y1, x2, y2): of a point's x and y the first two."""
    import numpy as np

    canvas = _ground(input_image, region or (0, 0, *input_image.size))
    if (grown := _READABLE // max(canvas.size)) > 1:
        canvas = canvas.resize((canvas.width * grown, canvas.height * grown))
    return canvas, np.array([canvas.width / input_image.size[0], canvas.height / input_image.size[1]] * 2)


def class_colors(found: Detections, answer: DecodedResponse) -> list[draw.Color]:
    """The color of each thing's class."""
    colors = {name: answer.color(name) for name in dict.fromkeys(found.labels)}
    return [colors[label] for label in found.labels]


def box_labels(found: Detections, answer: DecodedResponse) -> list[str]:
    """What is written beside each thing: the key says in full what was added to an index."""
    short = {name: answer.short(name) for name in dict.fromkeys(found.labels)}
    return [short[label] for label in found.labels]


def class_counts(found: Detections, answer: DecodedResponse) -> tuple[Key, ...]:
    """How many there are of each class, most first."""
    counted = Counter(found.labels).most_common(2 * MOST)
    return tuple((answer.named(name), str(count), answer.color(name), None) for name, count in counted if name)


def boxes_table(found: Detections, answer: DecodedResponse) -> str:
    """All boxes, folded, if there are more than `boxes_fact` says."""
    if len(found) <= _FEW:
        return ""
    scores = found.scores.tolist() if found.scores is not None else [None] * len(found)
    rows = "".join(
        f"<tr><td>{elements.escape(answer.short(label))}</td><td>{'' if score is None else f'{score:.2f}'}</td>"
        f"<td>{_corners(box)}</td></tr>"
        for box, label, score in list(zip(found.boxes.tolist(), found.labels, scores, strict=True))[:_ROWS]
    )
    more = f'<div class="hk-soft">… {len(found) - _ROWS} more</div>' if len(found) > _ROWS else ""
    table = f'<table class="hk-table"><tbody>{rows}</tbody></table>{more}'
    return elements.details("all of them", table, str(len(found)))


def _corners(box: Sequence[float]) -> str:
    x1, y1, x2, y2 = (f"{value:.0f}" if math.isfinite(value) else str(value) for value in box)
    return f"({x1},{y1})-({x2},{y2})"


def boxes_fact(found: Detections, answer: DecodedResponse, what: str) -> str:
    """`12 boxes: coin 0.98 (10,20)-(50,60), ... and 7 more`."""
    rows = []
    for i, box in enumerate(found.boxes[:_FEW]):
        score = f"{found.scores[i]:.2f}" if found.scores is not None else ""
        rows.append(" ".join(filter(None, [shorten(answer.short(found.labels[i]), 40), score, _corners(box.tolist())])))
    more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
    plural = {"box": "boxes"}.get(what, f"{what}s") if len(found) != 1 else what
    return f"{len(found)} {plural}" + (f": {', '.join(rows)}{more}" if rows else "")
