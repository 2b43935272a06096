"""A picture that came back: a file, or bare pixels."""

from __future__ import annotations

import io
from math import isqrt
from typing import TYPE_CHECKING

from handlerkit.view import draw
from handlerkit.view.contents.changes import Changes, changed_pixels
from handlerkit.view.contents.drawings import Drawing
from handlerkit.view.contents.marks import Marks
from handlerkit.view.decode.response import DecodedResponse, Picture
from handlerkit.view.decode.source import Source
from handlerkit.view.views.spec import ViewSpec

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112  # EXIF's tag
_MODES = {4: "RGBA", 3: "RGB", 1: "L"}
_WEB = (b"\x89PNG", b"\xff\xd8", b"GIF8")  # what every browser opens; and WebP


def _read(source: Source) -> Picture | None:
    """An image of any kind."""
    if (image := source.picture) is None:
        return None
    said = f"{image.width}x{image.height} {image.format}"
    said += f", {image.mode}" if image.mode not in ("RGB", "L", "P", "1") else ""
    if (frames := getattr(image, "n_frames", 1)) > 1:
        said += f", the first of {frames} frames"
    return Picture(_upright(image), said)


def _upright(image: Image.Image) -> Image.Image:
    """As EXIF says it is to be seen; itself, not a copy, if that is as it is."""
    from PIL import ImageOps

    return image if image.getexif().get(_ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)


def _pixels(source: Source) -> Picture | None:
    """Bare RGBA or RGB bytes, if a header or the request's query says the size, or it is the input image's."""
    return _of_channels(source, (4, 3))


def _asked_pixels(source: Source) -> Picture | None:
    """Also gray bytes, and a square of pixels if nothing says the size."""
    return _of_channels(source, (4, 3, 1)) or _square(source.response.body)


def _of_channels(source: Source, channels: tuple[int, ...]) -> Picture | None:
    body = source.response.body
    if len(body) < 16 or source.picture is not None or body[:1] in b"[{":
        return None
    sizes = [source.said_size, source.input_image.size if source.input_image else None]
    for size in filter(None, sizes):
        for channel in channels:
            if len(body) == size[0] * size[1] * channel:
                return _bare(body, size, channel)
    return None


def _square(body: bytes) -> Picture | None:
    for channel in _MODES:
        side = isqrt(len(body) // channel)
        if side and side * side * channel == len(body):
            return _bare(body, (side, side), channel)
    return None


def _bare(body: bytes, size: tuple[int, int], channel: int) -> Picture:
    from PIL import Image

    mode = _MODES[channel]
    return Picture(Image.frombytes(mode, size, body), f"{size[0]}x{size[1]} bare {mode} bytes")


def _draw(content: Picture, answer: DecodedResponse) -> Drawing:
    shown = draw.shrink(content.image)
    cutout = draw.is_transparent(shown)
    return Drawing((f"image {content.said}",), image=draw.checkerboard(shown) if cutout else draw.rgb(shown))


def _changes(before: Picture, after: Picture, answer: DecodedResponse) -> Changes:
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
    lines.append(f"{changed_pixels(int(where.sum()), where.size)}, by up to {int(apart.max())} of 255")
    return Changes(tuple(lines), draw.highlight(draw.fit(draw.rgb(other), 800, 800), where))


def _marks(content: Picture, answer: DecodedResponse) -> Marks:
    """The file that came back if browsers open it, else a PNG."""
    image = content.image
    if answer.body.startswith(_WEB) or answer.body[8:12] == b"WEBP":
        return Marks({}, image.size, answer.body)
    buffer = io.BytesIO()
    (image if image.mode in ("RGB", "RGBA", "L") else draw.rgb(image)).save(buffer, "PNG", compress_level=1)
    return Marks({}, image.size, buffer.getvalue())


PICTURE = ViewSpec("picture", _read, Picture, _draw, changes=_changes, marks=_marks)
PIXELS = ViewSpec("pixels", _pixels, asked=_asked_pixels)
