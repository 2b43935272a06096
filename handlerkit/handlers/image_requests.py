"""Images out of requests. A request carries one image or several:

    a file as the body, or as parts of a multipart form: PNG, JPEG, WebP, GIF, BMP, TIFF or PPM
    base64 of a file, with or without "data:image/png;base64," before it
    pixels in JSON, [H, W], [H, W, C] or [C, H, W]: whole numbers from 0 to 255, or fractions from 0 to 1
    JSON lists and objects of those, such as {"image": "iVBORw0..."} or {"instances": [{"b64": "..."}]}

Images are turned upright as their EXIF says, and made RGB; what is transparent becomes white. Sizes and coordinates in
answers are those of the upright image.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from handler_settings import is_number
from PIL import Image, ImageOps, UnidentifiedImageError
from request_handler import Refusal

# What PIL reads by itself; for EPS it would start another program on bytes from the network.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# Beside images, these are in a request to /invocations, and in an input of the Open Inference Protocol.
_NO_IMAGES = ("model_name", "name", "shape", "datatype", "parameters")
_DEEPEST = 6  # lists and objects in each other


def read_images(content: Any) -> list[Image.Image]:
    """The images of one request. Raises Refusal, which names the part of the request that is none."""
    images = list(_images(content, "", 0))
    if not images:
        raise Refusal(400, "The request holds no image; send a file as the body, or base64 or pixels in JSON.")
    return images


def _images(value: Any, name: str, depth: int) -> Iterator[Image.Image]:
    """Those in a value as TorchServe decoded it; `name` says where it is, such as "instances[2].b64"."""
    if isinstance(value, dict) and depth < _DEEPEST:
        for key, inner in value.items():
            if key not in _NO_IMAGES:
                yield from _images(inner, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list) and is_number(_first_leaf(value)):
        yield from _from_pixels(value, name)
    elif isinstance(value, list) and depth < _DEEPEST:
        for index, inner in enumerate(value):
            yield from _images(inner, f"{name}[{index}]", depth + 1)
    elif isinstance(value, (bytes, bytearray)) and value[:1] in (b"{", b"["):  # JSON without its Content-Type
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Refusal(400, f"{name} is neither an image nor JSON that can be read.") from None
        yield from _images(value, name, depth)
    elif isinstance(value, (str, bytes, bytearray)):
        yield _from_file(_from_base64(value), name or "The request")
    else:
        raise Refusal(400, f"{name or 'The request'} is no image, but {str(value)[:40]!r}.")


def _from_base64(value: str | bytes | bytearray) -> bytes:
    """What base64 stands for; anything else as it is."""
    data = value.encode() if isinstance(value, str) else bytes(value)
    if not data.isascii():
        return data
    # the command base64 breaks lines, and in forms as `curl -d` sends them each "+" has become a space
    coded = b"".join(data.rpartition(b"base64,")[2].strip().splitlines()).replace(b" ", b"+")
    try:
        return base64.b64decode(coded + b"=" * (-len(coded) % 4), validate=True)
    except ValueError:
        return data


def _from_file(data: bytes, name: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            return to_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        what = f"is neither a file of {', '.join(_FORMATS)} nor base64 of one" if data else "is empty"
        raise Refusal(400, f"{name} {what}.") from None
    except Exception as problem:  # PIL raises whatever broken data leads it to
        raise Refusal(400, f"{name} is a broken image: {problem}.") from None


def _from_pixels(value: list[Any], name: str) -> Iterator[Image.Image]:
    """[H, W], [H, W, C], [C, H, W], or several of them in one list."""
    name = f"The pixels of {name or 'the request'}"
    try:
        pixels = np.asarray(value)
    except (ValueError, OverflowError):
        raise Refusal(400, f"{name} are not in rows of one length.") from None
    if pixels.dtype.kind not in "iuf" or not 2 <= pixels.ndim <= 4 or not pixels.size:
        raise Refusal(400, f"{name} have to be rows of numbers, or of [r, g, b].")
    if not (pixels.min() >= 0 and pixels.max() <= 255):  # nor does NaN pass
        raise Refusal(400, f"{name} have to be whole numbers from 0 to 255, or fractions from 0 to 1.")
    if pixels.dtype.kind == "f" and pixels.max() <= 1:
        pixels = pixels * 255
    for one in pixels.round().astype(np.uint8) if pixels.ndim == 4 else [pixels.round().astype(np.uint8)]:
        one = one[:, :, None] if one.ndim == 2 else one if one.shape[2] in (1, 3, 4) else np.moveaxis(one, 0, 2)
        if one.shape[2] not in (1, 3, 4):
            raise Refusal(400, f"{name} have {one.shape[2]} channels; send 1, 3 or 4.")
        yield to_rgb(Image.fromarray(one[:, :, 0] if one.shape[2] == 1 else one))


def _first_leaf(value: Any) -> Any:
    while isinstance(value, list) and value:
        value = value[0]
    return value


def to_rgb(image: Image.Image) -> Image.Image:
    """Any image in 8 bits a channel: of 16 bits the upper ones count, and transparent pixels lie on white."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image.convert("RGB")
