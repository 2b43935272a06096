"""Pieces of html that displays are made of. Everything that comes from an answer is escaped here."""

from __future__ import annotations

import base64
import functools
import html
import io
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Literal, NamedTuple

from handlerkit.view import draw

if TYPE_CHECKING:
    from PIL import Image

escape = html.escape

#: Well, neither well nor ill, ill, and what only informs: the colors of style.css.
BadgeKind = Literal["ok", "odd", "bad", "note"]

#: An html output stays below this many bytes; the text around a picture is cut so that room for one is left.
MAX_HTML = 300_000
#: How large a small picture is shown: the width of a display (style.css, max-width), if it is not too high then.
_COLUMN, _TALL = 1000, 480
_FLAT = 64  # colors that a picture without shades has at most
_DATA = ";base64,"
#: Characters and lines from which on code may have to be scrolled, on a phone and in a stream (style.css, max-height).
_SCROLLED = 300, 8
#: A transparent picture of one pixel.
_DOT = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="


def picture(image: Image.Image, budget: int, alt: str = "", kind: str = "hk-picture") -> str:
    """An <img> whose data URI stays within `budget` characters: less quality first, then fewer pixels."""
    image = draw.shrink(image)
    width, room = image.width, budget - 300 - len(alt)
    if kind == "hk-picture" and (grown := min(_COLUMN / width, _TALL / image.height)) > 1:
        kind += " hk-pixels" * (grown >= 2)
        width = round(width * grown)
    while True:
        for quality in (85, 70):
            format_, data = encode(image, quality)
            size = len(data) * 4 / 3
            if size <= room or max(image.size) <= 32:
                uri = data_uri(format_, data)
                return f'<img class="{kind}" width="{width}" alt="{escape(alt)}" src="{uri}">'
            if format_ == "png" or size > 2 * room:
                break  # less quality would not be enough
        share = min(0.75, 0.95 * math.sqrt(max(0, room) / size))
        image = draw.fit(image, max(32, round(image.width * share)), max(32, round(image.height * share)))


def encode(image: Image.Image, quality: int = 85) -> tuple[str, bytes]:
    """JPEG, but PNG if JPEG would lose something that is seen: transparency, flat colors, small pictures."""
    buffer = io.BytesIO()
    few = image.width * image.height <= 128 * 128 or image.getcolors(_FLAT) is not None
    if few or image.mode in ("1", "P", "RGBA", "LA", "PA"):
        image.save(buffer, "PNG", compress_level=6)
        return "png", buffer.getvalue()
    draw.rgb(image).save(buffer, "JPEG", quality=quality)
    return "jpeg", buffer.getvalue()


def data_uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind}{_DATA}{base64.b64encode(data).decode()}"


def swatch(color: str) -> str:
    return f'<span class="hk-swatch" style="background:{color}"></span>'


def key(rows: Iterable[tuple[str, str, tuple[int, int, int], float | None]]) -> str:
    """(name, value, color, share) rows: a bar each if there are shares, otherwise swatches on a line."""
    bars, items = [], []
    for name, value, color, share in rows:
        rgb = f"rgb{color}".replace(" ", "")
        if share is None:
            items.append(f'<span class="hk-item">{swatch(rgb)}{escape(name)} <b>{escape(value)}</b></span>')
        else:
            bar = f'<span class="hk-bar" style="width:{max(0.3, 100 * min(1.0, share)):.1f}%;background:{rgb}"></span>'
            name_of = f'<span class="hk-name">{escape(name)}</span>'
            bars.append(f'<div>{name_of}<span class="hk-track">{bar}</span><b>{escape(value)}</b></div>')
    whole = f'<div class="hk-bars">{"".join(bars)}</div>' if bars else ""
    return whole + (f'<div class="hk-items">{"".join(items)}</div>' if items else "")


def scale(colors: Sequence[tuple[int, int, int]], values: Sequence[str], alt: str) -> str:
    """The colors from one end to the other over the values that they stand for. It is a picture, so that it is there
    where styles are stripped."""
    from PIL import Image

    bar = Image.new("RGB", (len(colors), 1))
    bar.putdata(list(colors))
    said = "".join(f"<span>{escape(value)}</span>" for value in values)
    image = f'<img class="hk-colors" width="256" height="10" alt="{escape(alt)}" src="{data_uri(*encode(bar))}">'
    return f'<div class="hk-scale">{image}<div class="hk-ends hk-soft">{said}</div></div>'


def badge(kind: BadgeKind, text: str) -> str:
    """A word on its color."""
    return f'<span class="hk-badge hk-{kind}">{escape(text)}</span>'


def headline(head: str, beside: str = "") -> str:
    """The first line of a display or a card, and the html beside it."""
    return f'<div class="hk-line"><b>{escape(head)}</b>{beside}</div>'


def details(summary: str, body: str, count: str = "") -> str:
    note = f' <span class="hk-soft">{escape(count)}</span>' if count else ""
    return f"<details><summary>{escape(summary)}{note}</summary>{body}</details>"


def code(text: str) -> str:
    """A text as it is; a long one is scrolled, with the keys too."""
    characters, lines = _SCROLLED
    reached = ' tabindex="0"' * (len(text) >= characters or text.count("\n") + 1 >= lines)
    return f'<pre class="hk-code"{reached}>{escape(text)}</pre>'


def table(caption: str, rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    head = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<table class="hk-table">{head}<tbody>{body}</tbody></table>' if body else ""


def wide_table(names: Sequence[str], rows: Iterable[Iterable[str]], label: str) -> str:
    """A table of cells, which are html, under the names of its columns; without names it has no head. `label`: what a
    screen reader calls it."""
    head = "".join(f"<th>{escape(name)}</th>" if name else "<td></td>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    return wide(f'<table class="hk-table">{head}<tbody>{body}</tbody></table>', label)


def wide(body: str, label: str) -> str:
    """What is scrolled sideways, with the keys too, where a page is narrower than it."""
    return f'<div class="hk-wide" tabindex="0" role="group" aria-label="{escape(label)}">{body}</div>'


def folds(*parts: str) -> str:
    """Folded parts side by side; one that is opened takes the whole width."""
    return f'<div class="hk-folds">{"".join(parts)}</div>' if any(parts) else ""


def slider(before: str, after: str, *, live: bool = True) -> str:
    """Two figures side by side; if scripts run, one over the other with a slider between them.

    The slider lies over the pictures, so that they can be dragged anywhere, and the arrow keys move it. It is switched
    on by a script of its own, so that what strips scripts leaves the two side by side, and no slider.
    """
    if not live:
        return f'<div class="hk-sides">{before}{after}</div>'
    move = "this.parentNode.style.setProperty('--hk-at',this.value+'%')"
    start = "this.closest('.hk-sides').classList.add('hk-slider')"
    return (
        f'<div class="hk-sides">{before}{after}'
        '<input type="range" hidden min="0" max="100" step="any" value="50" aria-label="before and after"'
        f' oninput="{move}">'
        f'<span class="hk-edge"></span><img class="hk-start" alt="" src="{_DOT}" onload="{start}"></div>'
    )


class _Rules(NamedTuple):
    """A paragraph of style.css, and what each of its selectors speaks of: classes, and elements as `<b`."""

    text: str
    selectors: tuple[frozenset[str], ...]


@functools.cache
def _paragraphs() -> tuple[_Rules, ...]:
    written = (resources.files(__package__) / "style.css").read_text("utf-8")
    return tuple(map(_rules, written.split("\n\n")))


def _rules(paragraph: str) -> _Rules:
    text = re.sub(r" ?([{};>]) ?|([:,]) ", r"\1\2", re.sub(r"/\*.*?\*/|\s+", " ", paragraph)).strip()
    selectors = ",".join(re.findall(r"([^{}@]+)\{[^{}]*\}", text)).split(",")
    return _Rules(text, tuple(map(_names, selectors)))


def _names(selector: str) -> frozenset[str]:
    needed = re.sub(r":[\w-]+(\([^)]*\))?", "", selector)
    tags = (f"<{tag}" for tag in re.findall(r"(?:^|[\s>+~])([a-z]\w*)", needed))
    return frozenset({*re.findall(r"hk-[\w-]+", needed), *tags} - {"hk-view"})


def _style(body: str) -> str:
    """The paragraphs of style.css that this page needs, in every output again: JupyterLab takes outputs that are
    scrolled away off the page, with their styles, and any output may be cleared, run again or copied without the
    others. Rules that override each other are in one paragraph, so that no other output turns their order."""
    there = set(re.findall(r"<[a-z]\w*|hk-[\w-]+", without_data(body)))
    return "".join(one.text for one in _paragraphs() if any(names <= there for names in one.selectors))


def without_data(body: str) -> str:
    """A page without the bytes of its pictures, which are most of it."""
    first, *others = body.split(_DATA)
    return first + "".join(one.partition('"')[2] for one in others)


def page(*parts: str, kind: str = "") -> str:
    """One display: the style, and the parts that are not empty.

    What shows notebooks of strangers strips the style (GitHub does, and JupyterLab before it is told to trust one):
    pieces that are in columns are given a space between, so that they are words there.
    """
    body = "".join(parts)
    for ends, begins in itertools.product(("</span>", "</b>"), ("<span", "<b>")):
        body = body.replace(ends + begins, f"{ends} {begins}")
    return f'<style>{_style(kind + body)}</style><div class="hk-view{kind}">{body}</div>'
