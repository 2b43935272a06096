"""JSON as Gson 2.10 reads and writes it. TorchServe's frontend uses it for a handler's answer to a describe request.

Gson is lenient (com.google.gson.stream.JsonReader): NaN and every other bare word is a string, names need no quotes,
= or => may replace a colon and ; a comma, and comments are skipped.
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
#: The longest number, in characters: JsonReader's buffer holds no more. A longer one is a bare word.
_LONGEST = 1023
#: Brackets in each other that Gson writes: with the stack of Java's threads, 7000 were written, and 10000 not.
_DEEPEST = 8000


class Literal(str):
    """A number, as it is written in the text."""


class JsonError(ValueError):
    """Text that Gson rejects."""


class EscapeError(ValueError):
    r"""A \u without its four digits: Gson raises an exception that TorchServe does not expect."""


class DepthError(ValueError):
    """Brackets in brackets for which the stack of a thread of Java's does not suffice."""


def read(text: str) -> Any:
    """The value in a text: a dict, list, str, Literal, bool or None.

    Raises JsonError, EscapeError, and EOFError for a text without a value.
    """
    reader = _JsonReader(text.removeprefix("\ufeff"))
    if not reader.next():
        raise EOFError("nothing but white space and comments")
    value = reader.value()
    if reader.rest().strip(" \n\r\t"):  # here Gson is strict
        raise JsonError("more than one value")
    return value


def write(value: Any) -> str:
    """The text of a value, indented by two spaces. Members that are None are left out.

    Raises DepthError.
    """
    pieces: list[str] = []
    todo: list[tuple[str, Any, str]] = [("", value, "\n")]  # each with its prefix, and what its lines begin with
    while todo:
        prefix, value, line = todo.pop()
        pieces.append(prefix)
        if isinstance(value, dict):
            inside = [(f"{_quoted(name)}: ", item) for name, item in value.items() if item is not None]
        elif isinstance(value, list):
            inside = [("", item) for item in value]
        else:
            pieces.append(value if isinstance(value, Literal) else _quoted(value))
            continue
        if len(line) > 2 * _DEEPEST:
            raise DepthError(f"more than {_DEEPEST} brackets in each other")
        opens, closes = "{}" if isinstance(value, dict) else "[]"
        pieces.append(opens)
        todo.append((line * bool(inside), Literal(closes), ""))
        for index, (name, item) in reversed([*enumerate(inside)]):
            todo.append((f"{',' * (index > 0)}{line}  {name}", item, line + "  "))
    return "".join(pieces)


def to_utf8(text: str) -> bytes:
    """UTF-8 as Netty writes it: half a surrogate pair becomes a ?, and of a character after a first half only the low
    byte is left."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")  # joins halves that match
    pieces = re.split("([\ud800-\udbff].?)", whole, flags=re.DOTALL)
    return b"".join(_half(piece) if index % 2 else piece.encode(errors="replace") for index, piece in enumerate(pieces))


def _half(pair: str) -> bytes:
    following = pair[1:]
    if not following or "\ud800" <= following <= "\udbff" or following > "\uffff":
        return b"?" * (len(pair) + (following > "\uffff"))
    return b"?" + bytes([ord(following) & 0xFF])


def from_utf8(data: bytes) -> str:
    """UTF-8 as Java reads it: invalid bytes become U+FFFD, and so does an encoded half of a surrogate pair, once."""
    return re.sub(rb"\xed[\xa0-\xbf][\x80-\xbf]?", "\ufffd".encode(), data).decode(errors="replace")


def _quoted(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


class _JsonReader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def rest(self) -> str:
        """The text that has not been read yet."""
        return self._text[self._at :]

    def next(self) -> str:
        """The next character that is neither white space nor in a comment; "" at the end."""
        if found := _SPACE.match(self._text, self._at):
            self._at = found.end()
        return self._text[self._at : self._at + 1]

    def value(self) -> Any:
        """An object, array, string, number or bare word. An element that an array leaves out, as in [,], is null."""
        #: What is open, the innermost last, and the name of the member that an object waits for.
        outer: list[tuple[dict[str, Any] | list[Any], str]] = []
        while True:
            value = self._begun(bool(outer) and isinstance(outer[-1][0], list))
            if isinstance(value, (dict, list)):
                if self.next() != ("}" if isinstance(value, dict) else "]"):
                    outer.append((value, self._name(value)))
                    continue
                self._at += 1
            while outer:
                around, name = outer.pop()
                if isinstance(around, dict):
                    around[name] = value
                else:
                    around.append(value)
                if not self._ends("}" if isinstance(around, dict) else "]"):
                    outer.append((around, self._name(around)))
                    break
                value = around
            else:
                return value

    def _begun(self, in_array: bool) -> Any:
        """A value; of an object or an array its opening bracket alone is read."""
        opens = self.next()
        if opens in ("{", "["):
            self._at += 1
            return {} if opens == "{" else []
        if in_array and opens in (",", ";", "]"):
            return None
        word = self._word()
        if opens in _QUOTED:
            return word
        if (known := word.lower()) in _KEYWORDS:
            return _KEYWORDS[known]
        number = _NUMBER.fullmatch(word) if len(word) <= _LONGEST else None
        return Literal(word) if number and not _has_leading_zero(number[1]) else word

    def _name(self, around: dict[str, Any] | list[Any]) -> str:
        """The name of an object's next member; "" in an array."""
        if isinstance(around, list):
            return ""
        name = self._word()
        self._colon()
        return name

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
        """Whether an object or array ends here; if not, a comma has been read."""
        if (char := self.next()) not in (closing, ",", ";"):
            raise JsonError(f"neither {closing} nor a comma at {self._at}")
        self._at += 1
        return char == closing


def _has_leading_zero(digits: str) -> bool:
    """Whether Gson sees a leading zero: a digit after the value 0, or after one that is 0 in 64 bits."""
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
