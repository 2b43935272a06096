"""What the ready-made image handlers share. It travels beside them in the archive, as an extra file.

A request carries one image or several:

    a file as the body, or as parts of a multipart form: PNG, JPEG, WebP, GIF, BMP, TIFF or PPM
    base64 of a file, with or without "data:image/png;base64," before it
    pixels in JSON, [H, W], [H, W, C] or [C, H, W]: whole numbers from 0 to 255, or fractions from 0 to 1
    JSON lists and objects of those, such as {"image": "iVBORw0..."} or {"instances": [{"b64": "..."}]}

Images are turned upright as their EXIF says, and made RGB; what is transparent becomes white. Sizes and coordinates in
answers are those of the upright image.

The answer has the form that the Accept header prefers. Several images in one request are answered by a JSON list, or
by multipart/mixed with a part for each. A request that cannot be served gets a status and a JSON object
{"code": 400, "type": "Bad Request", "message": "..."} of its own; the others of its batch are answered.
"""

from __future__ import annotations

import base64
import colorsys
import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from ts.handler_utils.micro_batching import MicroBatching
from ts.handler_utils.timer import timed
from ts.torch_handler.base_handler import BaseHandler

logger = logging.getLogger(__name__)

JSON, RAW = "application/json", "application/octet-stream"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# What PIL reads by itself; for EPS it would start another program on bytes from the network.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# Beside images, these are in a request to /invocations, and in an input of the Open Inference Protocol.
_NO_IMAGES = ("model_name", "name", "shape", "datatype", "parameters")
# Python 3.13 has another phrase for it, and answers are to be the same everywhere.
_PHRASES = {HTTPStatus(413): "Request Entity Too Large"}
_DEEPEST = 6  # lists and objects in each other


class Refusal(Exception):
    """A request that cannot be served: the status and the sentence its client gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = HTTPStatus(status)


@dataclass
class ImageRequest:
    """One row of a batch on its way through the stages; the handler itself keeps nothing of a request."""

    row: int
    form: str = JSON
    images: list[Image.Image] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    predictions: list[Any] = field(default_factory=list)
    refusal: Refusal | None = None


class ImageHandler(BaseHandler):
    """TorchServe's BaseHandler for images: each request is read, served or refused, and answered by itself.

    A handler made from it says its FORMS and SETTINGS, and has three methods:

        prepare(image)                     what the model is given of an RGB image: uint8 [C, H, W]
        predict(inputs)                    a prediction for each of them
        answer(image, prediction, form)    what to send: a PIL image, text, or what JSON carries

    SETTINGS have to hold `mean` and `std`; `max_response_size` is added. A section `micro_batching:` of
    model-config.yaml, such as {micro_batch_size: 4, parallelism: {preprocess: 2}}, works as in TorchServe's examples.
    """

    FORMS: tuple[str, ...]  # media types, the default first
    SETTINGS: Settings

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        config = context.model_yaml_config or {}
        self.settings = self.SETTINGS.read(config)
        if len(self.settings.mean) != len(self.settings.std):
            raise wrong_setting("mean and std have to hold as many numbers as each other")
        if not context.system_properties.get("limit_max_image_pixels", True):
            Image.MAX_IMAGE_PIXELS = None
        self.pieces = MicroBatching(self, **config["micro_batching"]) if "micro_batching" in config else None

    def handle(self, data: list[Any], context: Any) -> list[Any]:
        return (self.pieces or super().handle)(data, context)

    # ---- The stages that BaseHandler.handle and MicroBatching call

    @timed
    def preprocess(self, data: list[Any]) -> list[ImageRequest]:
        # micro-batching hands over a batch in pieces; headers and statuses are numbered as in the whole
        pieces = self.pieces or self.handle  # which may have been set to one, as TorchServe's examples do
        first = pieces.get_micro_batch_idx() * pieces.micro_batch_size if isinstance(pieces, MicroBatching) else 0
        return [self._read(row, content) for row, content in enumerate(data, first)]

    @timed
    def inference(self, requests: list[ImageRequest]) -> list[ImageRequest]:
        if waiting := [request for request in requests if request.refusal is None]:
            self._predict(waiting)
        return requests

    @timed
    def postprocess(self, requests: list[ImageRequest]) -> list[Any]:
        return [self._respond(request) for request in requests]

    def explain_handle(self, data_preprocess: list[ImageRequest], raw_data: Any) -> list[Any]:
        # BaseHandler lets the first row decide for all of them; _read refuses each that asks for an explanation
        return self.postprocess(self.inference(data_preprocess))

    def _read(self, row: int, content: Any) -> ImageRequest:
        request = ImageRequest(row)
        try:
            if self._header(row, "explain") == "True":
                raise Refusal(501, "This model has no explanations; ask for /predictions.")
            request.form = negotiate(self._header(row, "accept"), self.FORMS)
            request.images = read_images(content)
            request.inputs = [self.prepare(image) for image in request.images]
        except Refusal as refusal:
            request.refusal = refusal
        return request

    def _predict(self, requests: list[ImageRequest]) -> None:
        """Run the model on all images; where it fails, on one request after the other, to see on which."""
        try:
            inputs = [one for request in requests for one in request.inputs]
            predictions = (prediction for _, prediction in paired(inputs, self.predict(inputs)))
        except Exception as problem:
            if len(requests) > 1:
                for request in requests:
                    self._predict([request])
                return
            logger.exception("the model failed")
            sizes = ", ".join(f"{image.width}x{image.height}" for image in requests[0].images)
            status = 507 if isinstance(problem, (MemoryError, torch.OutOfMemoryError)) else 500
            why = str(problem).strip().rpartition("\n")[2]  # TorchScript tells a traceback first
            requests[0].refusal = Refusal(status, f"The model failed on an image of {sizes} pixels: {why}")
            return
        for request in requests:
            request.predictions = list(islice(predictions, len(request.inputs)))

    def _respond(self, request: ImageRequest) -> Any:
        try:
            if request.refusal is not None:
                raise request.refusal
            pairs = zip(request.images, request.predictions)
            headers, body = pack([self.answer(*pair, request.form) for pair in pairs], request.form)
            # TorchServe ends a worker whose answer is longer, and with it the other requests of the batch
            size = len(body if isinstance(body, bytes) else json.dumps(body, indent=2))
            if size > self.settings.max_response_size:
                limit = f"max_response_size, {self.settings.max_response_size}"
                raise Refusal(413, f"This answer has {size} bytes, more than {limit}; ask for another form.")
        except Refusal as refusal:
            code, phrase = int(refusal.status), _PHRASES.get(refusal.status, refusal.status.phrase)
            headers, body = {"content-type": JSON}, {"code": code, "type": phrase, "message": str(refusal)}
            if self._is_request(request.row):
                self.context.set_response_status(code, phrase, request.row)
        if self._is_request(request.row):
            for name, value in headers.items():
                self.context.set_response_header(request.row, name, value)
        return body

    def _header(self, row: int, name: str) -> str:
        """A request's header whatever its casing; "" where there is none."""
        headers = self.context.get_all_request_header(row) if self._is_request(row) else {}
        found = (value for key, value in headers.items() if key.lower() == name and isinstance(value, str))
        return next(found, "")

    def _is_request(self, row: int) -> bool:
        return row < len(self.context.request_processor)  # the json envelope makes several rows of a request

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

    def label(self, index: int) -> str:
        """The class's name in index_to_name.json; its index where there is none."""
        return str((self.mapping or {}).get(str(index), index))


def paired(inputs: Sequence[Any], outputs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Each input with its output. Raises ValueError unless there is one for each; zip's strict needs Python 3.10."""
    found = list(outputs)
    if len(found) != len(inputs):
        raise ValueError(f"{len(found)} outputs for {len(inputs)} inputs")
    return zip(inputs, found)


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
    elif isinstance(value, list) and _is_number(_first_leaf(value)):
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


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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


def negotiate(accept: str, forms: tuple[str, ...]) -> str:
    """The form that an Accept header prefers; the first where it says nothing.

    As in RFC 9110, 12.5.1, the most specific range that fits a form decides how much it is wanted. Raises Refusal with
    406 where none is accepted.
    """
    ranges = [_media_range(text) for text in accept.split(",") if text.strip()] or [("*/*", "", 1.0)]

    def preference(form: str) -> tuple[float, int]:
        kind, mask, _ = _media_range(form)
        kinds = ("*/*", f"{kind.partition('/')[0]}/*", kind)
        fitting = [
            (kinds.index(wanted) + 3 * bool(asked), quality)
            for wanted, asked, quality in ranges
            if wanted in kinds and asked in ("", mask)
        ]
        specificity, quality = max(fitting, default=(0, 0.0))
        return quality, specificity

    best = max(forms, key=preference)
    if preference(best)[0] <= 0:
        raise Refusal(406, f"This model answers {', '.join(forms)}, not {accept}.")
    return best


def _media_range(text: str) -> tuple[str, str, float]:
    """`image/PNG; Mask=indexed; q=0.5` -> ("image/png", "indexed", 0.5): what counts of it here."""
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    given = {name.strip(): value.strip(' "') for name, _, value in (part.partition("=") for part in parameters)}
    try:
        return kind, given.get("mask", ""), float(given.get("q", 1))
    except ValueError:
        return kind, given.get("mask", ""), 1.0


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

# What a setting has to be, in words and as a test.
Rule = tuple[str, Callable[[Any], bool]]
COUNT: Rule = ("a whole number from 1 on", lambda value: type(value) is int and value >= 1)
SHARE: Rule = ("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
CHANNELS: Rule = (
    "a list of one or three numbers",
    lambda value: isinstance(value, list) and len(value) in (1, 3) and all(map(_is_number, value)),
)
SIZE: Rule = (
    "the shorter side in pixels, [height, width], or null",
    lambda value: (
        value is None or COUNT[1](value) or (isinstance(value, list) and len(value) == 2 and all(map(COUNT[1], value)))
    ),
)


def one_of(*names: Any) -> Rule:
    return f"one of {', '.join(map(str, names))}", lambda value: value in names


def optional(rule: Rule) -> Rule:
    words, fits = rule
    return f"{words}, or null", lambda value: value is None or fits(value)


class Settings:
    """The settings that the section `handler:` of model-config.yaml may hold: the default and the rule of each."""

    def __init__(self, **settings: tuple[Any, Rule]) -> None:
        self.settings = {**settings, "max_response_size": (6553500, COUNT)}

    def read(self, config: dict[str, Any]) -> SimpleNamespace:
        """What model-config.yaml says, with the defaults of what it leaves out.

        Raises RuntimeError, with the name of a wrong setting.
        """
        given = config.get("handler") or {}
        if not isinstance(given, dict):
            raise wrong_setting(f"it holds settings by name, not {given!r}")
        for name in given.keys() - {"profile"}:  # which is BaseHandler's own
            if name not in self.settings:
                raise wrong_setting(f"there is no setting {name!r}, only {', '.join(self.settings)}")
            words, fits = self.settings[name][1]
            if not fits(given[name]):
                raise wrong_setting(f"{name} is {words}, not {given[name]!r}")
        return SimpleNamespace(**{name: given.get(name, default) for name, (default, _) in self.settings.items()})


def wrong_setting(what: str) -> RuntimeError:
    """A RuntimeError is what a worker reports; after any other it starts again and again."""
    return RuntimeError(f"model-config.yaml, section handler: {what}")
