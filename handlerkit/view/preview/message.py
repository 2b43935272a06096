"""What goes over to the browser for one answer: facts as JSON, the picture as one JPEG, maps as runs or deflated.

browser/shown.js reads this. Bytes are in the facts as they are: a comm message carries them as binary buffers, a
saved page as base64.
"""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from handlerkit.formatting import byte_size, excerpt, shorten, visible
from handlerkit.messages import Exchange, Headers, Run
from handlerkit.messages.secret_names import is_secret_name
from handlerkit.view import draw
from handlerkit.view.contents.drawings import drawing
from handlerkit.view.contents.marks import Marks
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import InputImage, Source
from handlerkit.view.html import elements, exchange, findings, fragments
from handlerkit.view.render import answer as read_answer
from handlerkit.view.render import shown

_QUALITY = 90  # of the input image, if it did not come as a JPEG
_ORIENTATION = 0x0112  # EXIF's tag
_READ = 100_000  # bytes of a body that are shown
_HEAD = 1000  # bytes that tell whether it is text


@dataclass(frozen=True, eq=False)
class Message:
    """One answer for the browser.

    Attributes:
        facts: what the browser shows, JSON except for bytes.
        picture: what everything is drawn on, in a format that browsers open; b"" for nothing. `facts` names it by its
            digest, so that the same one need not be sent again.
        body: the digest of the answer's body.
    """

    facts: dict[str, Any]
    picture: bytes = b""
    body: bytes = b""


def message(run: Run, one: Exchange, sample: str, before: Message | None = None) -> Message:
    """An exchange of this Run, which answered the sample of that name; `before`: the answer it is compared with."""
    answer = read_answer(run, one)
    drawn = drawing(_tiny(answer))
    marks = answer.spec.marks(answer.content, answer)
    picture, (width, height) = _picture(answer, marks)
    facts = {
        "sample": sample,
        "picture": hashlib.sha256(picture).hexdigest()[:16] if picture else "",
        "size": [width, height],
        "shape": min(2.4, max(0.9, width / height)) if picture or width else 1.6,
        "view": answer.view,
        "said": "; ".join(drawn.lines)[:1000],
        "summary": summary(drawn.facts),
        "changed": "",
        "facts": [shorten(line, 300) for line in drawn.facts],
        "html": "" if marks and width else shown(replace(drawn, image=None), 0),
        "status": exchange.status_line(one.request, one.response, run.model, run.max_response_size),
        "causes": findings.findings(run.findings) + (findings.error(run.error) if run.error else ""),
        "stages": exchange.stages(run.calls[0].timings) if run.calls else "",
        "request": exchange.headers(_without_secrets(one.request.headers), ()) + _body(one.request.body),
        "response": exchange.headers((), one.response.headers) + _body(one.response.body),
        "asked": exchange.asked(one.request, run.model, " "),
        "answered": exchange.answered(one.response),
        "curl": replace(one.request, headers=_without_secrets(one.request.headers)).as_curl(model=run.model),
        "log": exchange.log(run.logs, run.metrics),
        "sent": _sent(one, marks.size) if marks and marks.picture else None,
        "opacity": 0.5,
        "classes": [],
        "boxes": [],
        "layers": [],
        **(marks.facts if marks and width else {}),
    }
    body = hashlib.sha256(one.response.body).digest()
    made = Message({key: value if key == "curl" else _visible(value) for key, value in facts.items()}, picture, body)
    return made if before is None else replace(made, facts={**made.facts, "changed": changed(before, made)})


def _tiny(answer: DecodedResponse) -> DecodedResponse:
    """It with hardly an input image to draw on: of the drawing, only the words are needed here."""
    image = answer.input_image
    tiny = image and replace(image, shown=image.shown.crop((0, 0, 16, 16)))
    return replace(answer, input_image=tiny, labeled=False)


def summary(facts: Sequence[str]) -> str:
    """`24 boxes` of `24 boxes: coin 0.98 (10,20)-(50,60), ...`."""
    return facts[0].partition(":")[0] if facts else ""


def changed(before: Message, after: Message) -> str:
    """What changed, in what fits on a line: `24 → 18 boxes`, or `coin 12 % → 14 %` of a class map."""
    status, status_after = (each.facts["answered"].partition(",")[0] for each in (before, after))
    if status != status_after:
        return f"{status} → {status_after}"
    if before.body == after.body:
        return "the same answer"
    one, other = before.facts["summary"], after.facts["summary"]
    if one != other:
        (count, _, what), (count_after, _, what_after) = one.partition(" "), other.partition(" ")
        return f"{count} → {other}" if what == what_after and count != count_after else f"{one} → {other}"
    said = {one["name"]: one["said"] for one in before.facts["classes"]}
    for each in after.facts["classes"]:
        if (was := said.get(each["name"])) is not None and was != each["said"]:
            return f"{each['name']} {was} → {each['said']}"
    return f"{other}, but not the same" if other else "another answer"


def _visible(value: Any) -> Any:
    """With the text of answers, labels and logs as a View shows it. (A curl command is for copying.)"""
    if isinstance(value, dict):
        return {key: _visible(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_visible, value))
    return visible(value) if isinstance(value, str) else value


def _picture(answer: DecodedResponse, marks: Marks | None) -> tuple[bytes, tuple[int, int]]:
    """What everything is drawn on, in a format that browsers open, and its (width, height)."""
    if marks and marks.picture:
        return marks.picture, marks.size
    if answer.input_image is not None:
        return _as_jpeg(answer.input_image), answer.input_image.size
    return b"", marks.size if marks else (0, 0)


def _sent(one: Exchange, size: tuple[int, int]) -> bytes | None:
    """The request's image, to compare a picture of that (width, height) with that came back; None if there is none
    of its size."""
    image = Source(one).input_image
    if image is not None and image.rotated and image.upright_size == size:
        image = image.upright()
    return _as_jpeg(image) if image is not None and image.size == size else None


@functools.lru_cache(maxsize=2)  # after an edit, the same one is drawn on
def _as_jpeg(input_image: InputImage) -> bytes:
    """The input image's file if it is a JPEG that browsers show as it is, else one that is encoded again, without
    the EXIF rotation that they would follow. A small one is a PNG, so that its pixels stay what they are."""
    from PIL import Image, ImageOps

    image = Image.open(io.BytesIO(input_image.data))
    orientation = 1 if image.format == "PNG" else image.getexif().get(_ORIENTATION, 1)
    if image.format == "JPEG" and image.mode in ("RGB", "L") and orientation == 1:
        return input_image.data
    is_upright = orientation in (3, 6, 8) and not input_image.rotated  # InputImage.upright
    return elements.encode(draw.rgb(ImageOps.exif_transpose(image) if is_upright else image), _QUALITY)[1]


# --- requests and responses ------------------------------------------------------------------------------------------


def _body(body: bytes) -> str:
    """A body as text if it is one, else how large it is and how it begins."""
    if _text(body[:_HEAD]) and (begun := _text(body[:_READ])):
        return elements.code(fragments.pretty(begun) if len(body) <= _READ else excerpt(begun, whole=len(body)))
    begins = f": {body[:24].hex(' ')} …" if body else ""
    return f'<div class="hk-soft">{byte_size(len(body))}{begins}</div>'


def _text(begun: bytes) -> str:
    """These bytes if they are UTF-8 without a NUL, the last character perhaps cut; else ""."""
    text = begun.decode(errors="replace")
    return "" if "\ufffd" in text[:-1] or "\0" in text else text


def _without_secrets(headers: Headers) -> Headers:
    """A saved page is passed on."""
    return tuple((name, "…" if is_secret_name(name) else value) for name, value in headers)
