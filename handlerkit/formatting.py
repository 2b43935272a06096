"""Numbers, paths and lines as displays say them.

What a display says is the same each time, except for times and data URIs (notebooks are compared by that):
no ids, no addresses, no temporary paths. `plain` takes them out of text that others wrote, `duration` writes every time
in a form that one pattern finds: a number, a space, and ns, µs, ms, s or min.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

MAX_TEXT = 4096


def duration(seconds: float) -> str:
    """`84 µs`, `1.2 ms`, `3.4 s`: three digits at most up to a minute, one after the point below a hundred."""
    value, unit = seconds * 1e9, "ns"
    for step, name in ((1000, "µs"), (1000, "ms"), (1000, "s"), (60, "min")):
        if (round(value) if value >= 99.95 else round(value, 1)) < step:
            break
        value, unit = value / step, name
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{round(value, 1):g} {unit}"


def byte_size(count: int) -> str:
    """`89 B`, `12.4 KB`, `6.6 MB`: decimal units, as in max_response_size's 6553500."""
    value, unit = float(count), "B"
    for name in ("KB", "MB", "GB"):
        if round(value, 1) < 1000:
            break
        value, unit = value / 1000, name
    return f"{round(value, 1):g} {unit}"


def percent(share: float) -> str:
    """`31.2 %`, `<0.1 %`."""
    return "<0.1 %" if 0 < share < 0.0005 else f"{round(100 * share, 1):g} %"


def excerpt(text: str, limit: int = MAX_TEXT, whole: int | None = None) -> str:
    """The text's beginning and how much was left out; `whole` is its length where `text` is only a part."""
    whole = len(text) if whole is None else whole
    return text if whole <= limit else f"{text[:limit]}\n… {byte_size(whole - limit)} more"


def laid_out(value: object, short: int = 100) -> str:
    """JSON over several lines; innermost lists and objects of up to that many characters are on one line."""
    laid = json.dumps(value, indent=2, ensure_ascii=False)
    # in JSON a line break is only ever between values
    inner = rf"[\[{{]\n[^\[\]{{}}]{{0,{short}}}\n *[\]}}]"
    return re.sub(inner, lambda found: re.sub(r"\n *", " ", found[0]), laid)


def shorten(line: str, limit: int = 120) -> str:
    """One line of that many characters at most."""
    return line if len(line) <= limit else line[: limit - 1] + "…"


def plain(text: str) -> str:
    """Without what differs from run to run: addresses and temporary folders."""
    text = re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x…", text)
    for root in dict.fromkeys((str(Path.cwd()), sys.prefix, sys.base_prefix)):
        text = text.replace(root.rstrip("/") + "/", "") if root != "/" else text
    for root in {tempfile.gettempdir(), str(Path(tempfile.gettempdir()).resolve()), "/tmp", "/var/tmp"}:
        below = rf"(?<![\w.]){re.escape(root)}(?![\w-])(/[^\s\"'<>|:;,()]*)?"
        text = re.sub(below, lambda found: _last(found[0]), text)
    return text


#: Control characters except for tabs and line ends, marks that turn the direction of text, and what takes no room.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
    "|[\ud800-\udfff]|[\U000e0000-\U000e007f]|\r(?!\n)"
)


def visible(text: str) -> str:
    """Text that others wrote, with what would steer a terminal or hide in a page as its escape: `\\x1b[31m`."""
    # what is printable, such as a long line of base64, is found out in a fraction of the time
    if text.isprintable():
        return text
    return "".join(
        line if line.rstrip("\n").isprintable() else _STEERING.sub(_escaped, line)
        for line in text.splitlines(keepends=True)
    )


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def printable(text: str) -> str:
    """One line as it was written, paths included, except for what would steer a terminal or hide in a page."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _last(path: str) -> str:
    return "…/" + path.rstrip("/").rpartition("/")[2] if path.count("/") > 1 else "…"


def file_name(path: str) -> str:
    """A file as its user calls it: without the folders above the current one, and without temporary ones."""
    short = plain(path)
    return Path(path).name if short.startswith(("/", "…")) else short


def counted(words: Mapping[str, int]) -> str:
    """`3 × 200, 1 × 503 Prediction failed`."""
    return ", ".join(f"{count} × {word}" for word, count in words.items())


def tally(verdicts: Sequence[str]) -> str:
    """`2 identical, 1 different`, in the order they first occur."""
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))


def pixels(count: int) -> str:
    """`21 084 px`."""
    return f"{count:,} px".replace(",", " ")


def with_article(name: str) -> str:
    """A class's name with its article: "a dict", "an Image"."""
    return f"{'an' if name[:1] in 'aeioAEIO' or name == 'ndarray' else 'a'} {name}"
