"""Readers: each takes an exchange and draws its answer, or returns None where the answer is not of its kind.

The order in which they are asked is render.READERS. A view shows the wire response next to its request, never what the
handler computed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

from handlerkit.messages import Exchange, Request
from handlerkit.predictions import Classes, Detections, Labels, SegmentationMap
from handlerkit.view import draw, html

if TYPE_CHECKING:
    from PIL import Image

#: Formats that PIL reads by itself; EPS, for one, would start Ghostscript on bytes that came over the network.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "PPM")
_FEW = 5  # boxes written out
_LONG = 12  # lines of an answer's text from which on it is folded
_MOST = 10  # classes listed

#: (name, value, colour, share from 0 to 1 or None)
Key = tuple[str, str, draw.Colour, float | None]


@dataclass(frozen=True)
class Drawing:
    """What one answer shows.

    Attributes:
        facts: the picture in words, a line each.
        keys: (name, value, colour, share from 0 to 1 or None): the classes in it.
        image: the picture.
        aside: the picture is the request's, small beside the keys.
        body: the answer's text, laid out and cut.
    """

    facts: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    image: Image.Image | None = None
    aside: bool = False
    body: str = ""

    @property
    def folded(self) -> bool:
        """Whether `body` is long, or stands behind a picture."""
        return bool(self.image or self.keys or self.body.count("\n") >= _LONG)

    @property
    def lines(self) -> list[str]:
        """Facts and keys as text."""
        named = ", ".join(f"{name} {value}" for name, value, _, _ in self.keys)
        return [*self.facts, *([named] if named else [])]


def index_map(exchange: Exchange, labels: Labels) -> Drawing | None:
    """A PNG of class indexes (mode 1, L or P, fewer than 32 of them) as large as the request's photograph."""
    import numpy as np

    image = _image(exchange.response.body)
    if image is None or image.format != "PNG" or image.mode not in ("1", "L", "P"):
        return None
    classes = np.asarray(image).astype(np.uint8)
    if not 0 < classes.max() < 32 or (photograph := _photograph(exchange.request)) is None:
        return None
    if photograph.size != image.size:
        return None
    names = {int(index): name for index, name in (labels or {}).items() if index.isdecimal()}
    drawing = _drawn_map(SegmentationMap(classes, names), photograph)
    return replace(drawing, facts=(f"image {image.width}x{image.height} PNG of class indexes", *drawing.facts))


def picture(exchange: Exchange, labels: Labels) -> Drawing | None:
    """An image that came back; transparent ones on a checkerboard."""
    from PIL import ImageOps

    image = _image(exchange.response.body)
    if image is None:
        return None
    facts = f"image {image.width}x{image.height} {image.format}"
    cutout = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if image.mode not in ("RGB", "L", "P", "1"):
        facts += f", {image.mode}"
    shown = draw.fit(ImageOps.exif_transpose(image))
    return Drawing((facts,), image=draw.checkerboard(shown) if cutout else shown)


def prediction(exchange: Exchange, labels: Labels) -> Drawing | None:
    """JSON that says boxes, a class map or classes: drawn on the request's photograph, or beside it."""
    body = exchange.response.body
    if body.lstrip()[:1] not in (b"[", b"{") or (answer := _json(body)) is None:
        return None
    drawing = None
    if (found := SegmentationMap.read(answer, labels)) is not None:
        drawing = _drawn_map(found, _photograph(exchange.request))
    elif (boxes := Detections.read(answer, labels)) is not None:
        drawing = _drawn_boxes(boxes, _photograph(exchange.request), labels)
    elif (classes := Classes.read(answer, labels)) is not None:
        drawing = _drawn_classes(classes, _photograph(exchange.request))
    return drawing and replace(drawing, body=_pretty(body))


def document(exchange: Exchange, labels: Labels) -> Drawing | None:
    """JSON as it is, laid out; or text."""
    body = exchange.response.body
    if not body:
        return Drawing(("an empty body",))
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    drawing = Drawing(body=_pretty(body))
    return replace(drawing, facts=_shape(_json(body))) if drawing.folded else drawing


def raw(exchange: Exchange, labels: Labels) -> Drawing | None:
    """Bytes that are nothing of the above."""
    body = exchange.response.body
    return Drawing((f"{html.size(len(body))} of bytes: {body[:24].hex(' ')}{' …' if len(body) > 24 else ''}",))


def _drawn_map(found: SegmentationMap, photograph: Image.Image | None) -> Drawing:
    from PIL import Image

    height, width = found.classes.shape
    keys = []
    for index, count in found.pixels().items():
        amount = f"{count:,} px".replace(",", " ")
        # class 0 is not painted
        ink = draw.colour(index) if index else (160, 160, 160)
        keys.append((found.name(index), f"{html.percent(count / (height * width))} ({amount})", ink, None))
    fact = f"class map {width}x{height}"
    if photograph is None:
        blank = draw.fit(Image.new("RGB", (width, height), "white"))
        return Drawing((fact,), tuple(keys), draw.overlay(blank, found.classes, opacity=1))
    if photograph.size != (width, height):
        fact += f", stretched to the photograph's {photograph.width}x{photograph.height}"
    return Drawing((fact,), tuple(keys), draw.overlay(draw.fit(photograph), found.classes))


def _drawn_boxes(found: Detections, photograph: Image.Image | None, labels: Labels) -> Drawing:
    import numpy as np

    # an index keeps the colours of one model's classes apart; a name alone may share its colour with another
    index = {name: int(number) for number, name in (labels or {}).items() if number.isdecimal()}
    colours = [draw.colour(index.get(label, label)) for label in found.labels]
    ink = dict(zip(found.labels, colours, strict=True))
    keys = tuple((name, str(count), ink[name], None) for name, count in Counter(found.labels).items() if name)
    if photograph is None:
        return Drawing((_boxes_fact(found),), keys)
    canvas = draw.fit(photograph)
    if grown := 800 // max(canvas.size):  # a small picture grows, so that its labels can be read
        canvas = canvas.resize((canvas.width * grown, canvas.height * grown))
    scale = np.array([canvas.width / photograph.width, canvas.height / photograph.height] * 2)
    image = draw.boxes(canvas, found.boxes * scale, found.labels, found.scores, colours=colours)
    facts = [_boxes_fact(found)]
    if skipped := image.info["skipped"]:
        facts.append(f"{skipped} not drawn: outside the photograph, or not finite")
    return Drawing(tuple(facts), keys, image)


def _boxes_fact(found: Detections) -> str:
    """`12 boxes: coin 0.98 (10,20)-(50,60), ... and 7 more`."""
    rows = []
    for i, box in enumerate(found.boxes[:_FEW]):
        x1, y1, x2, y2 = (f"{value:.0f}" for value in box)
        score = f"{found.scores[i]:.2f}" if found.scores is not None else ""
        rows.append(" ".join(filter(None, [found.labels[i], score, f"({x1},{y1})-({x2},{y2})"])))
    more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
    return f"{len(found)} box{'es' * (len(found) != 1)}" + (f": {', '.join(rows)}{more}" if rows else "")


def _drawn_classes(found: Classes, photograph: Image.Image | None) -> Drawing:
    pairs = list(zip(found.names, found.probabilities, strict=True))
    keys = tuple((name, html.percent(share), draw.colour(0), share) for name, share in pairs[:_MOST])
    facts = (f"{len(pairs)} classes, the first {_MOST} of them:",) if len(pairs) > _MOST else ()
    return Drawing(facts, keys, draw.fit(photograph, 240, 240) if photograph else None, aside=True)


def _image(data: bytes) -> Image.Image | None:
    """The picture in these bytes; None where there is none, it is broken, or too large to unpack without worry."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(BytesIO(data), formats=_FORMATS)
            image.load()
    except Exception:  # plugins raise whatever the broken data leads them to
        return None
    return image


def _photograph(request: Request) -> Image.Image | None:
    """The picture a request carries, its pixels as PIL gives them: like a handler, it leaves the EXIF rotation be."""
    found = (image for data in _bodies(request) if (image := _image(data)) is not None)
    return next(found, None)


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
            try:
                yield base64.b64decode(text.partition("base64,")[2] or text, validate=True)
            except (binascii.Error, ValueError):
                continue


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Texts that may be base64: {"data"|"body"|"image"|"b64"|"instances": ...} and lists, not deeper than they go."""
    if isinstance(value, str) and len(value) > 32:
        yield value
    elif depth < 4 and isinstance(value, list):
        for item in value[:4]:
            yield from _texts(item, depth + 1)
    elif depth < 4 and isinstance(value, dict):
        for name in ("data", "body", "image", "b64", "instances"):
            yield from _texts(value.get(name), depth + 1)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _shape(value: Any) -> tuple[str, ...]:
    """`JSON object: model, embedding`: what a folded answer holds."""
    if isinstance(value, dict) and value:
        names = ", ".join(list(value)[:8]) + (f" and {len(value) - 8} more" if len(value) > 8 else "")
        return (f"JSON object: {html.shorten(names)}",)
    return (f"JSON list of {len(value)}",) if isinstance(value, list) else ()


def _pretty(body: bytes) -> str:
    """JSON laid out, innermost lists on one line; long bodies are cut instead."""
    if len(body) > 100_000:
        return html.excerpt(body[: html.MAX_TEXT].decode(errors="replace"), whole=len(body))
    if (value := _json(body)) is None:
        return html.excerpt(body.decode(errors="replace"))
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # in JSON a line break only ever stands between values
    text = re.sub(r"[\[{]\n[^\[\]{}]{0,100}\n *[\]}]", lambda found: re.sub(r"\n *", " ", found[0]), text)
    return html.excerpt(text)
