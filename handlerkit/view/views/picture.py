"""A picture that came back: a file, one in base64 in JSON, or bare pixels."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import replace
from math import isqrt
from typing import TYPE_CHECKING, Any

from handlerkit.predictions import from_base64, open_picture, picture_head
from handlerkit.view import draw
from handlerkit.view.contents.changes import Changes, changed_pixels
from handlerkit.view.contents.drawings import Drawing
from handlerkit.view.contents.marks import Marks
from handlerkit.view.decode.response import DecodedResponse, Picture
from handlerkit.view.decode.source import SHOWN_WIDTH, Source
from handlerkit.view.views.spec import ViewSpec

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112  # EXIF's tag
_MODES = {4: "RGBA", 3: "RGB", 1: "L"}
_LEAST, _DEEP, _WIDE = 60, 4, 20  # characters of a picture in base64; levels of JSON, and values of each, looked at
_WEB = (b"\x89PNG", b"\xff\xd8", b"GIF8")  # what every browser opens; and WebP


def _read(source: Source) -> Picture | None:
    """An image of any kind."""
    return None if source.picture is None else _of_file(source.picture, source.response.body)


def _of_file(image: Image.Image, file: bytes) -> Picture:
    """`image`: what is in the file, maybe with fewer pixels."""
    head = picture_head(file) or image
    (width, height), upright = head.size, _upright(image)
    said = f"{width}x{height} {image.format}"
    said += f", {image.mode}" if image.mode not in ("RGB", "L", "P", "1") else ""
    if (frames := getattr(image, "n_frames", 1)) > 1:
        said += f", the first of {frames} frames"
    turned = (upright.width < upright.height) != (image.width < image.height)
    return Picture(upright, said, (height, width) if turned else (width, height), file)


def _whole(content: Picture) -> Image.Image:
    """It at its full size."""
    if content.image.size == content.size or (image := open_picture(content.file)) is None:
        return content.image
    return _upright(image)


def _embedded(source: Source) -> Picture | None:
    """A picture in base64 that is the answer or in its JSON, such as `{"image": "iVBORw0KGgo..."}`, also as a data URI;
    the first of several, and where it stands."""
    found = list(_files((source.text or "").strip(' \n"') if source.json is None else source.json))
    if not found or (image := open_picture(found[0][1], SHOWN_WIDTH)) is None:
        return None
    where, file = found[0]
    picture = _of_file(image, file)
    said = f"{picture.said} in base64" + f" at {where}" * bool(where)
    more = f", the first of {len(found)}" if len(found) > 1 else ""
    return replace(picture, said=said + more)


def _files(value: Any, where: str = "", depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """The pictures in JSON: where each stands, and its file."""
    if isinstance(value, str):
        file = from_base64(value) if len(value) > _LEAST else None
        if file is not None and picture_head(file) is not None:
            yield where, file
    elif depth < _DEEP and isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else ((str(at), one) for at, one in enumerate(value))
        for key, one in itertools.islice(pairs, _WIDE):
            yield from _files(one, f"{where}.{key}".lstrip("."), depth + 1)


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
    return Picture(Image.frombytes(mode, size, body), f"{size[0]}x{size[1]} bare {mode} bytes", size)


def _draw(content: Picture, answer: DecodedResponse) -> Drawing:
    shown = draw.shrink(content.image)
    cutout = draw.is_transparent(shown)
    return Drawing((f"image {content.said}",), image=draw.checkerboard(shown) if cutout else draw.rgb(shown))


def _changes(before: Picture, after: Picture, answer: DecodedResponse) -> Changes:
    import numpy as np

    one, other = _whole(before), _whole(after)
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
    if content.file.startswith(_WEB) or content.file[8:12] == b"WEBP":
        return Marks({}, content.size, content.file)
    image = content.image
    buffer = io.BytesIO()
    (image if image.mode in ("RGB", "RGBA", "L") else draw.rgb(image)).save(buffer, "PNG", compress_level=1)
    return Marks({}, content.size, buffer.getvalue())


PICTURE = ViewSpec("picture", _read, Picture, _draw, changes=_changes, marks=_marks)
EMBEDDED = ViewSpec("embedded", _embedded)
PIXELS = ViewSpec("pixels", _pixels, asked=_asked_pixels)
