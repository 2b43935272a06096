"""multipart/form-data as Netty 4.1.53 reads it (HttpPostMultipartRequestDecoder), with its errors.

Where that differs from RFC 7578 and from Python's libraries, the difference is kept: it decides what a handler gets.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence

from ..torchserve_facts import FORM_ERROR
from ..wire import Parameter
from .charsets import JAVA_CHARSETS

_NO_NAME = (
    'java.lang.NullPointerException: Cannot invoke "io.netty.handler.codec.http.multipart.Attribute.getValue()" '
    'because "nameAttribute" is null'
)
#: Characters of latin-1 that java.lang.Character calls control characters or white space.
_SKIPPED = bytes([*range(0x21), *range(0x7F, 0xA0)])
_WHITE = "\t\n\v\f\r\x1c\x1d\x1e\x1f "
#: A length above 0 that Java may take for a long.
_LENGTH = re.compile(r"\+?0*([0-9]{1,19})")
#: What a part of multipart/mixed does not inherit from the part before it.
_OF_ONE_PART = ("charset", "content-length", "content-transfer-encoding", "content-type", "filename")


class FormError(ValueError):
    """A body or a query that the frontend cannot decode. `kind` is the Java exception's name, the text its message."""

    def __init__(self, message: str, kind: str = FORM_ERROR) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def status(self) -> int:
        """403 for IllegalArgumentException and its subclasses, 500 for any other."""
        refused = ("IllegalArgumentException", "UnsupportedCharsetException", "IllegalCharsetNameException")
        return 403 if self.kind in refused else 500


def charset(name: str) -> str:
    """Python's name of a Java charset. Raises FormError for one that Java does not know."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.:+-]*", name, re.ASCII):
        raise FormError(name, "IllegalCharsetNameException")
    if name.lower() not in JAVA_CHARSETS:
        raise FormError(name, "UnsupportedCharsetException")
    return codecs.lookup(name).name


def attribute_name(text: str) -> str:
    """The name of a field or part as Netty keeps it. Raises FormError for an empty one."""
    name = re.sub(r"^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+\Z|\n", "", re.sub(r"[\r\t]", " ", text))
    if not name:
        raise FormError("java.lang.IllegalArgumentException: empty name")
    return name


def read_parts(body: bytes, boundary: str, encoding: str) -> Iterator[Parameter]:
    """The parts of a message; one that no delimiter follows is dropped.

    A part with a filename keeps its content type; one without is a field, and loses it. Raises FormError.
    """
    if boundary.isascii():
        yield from _FormReader(body, encoding).parts(b"--" + boundary.encode())


class _FormReader:
    def __init__(self, body: bytes, encoding: str) -> None:
        self._body = body
        self._encoding = encoding
        self._at = 0

    def parts(self, outer: bytes) -> Iterator[Parameter]:
        delimiter, fields = outer, dict[str, str]()
        while (opens := self._delimiter(delimiter)) is not None:
            if not opens and delimiter is outer:
                return
            if not opens:  # the end of a multipart/mixed inside
                delimiter = outer
                continue
            inside = delimiter is not outer
            if not inside:
                fields = {}
            mixed = self._head(fields, inside)
            if mixed is None:
                return
            if mixed:
                delimiter = mixed
                continue
            if inside and "filename" not in fields:
                raise FormError("Filename not found")
            name, kind = _described(fields)
            value, ended = self._content(delimiter)
            if "filename" in fields:
                _check_size(fields, len(value))
            if not ended:
                return
            yield Parameter(name, kind, value)
            if inside:
                for each in _OF_ONE_PART:
                    fields.pop(each, None)

    def _delimiter(self, delimiter: bytes) -> bool | None:
        """Whether the next delimiter opens a part (True) or closes the message; None if no delimiter comes next."""
        found = re.compile(
            rb"[%b]*%b(?:(\r?\n)|--(?!\r(?!\n))(?:\r?\n)?)" % (re.escape(_SKIPPED), re.escape(delimiter))
        ).match(self._body, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[1] is not None

    def _head(self, fields: dict[str, str], inside: bool) -> bytes | None:
        """Read a part's headers into `fields`, up to an empty line. Returns None if the message ends before that, the
        delimiter of the multipart/mixed message that the part holds, or else b""."""
        while not (empty := re.compile(rb"\r?\n").match(self._body, self._at)):
            blank = re.compile(rb"[%b]*" % re.escape(_SKIPPED)).match(self._body, self._at)
            start = blank.end() if blank else self._at
            end = self._body.find(b"\n", start)
            if start == len(self._body) or end < 0:
                return None
            self._at = end + 1
            line = self._body[start:end].removesuffix(b"\r").decode(self._encoding, "replace")
            name, *values = split_header(line)
            name = name.lower()
            if name == "content-disposition":
                allowed = ("attachment", "file") if inside else ("form-data",)
                if _item(values, 0).lower() in allowed:
                    for value in values[1:]:
                        _disposition(value, fields)
            elif name in ("content-transfer-encoding", "content-length"):
                fields[name] = _clean(_item(values, 0))
            elif name == "content-type" and _item(values, 0).lower() == "multipart/mixed":
                if inside:
                    raise FormError("Mixed Multipart found in a previous Mixed Multipart")
                _, equals, boundary = _item(values, 1).partition("=")
                return b"--" + (boundary if equals else "null").encode(self._encoding, "replace")
            elif name == "content-type":
                for value in values:  # the last one wins, even if it is a parameter of the type
                    if value[:7].lower() == "charset":
                        fields["charset"] = _clean(value.partition("=")[2])
                    else:
                        fields["content-type"] = value
        self._at = empty.end()
        return b""

    def _content(self, delimiter: bytes) -> tuple[bytes, bool]:
        """The bytes up to the next line that begins with the delimiter, without the newline before it, and whether
        there is one. If there is none, they end before a last line that could be the beginning of a delimiter."""
        body, start = self._body, self._at
        if delimiter.startswith(body[start : start + len(delimiter)]):
            return b"", body.startswith(delimiter, start)
        end = body.find(b"\n" + delimiter, start)
        ended = end >= 0
        if not ended:
            end = body.rfind(b"\n", start)
            if end < 0 or not delimiter.startswith(body[end + 1 :]):
                end = len(body)
        if end > start and body[end - 1] == 0x0D:
            end -= 1
        self._at = end
        return body[start:end], ended


def _described(fields: dict[str, str]) -> tuple[str, str]:
    """A part's name, and its content type if it has a filename."""
    is_file = "filename" in fields
    if is_file and (encoding := fields.get("content-transfer-encoding", "7bit").lower()) not in (
        "7bit",
        "8bit",
        "binary",
    ):
        raise FormError(f"TransferEncoding Unknown: {encoding}")
    if "charset" in fields:
        try:
            charset(fields["charset"])
        except FormError as problem:
            if problem.kind == "UnsupportedCharsetException":
                raise FormError(f"java.nio.charset.{problem.kind}: {problem}") from None
            raise
    if "name" not in fields:
        raise FormError(_NO_NAME)
    name = attribute_name(_clean(fields["name"]))
    return name, fields.get("content-type", "application/octet-stream") if is_file else ""


def _check_size(fields: dict[str, str], size: int) -> None:
    """Raise FormError for a file that is longer than its own Content-Length."""
    given = _LENGTH.fullmatch(fields.get("content-length", ""))
    limit = int(given[1]) if given else 0
    if 0 < limit < size:
        raise FormError(f"java.io.IOException: Out of size: {size} > {limit}")


def _disposition(value: str, fields: dict[str, str]) -> None:
    """Read a parameter of Content-Disposition; a filename may be a token, quoted, or encoded as in RFC 5987."""
    name, equals, text = value.partition("=")
    name = _clean(name)
    if not equals:
        raise FormError("Index 1 out of bounds for length 1", "ArrayIndexOutOfBoundsException")
    if name == "filename":
        text = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    elif name == "filename*":
        pieces = _clean(text).split("'", 2)
        if len(pieces) < 3:
            missing = f"Index 2 out of bounds for length {len(pieces)}"
            raise FormError(f"java.lang.ArrayIndexOutOfBoundsException: {missing}")
        name, text = "filename", pieces[2]
    else:
        text = _clean(text)
    fields[attribute_name(name).lower()] = text


def split_header(line: str) -> list[str]:
    """A header's name and its values, split at semicolons outside of quotes, or at commas if there is no semicolon."""
    found = re.match(rf"[{_WHITE}]*([^:{_WHITE}]*)[^:]*:?[{_WHITE}]*", line)
    assert found is not None
    rest = line[found.end() :].rstrip(_WHITE)
    if ";" in rest:
        values = re.findall(r'(?:^|;)((?:[^";]|"(?:[^"\\]|\\.?)*(?:"|\Z))*)', rest, re.DOTALL)
    else:
        values = re.sub(r",+\Z", "", rest).split(",") if rest.strip(",") or not rest else []
    return [found[1], *(value.strip("".join(map(chr, range(0x21)))) for value in values)]


def _item(values: Sequence[str], index: int) -> str:
    if index >= len(values):
        text = f"Index {index + 1} out of bounds for length {len(values) + 1}"
        raise FormError(text, "ArrayIndexOutOfBoundsException")
    return values[index]


def _clean(text: str) -> str:
    """The text with its separators replaced by spaces, without quotes."""
    return re.sub(r"[:,=;\t]", " ", text.replace('"', "")).strip("".join(map(chr, range(0x21))))
