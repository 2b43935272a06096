"""Letters on pictures: short labels on a ground of their own, which never cover each other nor leave the picture."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlerkit.formatting import visible
from handlerkit.view.draw.palette import Color, text_color

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

Box = tuple[int, int, int, int]

_BURIED = 0.2  # of a thing that a label may cover


class LabelPainter:
    """Draws labels on a picture, each if none of those before it lies.

    Args:
        things: (x1, y1, x2, y2) of what is on the picture, which labels are to leave free.
    """

    def __init__(self, canvas: Image.Image, font_size: int | None = None, things: Sequence[Sequence[int]] = ()) -> None:
        import numpy as np
        from PIL import ImageDraw

        self.font = font(font_size or max(11, min(30, round(min(canvas.size) / 40))))
        self.height = sum(self.font.getmetrics()) + 2
        self._draw: ImageDraw.ImageDraw = ImageDraw.Draw(canvas)
        self._size = canvas.size
        self._x1, self._y1, x2, y2 = np.asarray(things, np.float64).reshape(-1, 4).T
        self._x2, self._y2 = x2 + 1, y2 + 1
        self._spared = _BURIED * ((self._x2 - self._x1) * (self._y2 - self._y1)).clip(1)  # pixels of each
        self._taken: list[Box] = []

    def add(self, text: str, box: Sequence[int], color: Color, *shorter: str) -> bool:
        """Draw the text above the box (x1, y1, x2, y2, inclusive), else inside it, below it or beside it: where it
        covers a fifth of a thing at most. A `shorter` text takes its place where it does not fit.

        False if each of these places is taken, would bury a thing, or the picture is too small for it.
        """
        for said in (text, *shorter):
            if (place := self._place(said, box)) is not None:
                x, y, right, low = place
                self._taken.append(place)
                self._draw.rectangle((x, y, right - 1, low - 1), fill=color)
                self._draw.text((x + 3, y + 1), said, fill=text_color(color), font=self.font)
                return True
        return False

    def _place(self, text: str, box: Sequence[int]) -> Box | None:
        """Where the text goes; None if there is no place for it."""
        wide, high = round(self.font.getlength(text)) + 6, self.height
        if wide > self._size[0] or high > self._size[1]:
            return None
        corners = [(box[0], y) for y in (box[1] - high, box[1], box[3] + 1, box[3] + 1 - high)]
        for x, y in (*corners, (box[2] + 1, box[1]), (box[0] - wide, box[1])):
            x, y = max(0, min(x, self._size[0] - wide)), max(0, min(y, self._size[1] - high))
            place = (x, y, x + wide, y + high)
            if not any(_meet(place, other) for other in self._taken) and not self._buries(place):
                return place
        return None

    def _buries(self, place: Box) -> bool:
        """Whether it covers more of a thing than a label may."""
        import numpy as np

        x, y, right, low = place
        wide = np.minimum(self._x2, right) - np.maximum(self._x1, x)
        high = np.minimum(self._y2, low) - np.maximum(self._y1, y)
        return bool(((wide > 0) & (wide * high > self._spared)).any())


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@functools.lru_cache(maxsize=1024)
def line(text: str) -> str:
    """At most 40 letters on one line."""
    text = visible(" ".join(str(text).split()))
    return text if len(text) <= 40 else text[:39] + "…"


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """PIL's own font, at that many pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)  # type: ignore[return-value]  # a bitmap only if PIL lacks FreeType
