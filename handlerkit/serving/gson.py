"""JSON as Gson 2.10 reads it, leniently, and as it writes it: TorchServe's frontend puts what a handler tells of its
model into the description that way.

Read leniently, NaN and every other bare word is a string, names need no quotes, = or => may stand for a colon and ; for
a comma, and comments are skipped (com.google.gson.stream.JsonReader).
"""

from __future__ import annotations

import json
import re
from typing import Any

_SPACE = re.compile(r"(?:[ \n\r\t]|/\*.*?\*/|(?://|#)[^\r\n]*)*", re.DOTALL)
_BARE = re.compile(r"[^/\\;#={}\[\]:, \t\f\r\n]+")
_NUMBER = re.compile(r"-?([0-9]+)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_QUOTED = {quote: re.compile(rf"{quote}([^\\{quote}]*(?:\\.[^\\{quote}]*)*){quote}", re.DOTALL) for quote in "\"'"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|[tbnrf\n'\"\\/])|\\", re.DOTALL)
_KEYWORDS = {"true": True, "false": False, "null": None}
_ESCAPED = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f"}
#: Characters of JsonReader's buffer, and so of the longest number: a longer one is a bare word.
_LONGEST = 1023


class Literal(str):
    """A number, as it stood in the text."""


class JsonError(ValueError):
    """Text that Gson refuses."""


class EscapeError(ValueError):
    r"""A \u without its four digits, which Gson refuses in a way that TorchServe does not expect."""


def read(text: str) -> Any:
    """The value in a text: a dict, list, str, Literal, bool or None.

    Raises JsonError, EscapeError, and EOFError for a text without a value.
    """
    reader = _Reader(text.removeprefix("\ufeff"))
    if not reader.next():
        raise EOFError("nothing but space and comments")
    value = reader.value()
    if reader.rest().strip(" \n\r\t"):  # no longer leniently
        raise JsonError("more than one value")
    return value


def written(value: Any) -> str:
    """A value, indented by two spaces. None is left out of objects."""
    pieces: list[str] = []
    todo: list[tuple[str, Any, str]] = [("", value, "\n")]  # each with what stands before it, and how its lines begin
    while todo:
        before, value, line = todo.pop()
        pieces.append(before)
        if isinstance(value, dict):
            inside = [(f"{_quoted(name)}: ", item) for name, item in value.items() if item is not None]
        elif isinstance(value, list):
            inside = [("", item) for item in value]
        else:
            pieces.append(value if isinstance(value, Literal) else _quoted(value))
            continue
        opens, closes = "{}" if isinstance(value, dict) else "[]"
        pieces.append(opens)
        todo.append((line * bool(inside), Literal(closes), ""))
        for index, (name, item) in reversed([*enumerate(inside)]):
            todo.append((f"{',' * (index > 0)}{line}  {name}", item, line + "  "))
    return "".join(pieces)


def encoded(text: str) -> bytes:
    """UTF-8 as Netty writes it: half a surrogate pair becomes a ?; of what follows a first half, one byte is left."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")  # joins halves that match
    pieces = re.split("([\ud800-\udbff].?)", whole, flags=re.DOTALL)
    return b"".join(_half(piece) if index % 2 else piece.encode(errors="replace") for index, piece in enumerate(pieces))


def _half(pair: str) -> bytes:
    following = pair[1:]
    if not following or "\ud800" <= following <= "\udbff" or following > "\uffff":
        return b"?" * (len(pair) + (following > "\uffff"))
    return b"?" + bytes([ord(following) & 0xFF])


def decoded(data: bytes) -> str:
    """UTF-8 as Java reads it: what is none becomes U+FFFD, one of it for an encoded half of a surrogate pair."""
    return re.sub(rb"\xed[\xa0-\xbf][\x80-\xbf]?", "\ufffd".encode(), data).decode(errors="replace")


def _quoted(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def rest(self) -> str:
        """What has not been read."""
        return self._text[self._at :]

    def next(self) -> str:
        """The next character that is neither space nor in a comment; "" at the end."""
        if found := _SPACE.match(self._text, self._at):
            self._at = found.end()
        return self._text[self._at : self._at + 1]

    def value(self) -> Any:
        """An object, array, string, number or bare word. Where an array lacks one, as in [,], it is null."""
        opens = self.next()
        if opens == "{":
            return self._object()
        if opens == "[":
            return self._array()
        word = self._word()
        if opens in _QUOTED:
            return word
        if (known := word.lower()) in _KEYWORDS:
            return _KEYWORDS[known]
        number = _NUMBER.fullmatch(word) if len(word) <= _LONGEST else None
        return Literal(word) if number and not _has_leading_zero(number[1]) else word

    def _object(self) -> dict[str, Any]:
        self._at += 1
        members: dict[str, Any] = {}
        while self.next() != "}" or members:
            name = self._word()
            self._colon()
            members[name] = self.value()
            if self._ends("}"):
                return members
        self._at += 1
        return members

    def _array(self) -> list[Any]:
        self._at += 1
        items: list[Any] = []
        while self.next() != "]" or items:
            items.append(None if self.next() in (",", ";", "]") else self.value())
            if self._ends("]"):
                return items
        self._at += 1
        return items

    def _word(self) -> str:
        quote = self.next()
        found = _QUOTED.get(quote, _BARE).match(self._text, self._at)
        if found is None:
            raise JsonError(f"no value at {self._at}")
        self._at = found.end()
        return _ESCAPE.sub(_unescaped, found[1]) if quote in _QUOTED else found[0]

    def _colon(self) -> None:
        if (colon := self.next()) not in (":", "="):
            raise JsonError(f"no colon at {self._at}")
        self._at += 1
        if colon == "=" and self._text.startswith(">", self._at):
            self._at += 1

    def _ends(self, closing: str) -> bool:
        """Whether an object or array ends here, or goes on after a comma."""
        if (char := self.next()) not in (closing, ",", ";"):
            raise JsonError(f"neither {closing} nor a comma at {self._at}")
        self._at += 1
        return char == closing


def _has_leading_zero(digits: str) -> bool:
    """What Gson takes for one: a further digit after a value of 0, also after one that 64 bits cannot tell from 0."""
    value = 0
    for index, digit in enumerate(digits):
        if index and not value:
            return True
        value = (value * 10 + int(digit)) % 2**64
    return False


def _unescaped(found: re.Match[str]) -> str:
    escape = found[1]
    if escape is None and found.string.startswith("u", found.end()):
        raise EscapeError(f"{found[0]}{found.string[found.end() :][:5]}")
    if escape is None:
        raise JsonError(f"no escape: {found[0]}")
    return chr(int(escape[1:], 16)) if escape[0] == "u" else _ESCAPED.get(escape, escape)
