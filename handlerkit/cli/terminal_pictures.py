"""Pictures in terminals that show them: the protocols of kitty and iTerm2, and sixels.

Terminals are known by their environment, since asking one and waiting for its answer would eat what a person types.
Inside tmux and screen no picture is written: they take it for text.
"""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

#: Overrides what the environment says: kitty, iterm, sixel or none.
VARIABLE = "HANDLERKIT_PICTURES"
_WIDEST = 800  # pixels
_CHUNK = 4096  # characters that kitty takes at once
_BAND = 6  # rows of pixels in a line of sixels
_COLORS = 64


def protocol(environment: Mapping[str, str] | None = None) -> str | None:
    """How the terminal on the standard output shows pictures; None if there is none, or if it shows none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    known = os.environ if environment is None else environment
    if (chosen := known.get(VARIABLE)) is not None:
        return chosen if chosen in _ENCODERS else None
    term, program = known.get("TERM", ""), known.get("TERM_PROGRAM", "")
    if "TMUX" in known or term.startswith(("screen", "tmux")):
        return None
    if "KITTY_WINDOW_ID" in known or term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "mintty") or known.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if term.startswith(("foot", "mlterm", "contour")) or "sixel" in term or "WT_SESSION" in known:
        return "sixel"
    return None


def encoded(image: Image.Image, protocol: str) -> str:
    """What makes the terminal draw the picture, at most 800 pixels wide."""
    if image.width > _WIDEST:
        image = image.resize((_WIDEST, max(1, round(image.height * _WIDEST / image.width))))
    return _ENCODERS[protocol](image)


def _kitty(image: Image.Image) -> str:
    """A PNG in chunks; each says whether one more follows (https://sw.kovidgoyal.net/kitty/graphics-protocol)."""
    data = _png(image)
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    heads = ["a=T,f=100,", *[""] * (len(chunks) - 1)]
    return "".join(
        f"\x1b_G{head}m={int(number < len(chunks))};{chunk}\x1b\\"
        for number, (head, chunk) in enumerate(zip(heads, chunks, strict=True), start=1)
    )


def _iterm(image: Image.Image) -> str:
    """A PNG as a file that is shown inline (https://iterm2.com/documentation-images.html)."""
    return f"\x1b]1337;File=inline=1;width={image.width}px;height={image.height}px:{_png(image)}\a"


def _png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _sixel(image: Image.Image) -> str:
    """Bands of six rows; in each, every color's pixels (https://vt100.net/docs/vt3xx-gp/chapter14.html)."""
    few = image.convert("RGB").quantize(_COLORS)
    levels = few.getpalette() or []
    defined = [
        f"#{one};2;{';'.join(str(round(level / 2.55)) for level in levels[3 * one : 3 * one + 3])}"
        for one in sorted(set(few.tobytes()))
    ]
    return f'\x1bPq"1;1;{few.width};{few.height}{"".join(defined)}{"-".join(_bands(few))}\x1b\\'


def _bands(image: Image.Image) -> Iterator[str]:
    data, width = image.tobytes(), image.width
    for top in range(0, image.height, _BAND):
        rows = [data[row * width : (row + 1) * width] for row in range(top, min(top + _BAND, image.height))]
        lines = []
        for color in sorted(set().union(*rows)):
            dots = [sum(1 << number for number, row in enumerate(rows) if row[x] == color) for x in range(width)]
            lines.append(f"#{color}" + "".join(_run(chr(63 + dot), len([*same])) for dot, same in groupby(dots)))
        yield "$".join(lines)


def _run(character: str, count: int) -> str:
    return f"!{count}{character}" if count > 3 else character * count


_ENCODERS: dict[str, Callable[[Image.Image], str]] = {"kitty": _kitty, "iterm": _iterm, "sixel": _sixel}
