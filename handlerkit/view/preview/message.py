"""What goes over to the browser for one answer: facts as JSON, the photograph as one JPEG, maps as indexed PNGs.

preview.js reads this. Bytes stand in the facts as they are: a comm message carries them as binary buffers, a
saved page as base64.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from handlerkit.formatting import excerpt, percent, shorten, size, visible
from handlerkit.messages import Exchange, Headers, Run
from handlerkit.predictions import Detections, SegmentationMap
from handlerkit.view import draw
from handlerkit.view.decode.contents import DecodedResponse, HeatMap, InstanceMasks, Picture
from handlerkit.view.decode.source import Photograph, Source
from handlerkit.view.draw.palette import heat_palette
from handlerkit.view.drawings import drawing
from handlerkit.view.html import elements, exchange, findings, fragments
from handlerkit.view.render import answer as read_answer
from handlerkit.view.render import shown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

_QUALITY = 90  # of the photograph, where it did not come as a JPEG
_MOST_LAYERS = 8  # of overlapping masks; beyond, the last one holds what is left
_PROBABILITIES = 512  # pixels of a probability map's longer side: it is read under the pointer, never drawn
_WEB = (b"\x89PNG", b"\xff\xd8", b"GIF8")  # what every browser opens; and WebP
_ORIENTATION = 0x0112  # EXIF's tag
_READ = 100_000  # bytes of a body that are looked at
_SECRET = ("authorization", "proxy-authorization", "cookie")


@dataclass(frozen=True, eq=False)
class Message:
    """One answer for the browser.

    Attributes:
        facts: what preview.js shows, JSON but for bytes.
        photograph: the picture below it, in a format that browsers open; b"" where there is none. `facts` names it by
            its digest, so that the same one need not be sent again.
    """

    facts: dict[str, Any]
    photograph: bytes = b""


def message(run: Run, one: Exchange, sample: str, before: Message | None = None) -> Message:
    """An exchange of this Run, which answered the sample of that name.

    `before` is the sample's last answer: after boxes, an empty list means that none were found.
    """
    if before is not None and before.facts["view"] in ("boxes", "masks") and one.response.body.strip() == b"[]":
        run = replace(run, shown_as="boxes")
    answer = read_answer(run, one)
    drawn = drawing(answer)
    picture, (width, height) = _picture(answer)
    marks = _marks(answer.content, answer)
    facts = {
        "sample": sample,
        "photograph": hashlib.sha256(picture).hexdigest()[:16] if picture else "",
        "size": [width, height],
        "view": answer.view,
        "said": "; ".join(drawn.lines)[:1000],
        "facts": [shorten(line, 300) for line in drawn.facts],
        "html": "" if marks or isinstance(answer.content, Picture) else shown(replace(drawn, image=None), 0),
        "status": exchange.status_line(one.request, one.response, run.model, run.max_response_size),
        "causes": findings.findings(run.findings) + (findings.error(run.error) if run.error else ""),
        "stages": exchange.stages(run.calls[0].timings) if run.calls else "",
        "request": exchange.headers(_without_secrets(one.request.headers), ()) + _body(one.request.body),
        "response": exchange.headers((), one.response.headers) + _body(one.response.body),
        "asked": exchange.asked(one.request, run.model, " "),
        "answered": exchange.answered(one.response),
        "curl": replace(one.request, headers=_without_secrets(one.request.headers)).as_curl(model=run.model),
        "log": exchange.log(run.logs, run.metrics),
        "sent": _sent(one, answer.content.image) if isinstance(answer.content, Picture) else None,
        "opacity": 0.8 if isinstance(answer.content, HeatMap) else 0.5,
        "classes": [],
        "boxes": [],
        "layers": [],
        **marks,
    }
    return Message({key: value if key == "curl" else _visible(value) for key, value in facts.items()}, picture)


def _visible(value: Any) -> Any:
    """With the text of answers, labels and logs as a View shows it. (A curl command is for copying.)"""
    if isinstance(value, dict):
        return {key: _visible(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(one) for one in value]
    return visible(value) if isinstance(value, str) else value


def _picture(answer: DecodedResponse) -> tuple[bytes, tuple[int, int]]:
    """What everything is drawn on, in a format that browsers open, and its (width, height)."""
    if isinstance(answer.content, Picture):
        image = answer.content.image
        if answer.body.startswith(_WEB) or answer.body[8:12] == b"WEBP":
            return answer.body, image.size
        buffer = io.BytesIO()
        (image if image.mode in ("RGB", "RGBA", "L") else draw.rgb(image)).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue(), image.size
    if answer.photograph is not None:
        return _as_jpeg(answer.photograph), answer.photograph.size
    if isinstance(answer.content, SegmentationMap | HeatMap | InstanceMasks):
        return b"", _size(answer.content)
    return b"", (0, 0)


def _sent(one: Exchange, image: Image.Image) -> bytes | None:
    """The request's photograph, to wipe a picture that came back against; None where there is none of its size."""
    photograph = Source(one).photograph
    if photograph is not None and photograph.rotated and photograph.upright_size == image.size:
        photograph = photograph.upright()
    return _as_jpeg(photograph) if photograph is not None and photograph.size == image.size else None


def _as_jpeg(photograph: Photograph) -> bytes:
    """The photograph's file where it is a JPEG that browsers show as it is, else it anew, without the EXIF rotation
    that they would follow. A small one is a PNG, so that its pixels stay what they are."""
    from PIL import Image, ImageOps

    image = Image.open(io.BytesIO(photograph.data))
    orientation = 1 if image.format == "PNG" else image.getexif().get(_ORIENTATION, 1)
    if image.format == "JPEG" and image.mode in ("RGB", "L") and orientation == 1:
        return photograph.data
    is_upright = orientation in (3, 6, 8) and not photograph.rotated  # Photograph.upright
    return elements.encode(draw.rgb(ImageOps.exif_transpose(image) if is_upright else image), _QUALITY)[1]


def _size(content: SegmentationMap | HeatMap | InstanceMasks) -> tuple[int, int]:
    """(width, height) of a map."""
    if isinstance(content, InstanceMasks):
        height, width = content.masks[0].shape
    else:
        height, width = (content.classes if isinstance(content, SegmentationMap) else content.values).shape
    return width, height


# --- marks on the picture -------------------------------------------------------------------------------------------


@singledispatch
def _marks(content: Any, answer: DecodedResponse) -> dict[str, Any]:
    """Classes, boxes and layers of a content; nothing for what is no picture's."""
    return {}


@_marks.register
def _(content: Detections, answer: DecodedResponse) -> dict[str, Any]:
    names = _names(content.labels)
    return {"classes": list(_switches(content.labels, names, answer)), "boxes": _boxes(content, names)}


@_marks.register
def _(content: InstanceMasks, answer: DecodedResponse) -> dict[str, Any]:
    found = content.found
    names = _names(found.labels)
    inks = [answer.colour(name) for name in found.labels]
    layers = []
    for members, indexes in _apart(content.masks):
        lut = _lut([(0, 0, 0, 0), *((*inks[i], 255) for i in members)])
        layers.append({"png": _png(indexes), "frame": _frame(content, answer), "lut": lut, "things": [-1, *members]})
    return {
        "classes": list(_switches(found.labels, names, answer)),
        "boxes": _boxes(found, names),
        "layers": layers,
    }


@_marks.register
def _(content: SegmentationMap, answer: DecodedResponse) -> dict[str, Any]:
    import numpy as np

    indexes = draw.palette_indexes(content.classes)
    area = content.classes.size
    classes: list[dict[str, Any]] = []
    places = [-1] * 256
    for index, count in content.pixels().items():
        place = int(draw.palette_indexes(_one(index))[0])
        if places[place] < 0:
            places[place] = len(classes)
            said = percent(count / area)
            # class 0 is not painted at first, as in the static display
            classes.append({"name": content.name(index), "ink": draw.colour(index), "said": said, "on": index != 0})
    layer = {
        "png": _png(indexes),
        "frame": _frame(content, answer),
        "lut": _lut([(*draw.colour(i), 255) for i in range(int(np.max(indexes)) + 1)]),
        "classes": places[: int(np.max(indexes)) + 1],
    }
    if content.probabilities is not None:
        step = max(1, math.ceil(max(content.probabilities.shape) / _PROBABILITIES))
        layer["values"] = _png(_levels(content.probabilities[::step, ::step]))
    return {"classes": classes, "layers": [layer]}


@_marks.register
def _(content: HeatMap, answer: DecodedResponse) -> dict[str, Any]:
    lut = [(*ink, round(255 * (i / 255) ** 0.5)) for i, ink in enumerate(heat_palette())]
    layer = {"png": _png(_levels(content.values)), "frame": _frame(content, answer), "lut": _lut(lut), "smooth": True}
    return {"layers": [layer], "grey": True}


def _names(labels: Sequence[str]) -> dict[str, int]:
    """Each class's place in the list of classes, the most frequent first."""
    return {name: place for place, (name, _) in enumerate(Counter(labels).most_common())}


def _switches(labels: Sequence[str], names: dict[str, int], answer: DecodedResponse) -> Iterator[dict[str, Any]]:
    counts = Counter(labels)
    for name in names:
        yield {"name": name or "(no name)", "ink": answer.colour(name), "said": str(counts[name]), "on": True}


def _boxes(found: Detections, names: dict[str, int]) -> list[list[Any]]:
    """[x1, y1, x2, y2, score or None, place in the list of classes]; None for what is not finite."""
    scores = found.scores.tolist() if found.scores is not None else [None] * len(found)
    rows = zip(found.boxes.tolist(), scores, found.labels, strict=True)
    return [[*map(_finite, box), _finite(score, 4), names[label]] for box, score, label in rows]


def _finite(value: float | None, digits: int = 2) -> float | None:
    return round(value, digits) if value is not None and math.isfinite(value) else None


def _frame(content: SegmentationMap | HeatMap | InstanceMasks, answer: DecodedResponse) -> list[float]:
    """(x1, y1, x2, y2) on the photograph, or on itself where there is none."""
    return list(answer.frame or (0.0, 0.0, *map(float, _size(content))))


def _apart(masks: Sequence[npt.NDArray[np.bool_]]) -> Iterable[tuple[list[int], npt.NDArray[np.uint8]]]:
    """Masks as few index maps in which none hides another: (the masks' numbers, uint8 [H, W] of 1 + their places).

    The largest lie below, so that small ones stay visible.
    """
    import numpy as np

    layers: list[tuple[list[int], npt.NDArray[np.uint8]]] = []
    for i in sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())):
        mask = np.asarray(masks[i], bool)
        above = next((n for n in reversed(range(len(layers))) if layers[n][1][mask].any()), -1) + 1
        above = min(above, _MOST_LAYERS - 1)
        while above < len(layers) - 1 and len(layers[above][0]) >= 255:
            above += 1
        if above == len(layers) or len(layers[above][0]) >= 255:
            layers.append(([], np.zeros(mask.shape, np.uint8)))
            above = len(layers) - 1
        members, indexes = layers[above]
        members.append(i)
        indexes[mask] = len(members)
    return layers


def _png(indexes: npt.NDArray[np.uint8]) -> bytes:
    """An indexed PNG whose colour i is (i, i, i): a browser's canvas gives the indexes back."""
    import numpy as np
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(indexes))
    image.putpalette([i for i in range(int(np.max(indexes)) + 1) for _ in range(3)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _lut(colours: Sequence[tuple[int, ...]]) -> bytes:
    """RGBA of each index."""
    return bytes(channel for colour in colours for channel in colour)


def _levels(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    import numpy as np

    levels: npt.NDArray[np.uint8] = (np.nan_to_num(values) * 255).clip(0, 255).round().astype(np.uint8)
    return levels


def _one(index: int) -> npt.NDArray[Any]:
    import numpy as np

    return np.array([index])


# --- on the wire ----------------------------------------------------------------------------------------------------


def _body(body: bytes) -> str:
    """A body as text where it is one, else how large it is and how it begins."""
    begun = body[:_READ].decode(errors="replace")
    if body and "\ufffd" not in begun[:-1] and "\0" not in begun:
        return elements.code(fragments.pretty(begun) if len(body) <= _READ else excerpt(begun, whole=len(body)))
    begins = f": {body[:24].hex(' ')} …" if body else ""
    return f'<div class="hk-soft">{size(len(body))}{begins}</div>'


def _without_secrets(headers: Headers) -> Headers:
    """A saved page is passed on."""
    return tuple((name, "…" if name.lower() in _SECRET else value) for name, value in headers)
