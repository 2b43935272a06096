"""One exchange as views read it: each thing in it is unpacked once, whichever views ask."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from handlerkit.messages import Exchange, Geometry, Request, Response
from handlerkit.predictions import Labels, from_base64, open_picture, picture_head

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from handlerkit.view.decode.response import DecodedResponse

#: How wide an input image is drawn at most; a larger one shrinks by a whole number: it is quick, and masks stay sharp.
SHOWN_WIDTH = 1600
_ROTATED = {3: 180, 6: 90, 8: 270}  # EXIF's Orientation, in degrees clockwise
_SIDES = re.compile(r"(?:x-)?(?:image-)?(width|height|size)")


@dataclass(frozen=True, eq=False)
class InputImage:
    """The picture a request carries.

    Its pixels are those that PIL gives: like most handlers, it leaves an EXIF rotation be; `upright()` does not.

    Attributes:
        data: the file as it was sent.
        size: its (width, height).
        shown: it in RGB, a whole number of times smaller if it is wider or higher than SHOWN_WIDTH.
        rotated: the degrees by which EXIF asks to turn it clockwise.
    """

    data: bytes
    size: tuple[int, int]
    shown: Image.Image
    rotated: int = 0

    @classmethod
    def read(cls, data: bytes) -> InputImage | None:
        """The picture in these bytes; None if there is none, or it is broken."""
        from handlerkit.view import draw

        if (head := picture_head(data)) is None or (image := open_picture(data, SHOWN_WIDTH)) is None:
            return None
        try:
            rotated = 0 if image.format == "PNG" else _ROTATED.get(image.getexif().get(0x0112, 1), 0)
            shown = draw.rgb(image)
        except Exception:  # plugins raise whatever the broken data leads them to
            return None
        factor = -(-max(head.size) // SHOWN_WIDTH)
        rest = max(1, round(max(shown.size) * factor / max(head.size)))
        return cls(data, head.size, shown.reduce(rest) if rest > 1 else shown, rotated)

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) as EXIF says it is to be seen."""
        return self.size[::-1] if self.rotated in (90, 270) else self.size

    def upright(self) -> InputImage:
        """It as EXIF says it is to be seen."""
        return replace(self, size=self.upright_size, shown=self.shown.rotate(-self.rotated, expand=True), rotated=0)


@dataclass(frozen=True, eq=False)
class Source:
    """A request, the answer to it, and what is known of the model: what a view is given.

    Attributes:
        labels: index_to_name.json of the model, or None.
        geometry: what the handler did to the input image, or None if that is not known.
        read_part: reads a part of this exchange, one answer of several, with the view that fits it.
    """

    exchange: Exchange
    labels: Labels = None
    geometry: Geometry | None = None
    read_part: Callable[[Exchange], DecodedResponse] | None = None

    @property
    def request(self) -> Request:
        return self.exchange.request

    @property
    def response(self) -> Response:
        return self.exchange.response

    @cached_property
    def json(self) -> Any:
        """The answer's JSON; None if it is none."""
        body = self.response.body
        return _json(body) if body.lstrip()[:1] in (b"[", b"{") else None

    @cached_property
    def array(self) -> npt.NDArray[Any] | None:
        """The array of an answer in numpy's .npy format; None if it is none. Nothing is unpickled."""
        import numpy as np

        if not self.response.body.startswith(b"\x93NUMPY"):
            return None
        try:
            return np.asarray(np.load(BytesIO(self.response.body), allow_pickle=False))
        except (ValueError, EOFError):
            return None

    @cached_property
    def text(self) -> str | None:
        """The answer as UTF-8; None if it is none."""
        try:
            text = self.response.body.decode()
        except UnicodeDecodeError:
            return None
        return None if "\0" in text else text

    @cached_property
    def picture(self) -> Image.Image | None:
        """The answer's picture, unpacked, a JPEG no larger than it is shown; None if it is none."""
        return open_picture(self.response.body, SHOWN_WIDTH)

    @cached_property
    def input_image(self) -> InputImage | None:
        """The picture that the request carries: its body, a part of it, or base64 in its JSON."""
        return next((found for data in _bodies(self.request) if (found := _input_image(data))), None)

    @cached_property
    def is_explanation(self) -> bool:
        """Whether the request asked for an explanation, in one of TorchServe's paths."""
        path = self.request.path or ""
        return path.startswith("/explanations") or path.endswith((":explain", "/explain"))

    @cached_property
    def said_size(self) -> tuple[int, int] | None:
        """(width, height) that a header of the answer, or the request's query or a header, speaks of."""
        sides: dict[str, int] = {}
        for name, value in (*parse_qsl(self.request.query), *self.request.headers, *self.response.headers):
            found = _SIDES.fullmatch(name.lower().replace("_", "-"))
            numbers = re.fullmatch(r"(\d{1,5})(?:[x, ]+(\d{1,5}))?", value.strip()) if found else None
            if found and numbers and found[1] == "size" and numbers[2]:
                sides |= {"width": int(numbers[1]), "height": int(numbers[2])}
            elif found and numbers and found[1] != "size":
                sides[found[1]] = int(numbers[1])
        return (sides["width"], sides["height"]) if all(map(sides.get, ("width", "height"))) else None


#: After an edit of the handler, the same image is answered again.
_input_image = functools.lru_cache(maxsize=2)(InputImage.read)


def _bodies(request: Request) -> Iterator[bytes]:
    """The body, the parts of a multipart body, and base64 in a JSON body."""
    body = request.body
    yield body
    kind = request.content_type or ""
    if boundary := re.search(r'boundary="?([^";]+)', kind):
        for part in body.split(b"--" + boundary[1].encode()):
            yield part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    elif body.lstrip()[:1] in (b"{", b'"', b"["):
        for text in _texts(_json(body)):
            if (data := from_base64(text)) is not None:
                yield data


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Texts that may be base64: in lists, and in objects under the names that envelopes and handlers have for them."""
    if isinstance(value, str) and len(value) > 32:
        yield value
    elif depth < 4 and isinstance(value, list):
        for item in value[:4]:
            yield from _texts(item, depth + 1)
    elif depth < 4 and isinstance(value, dict):
        for name in ("data", "body", "image", "b64", "instances", "inputs"):
            yield from _texts(value.get(name), depth + 1)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
