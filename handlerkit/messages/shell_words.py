"""A line's words, as a shell splits them."""

from __future__ import annotations

import re
import shlex

_ANSI = r"\$'(?:[^'\\]|\\.)*'"
#: A comment, or a word as it is written: plain characters, escaped ones and quoted ones.
_COMMENT_OR_WORD = re.compile(rf"""(\#[^\n]*)|(?:{_ANSI}|[^\s\\'"]|\\.|'[^']*'|"(?:[^\\"]|\\.)*")+|.""", re.DOTALL)
#: A piece of a word in quotes, or escaped; $'...' is the group.
_QUOTED = re.compile(rf"""({_ANSI})|\\.|'[^']*'|"(?:[^\\"]|\\.)*\"""", re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:([abeEfnrtv\\'\"?])|([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|c(.))",
    re.DOTALL,
)
_ONE = dict(zip("abeEfnrtv", "\a\b\x1b\x1b\f\n\r\t\v", strict=True))


def split_words(line: str) -> list[str]:
    """The words of `line`. An unquoted # that begins a word begins a comment, which ends with the line; inside a word,
    as in a URL, it is a character as any other. (shlex takes either every # for a comment or none.) $'...' has bash's
    escapes, such as \\n; a byte of these that is no UTF-8 becomes a lone surrogate (surrogateescape).

    Raises ValueError for a quotation that is not closed, and for $'...' with a zero, which no word may hold.
    """
    return shlex.split(_COMMENT_OR_WORD.sub(lambda found: "" if found[1] else _plain(found[0]), line))


def _plain(word: str) -> str:
    """A word without $'...'."""
    return _QUOTED.sub(lambda piece: shlex.quote(_ansi(piece[1][2:-1])) if piece[1] else piece[0], word)


def _ansi(text: str) -> str:
    """What $'...' says (https://www.gnu.org/software/bash/manual/html_node/ANSI_002dC-Quoting.html)."""
    said, at = b"", 0
    for found in _ESCAPE.finditer(text):
        said += text[at : found.start()].encode() + _escaped(found)
        at = found.end()
    said += text[at:].encode()
    if b"\0" in said:
        raise ValueError("$'...' with a zero, which no word of a shell holds")
    return said.decode("utf-8", "surrogateescape")


def _escaped(found: re.Match[str]) -> bytes:
    one, octal, byte, *points, control = found.groups()
    if one:
        return _ONE.get(one, one).encode()
    if octal or byte:
        return bytes([int(octal, 8) & 0xFF if octal else int(byte, 16)])
    point = next(filter(None, points), None)
    return chr(int(point, 16)).encode() if point else bytes([ord(control.upper()) & 0x1F])
