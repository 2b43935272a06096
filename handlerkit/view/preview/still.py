"""What is there without the kernel: the first answer in the layout of the live display, which takes its place.

Both are equally high at every width, so nothing below moves when one takes the place of the other.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from io import BytesIO
from typing import TYPE_CHECKING, Any

from handlerkit.messages import Exchange, Request, Response
from handlerkit.view import draw
from handlerkit.view.decode.source import Source
from handlerkit.view.html import elements

if TYPE_CHECKING:
    from PIL import Image

_AROUND = 20_000  # bytes of the html and the styles around a picture
_THUMBNAIL = (128, 96)  # pixels, twice as many as it is shown with


def still(answer: dict[str, Any], image: Image.Image | None, several: bool) -> str:
    """The html of one answer.

    Args:
        answer: the facts of its Message.
        image: its static picture.
        several: whether there are other samples, for whose thumbnails room is left.
    """
    image = image if answer["size"][0] > 0 else None
    below = answer["causes"] + answer["html"]
    facts = "".join(f"<div>{elements.escape(fact)}</div>" for fact in answer["facts"])
    key = elements.key((one["name"], one["said"], tuple(one["color"]), None) for one in answer["classes"])
    wire = [elements.details(name, answer[name]) for name in ("request", "response")]
    beside = [f"<div>{facts}</div>{key}{below}"] * (image is not None) + [
        answer["stages"],
        elements.folds(*wire, answer["log"]),
    ]
    side = "".join(f"<div>{part}</div>" for part in beside)
    room = elements.MAX_HTML - _AROUND - len((answer["status"] + side + below).encode())
    stage = elements.picture(image, room, answer["said"][:300]) if image else f'<div class="hk-told">{below}</div>'
    strip = '<div class="hk-strip"></div>' if several and answer["picture"] else ""
    return f"<style>{_layout()}</style>" + elements.page(
        f'<div class="hk-head"><div class="hk-status">{answer["status"]}</div></div>{strip}'
        f'<div class="hk-body"><div class="hk-main">'
        f'<div class="hk-stage" style="--hk-shape:{answer["shape"]:.4f}">{stage}</div>'
        f'<div class="hk-foot"><div class="hk-sum">{elements.escape(answer["summary"])}</div></div></div>'
        f'<div class="hk-side"><div class="hk-tabs"><div class="hk-pane" tabindex="0">{side}</div></div></div></div>',
        kind=" hk-answer",
    )


@functools.cache
def _layout() -> str:
    """The style of the live display, as far as the static one needs it."""
    written = (resources.files(__package__) / "browser" / "layout.css").read_text("utf-8")
    return re.sub(r" ?([{};]) ?", r"\1", re.sub(r"\s+", " ", written)).strip()


def thumbnail(request: Request) -> bytes:
    """The request's image as a small JPEG; b"" if it has none."""
    image = Source(Exchange(request, Response(None))).input_image
    if image is None:
        return b""
    buffer = BytesIO()
    draw.rgb(draw.fit(image.upright().shown, *_THUMBNAIL)).save(buffer, "JPEG", quality=75)
    return buffer.getvalue()
