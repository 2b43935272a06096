"""Numbers as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlerkit.view.draw.labels import font, line
from handlerkit.view.draw.palette import palette

if TYPE_CHECKING:
    from PIL import Image


def bars(names: Sequence[str], values: Sequence[float], *, width: int = 480) -> Image.Image:
    """Horizontal bars, one a name; the longest reaches the end, or 1 does if every value lies from 0 to 1.

    Negative values and such as are not finite get no bar and are counted.
    """
    from PIL import Image, ImageDraw

    letters = font(14)
    row_height = sum(letters.getmetrics()) + 8
    pairs = [(line(name), float(value)) for name, value in zip(names, values, strict=False)]
    drawn = [value for _, value in pairs if math.isfinite(value) and value >= 0]
    share = all(value <= 1 for value in drawn)
    end = 1.0 if share else max(drawn)
    left = min(width // 2, round(max((letters.getlength(name) for name, _ in pairs), default=0)) + 14)
    room = max(1, width - left - 60)
    picture = Image.new("RGB", (width, max(1, row_height * len(pairs))), "white")
    draw = ImageDraw.Draw(picture)
    for row, (name, value) in enumerate(pairs):
        top = row * row_height
        draw.text((6, top + 4), name, fill=(34, 34, 34), font=letters)
        draw.rectangle((left, top + 3, width, top + row_height), fill="white")  # cuts a name that is too long
        good = math.isfinite(value) and value >= 0
        length = round(room * value / end) if good else 0
        if length:
            draw.rectangle((left, top + 5, left + length - 1, top + row_height - 6), fill=palette()[0])
        text = f"{100 * value:.1f} %" if share and good else f"{value:.4g}"
        draw.text((left + length + 6, top + 4), text, fill=(34, 34, 34), font=letters)
    picture.info["skipped"] = len(pairs) - len(drawn)
    return picture
