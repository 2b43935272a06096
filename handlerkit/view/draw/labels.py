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


class LabelPainter:
    """Draws labels on a picture, each if none of those before it lies."""

    def __init__(self, canvas: Image.Image, font_size: int | None = None) -> None:
        from PIL import ImageDraw

        self.font = font(font_size or max(11, min(30, round(min(canvas.size) / 40))))
        self.height = sum(self.font.getmetrics()) + 2
        self._draw: ImageDraw.ImageDraw = ImageDraw.Draw(canvas)
        self._size = canvas.size
        self._taken: list[Box] = []

    def add(self, text: str, box: Sequence[int], color: Color) -> bool:
        """Draw the text above the box (x1, y1, x2, y2, inclusive), else inside it, below it, or at its lower edge.

        False if each of these places is taken, or the picture is too small for it.
        """
        wide, high = round(self.font.getlength(text)) + 6, self.height
        if wide > self._size[0] or high > self._size[1]:
            return False
        x = max(0, min(box[0], self._size[0] - wide))
        for y in (box[1] - high, box[1], box[3] + 1, box[3] + 1 - high):
            y = max(0, min(y, self._size[1] - high))
            place = (x, y, x + wide, y + high)
            if not any(_meet(place, other) for other in self._taken):
                self._taken.append(place)
                self._draw.rectangle((x, y, x + wide - 1, y + high - 1), fill=color)
                self._draw.text((x + 3, y + 1), text, fill=text_color(color), font=self.font)
                return True
        return False


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def line(text: str) -> str:
    """At most 40 letters on one line."""
    text = visible(" ".join(str(text).split()))
    return text if len(text) <= 40 else text[:39] + "…"


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """PIL's own font, at that many pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)  # type: ignore[return-value]  # a bitmap only if PIL lacks FreeType
