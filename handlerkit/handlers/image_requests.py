"""What the ready-made image handlers share. It travels beside them in the archive, as an extra file.

A request carries one image or several:

    a file as the body, or as parts of a multipart form: PNG, JPEG, WebP, GIF, BMP, TIFF or PPM
    base64 of a file, with or without "data:image/png;base64," before it
    pixels in JSON, [H, W], [H, W, C] or [C, H, W]: whole numbers from 0 to 255, or fractions from 0 to 1
    JSON lists and objects of those, such as {"image": "iVBORw0..."} or {"instances": [{"b64": "..."}]}

Images are turned upright as their EXIF says, and made RGB; what is transparent becomes white. Sizes and coordinates in
answers are those of the upright image.

Several images in one request are answered by a JSON list, or by multipart/mixed with a part for each. What is not
about images is in request_handler.py.
"""

from __future__ import annotations

import base64
import colorsys
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from request_handler import (  # noqa: F401  an image handler imports from here alone
    COUNT,
    JSON,
    SHARE,
    Refusal,
    RequestHandler,
    Rule,
    Settings,
    is_number,
    negotiate,
    one_of,
    optional,
    paired,
    wrong_setting,
)
from torch import Tensor

RAW = "application/octet-stream"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# What PIL reads by itself; for EPS it would start another program on bytes from the network.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# Beside images, these are in a request to /invocations, and in an input of the Open Inference Protocol.
_NO_IMAGES = ("model_name", "name", "shape", "datatype", "parameters")
_DEEPEST = 6  # lists and objects in each other


class ImageHandler(RequestHandler):
    """RequestHandler for images.

    A handler made from it says its FORMS and SETTINGS, and has three methods:

        prepare(image)                     what the model is given of an RGB image: uint8 [C, H, W]
        predict(inputs)                    a prediction for each of them
        answer(image, prediction, form)    what to send: a PIL image, text, or what JSON carries

    SETTINGS have to hold `mean` and `std`.
    """

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        if len(self.settings.mean) != len(self.settings.std):
            raise wrong_setting("mean and std have to hold as many numbers as each other")
        if not context.system_properties.get("limit_max_image_pixels", True):
            Image.MAX_IMAGE_PIXELS = None

    def items(self, content: Any) -> list[Image.Image]:
        return read_images(content)

    def pack(self, answers: list[Any], form: str) -> tuple[dict[str, str], Any]:
        return pack(answers, form)

    def said(self, items: list[Image.Image]) -> str:
        return f"an image of {', '.join(f'{image.width}x{image.height}' for image in items)} pixels"

    # ---- For the handlers' own methods

    def to_tensor(self, image: Image.Image) -> Tensor:
        """uint8 [C, H, W], with as many channels as `mean` has numbers."""
        pixels = np.array(image.convert("L") if len(self.settings.mean) == 1 else image)
        return torch.from_numpy(pixels).reshape(image.height, image.width, -1).permute(2, 0, 1)

    def normalized(self, pixels: Tensor) -> Tensor:
        """uint8 [..., C, H, W] -> float on the model's device, with `mean` and `std` taken out."""
        mean = torch.tensor(self.settings.mean, device=self.device)[:, None, None]
        std = torch.tensor(self.settings.std, device=self.device)[:, None, None]
        return (pixels.to(self.device) / 255 - mean) / std

    def run_model(self, inputs: list[Tensor], read: Callable[[Any], Iterable[Any]]) -> list[Any]:
        """The model's output for each input; those of one size go through it together.

        read: takes what the model returns for N of them, and gives N outputs.
        """
        outputs: list[Any] = [None] * len(inputs)
        for shape in dict.fromkeys(one.shape for one in inputs):
            alike = [index for index, one in enumerate(inputs) if one.shape == shape]
            with torch.inference_mode():
                returned = self.model(self.normalized(torch.stack([inputs[index] for index in alike])))
            for index, output in paired(alike, read(returned)):
                outputs[index] = output
        return outputs


def main_output(returned: Any) -> Tensor:
    """The tensor that counts: "out" of torchvision's segmentation models, else the first of several."""
    while not isinstance(returned, Tensor):
        returned = returned.get("out", next(iter(returned.values()))) if isinstance(returned, dict) else returned[0]
    return returned


# ---- Images out of requests


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


def resized(image: Image.Image, size: Any) -> Image.Image:
    """The image in a size: None as it is, (height, width), or the shorter side in pixels."""
    if size is None:
        return image
    if isinstance(size, int):
        scale = size / min(image.size)
        width, height = (min(round(side * scale), 4 * size) for side in image.size)  # a very long one is squeezed
    else:
        height, width = size
    return scaled(image, (width, height))


Box = tuple[float, float, float, float]  # left, top, right, bottom


def scaled(
    image: Image.Image,
    size: tuple[int, int],
    resample: Image.Resampling = Image.Resampling.BILINEAR,
    box: Box | None = None,
) -> Image.Image:
    """The image, or what a box holds of it, in a size (width, height).

    Across first and then down: Pillow's releases begin with one or the other, and their pixels differ.
    """
    left, top, right, bottom = box or (0, 0, *image.size)
    across = image.resize((size[0], image.height), resample, box=(left, 0, right, image.height))
    return across.resize(size, resample, box=(0, top, size[0], bottom))


def middle(image: Image.Image, width: float, height: float) -> Box:
    """The box of that size in the middle of the image."""
    left, top = max(0, (image.width - width) / 2), max(0, (image.height - height) / 2)
    return left, top, min(image.width, left + width), min(image.height, top + height)


# ---- Answers


def pack(answers: list[Any], form: str) -> tuple[dict[str, str], Any]:
    """The headers and the body that send them: the one there is; a JSON list, or multipart/mixed, of several."""
    if form == JSON:
        return {"content-type": JSON}, answers[0] if len(answers) == 1 else answers
    parts = [encode(answer, form) for answer in answers]
    if len(parts) == 1:
        return parts[0]
    boundary = hashlib.sha256(b"".join(body for _, body in parts)).hexdigest()
    text = b""
    for headers, body in parts:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        text += f"--{boundary}\r\n{head}\r\n".encode() + body + b"\r\n"
    return {"content-type": f"multipart/mixed; boundary={boundary}"}, text + f"--{boundary}--\r\n".encode()


def encode(answer: Image.Image | str, form: str) -> tuple[dict[str, str], bytes]:
    """An image or a text in that form, with its headers. An image tells its size, which RAW pixels do not."""
    if isinstance(answer, str):
        return {"content-type": form}, answer.encode()
    headers = {"content-type": form, "image-width": str(answer.width), "image-height": str(answer.height)}
    if form == RAW:
        return headers, answer.tobytes()
    kind = form.partition(";")[0].removeprefix("image/")
    # PIL's own compress_level takes twice as long for a photograph, to gain 5 %
    options = {"jpeg": {"quality": 90}, "png": {"compress_level": 1}}[kind]
    file = io.BytesIO()
    answer.save(file, kind, **options)
    return headers, file.getvalue()


def class_color(index: int) -> tuple[int, int, int]:
    """A class's color: black for 0, then hues a golden section apart, which never come again."""
    red, green, blue = colorsys.hsv_to_rgb(0.618034 * index % 1, 0.8, 1 if index else 0)
    return round(255 * red), round(255 * green), round(255 * blue)


def run_length(mask: Any) -> dict[str, Any]:
    """A mask [H, W] as COCO writes it: {"size": [H, W], "counts": "..."}, which pycocotools.mask.decode reads.

    Runs of 0 and 1 in turn, beginning with 0, down the columns; from the fourth on as the difference to the one but
    one before; each in characters of five bits from "0" on, of which the sixth bit says that more follow (maskApi.c).
    """
    pixels = np.asarray(mask, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs = np.diff(np.concatenate([[0] * (1 + pixels[0]), edges, [pixels.size]]))
    runs[3:] -= runs[1:-2].copy()
    characters, used, more = [], [], np.ones(len(runs), dtype=bool)
    while more.any():
        used.append(more)
        bits, runs = runs & 31, runs >> 5
        more = more & (runs != np.where(bits & 16, -1, 0))
        characters.append(bits + 32 * more + 48)
    counts = np.stack(characters, axis=1)[np.stack(used, axis=1)]
    return {"size": list(mask.shape), "counts": counts.astype(np.uint8).tobytes().decode()}


# ---- Settings

CHANNELS: Rule = (
    "a list of one or three numbers",
    lambda value: isinstance(value, list) and len(value) in (1, 3) and all(map(is_number, value)),
)
SIZE: Rule = (
    "the shorter side in pixels, [height, width], or null",
    lambda value: (
        value is None or COUNT[1](value) or (isinstance(value, list) and len(value) == 2 and all(map(COUNT[1], value)))
    ),
)
