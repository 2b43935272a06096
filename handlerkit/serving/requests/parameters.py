"""The parameters of a request: its query and its body, taken apart as TorchServe's frontend does it.

The frontend reads forms and multipart messages with Netty's HttpPostRequestDecoder. Where that differs from what
browsers and Python's web frameworks do, the difference is kept and described here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..wire import Parameter
from .multipart import FormError, attribute_name, charset, read_parts

__all__ = ["FormError", "from_body", "from_form", "from_query", "media_type", "unescape"]


def media_type(content_type: str) -> str:
    """The media type without its parameters. Its casing is kept, and a space before a semicolon: to TorchServe, neither
    Application/JSON nor "application/json ; charset=utf-8" is JSON."""
    return content_type.partition(";")[0]


def from_body(body: bytes, content_type: str | None) -> list[Parameter]:
    """The parameters in a body: form fields, parts, or else one named "body".

    Raises FormError for a body that the frontend cannot decode.
    """
    content_type = content_type or ""
    kind = media_type(content_type)
    if (boundary := _boundary(content_type)) is not None:
        return list(read_parts(body, *boundary))
    if kind.lower() == "application/x-www-form-urlencoded":
        return list(from_form(body))
    return [Parameter("body", kind, body)]


def asks_to_describe(query: str) -> bool:
    """Whether a query has customized=true: the management API then asks the handler to describe the model."""
    found = re.search(r"(?:^|[&;])customized=([^&;#]*)", query)
    return found is not None and found[1].lower() == "true"


def from_query(query: str, path: str = "") -> Iterator[Parameter]:
    """The parameters in a query. They have no content type, and so reach the handler as bytes; a name without "=" has
    an empty value.

    `path` is what precedes the query in the request line: errors count from its beginning. Raises FormError.
    """
    line, end = path + query, len(path)
    for token in re.split("([&;])", query.partition("#")[0]):
        start, end = end, end + len(token)
        if name := token.lstrip("=") if token not in "&;" else "":
            start = end - len(name)
            name, equals, _ = name.partition("=")
            middle = start + len(name)
            name = unescape(line, start, middle)
            yield Parameter(name, "", unescape(line, middle + len(equals), end).encode())


def from_form(body: bytes) -> Iterator[Parameter]:
    """The fields of a form, without a content type. A name without "=" is an empty field if "&" follows; the last one
    is dropped (as in `curl -d '{"a": 1}'`). A newline ends the form. Raises FormError."""
    at = 0
    while found := re.compile(rb"[^=&]*([=&])").match(body, at):
        key, at = found[0][:-1].decode(errors="replace"), found.end()
        try:
            name = attribute_name(unescape(key))
        except FormError as problem:
            raise FormError(f"Bad string: '{key}'") if problem.status == 403 else problem from None
        if found[1] == b"&":
            yield Parameter(name, "", b"")
            continue
        value = re.compile(rb"[^&\r\n]*").match(body, at)
        assert value is not None
        at = value.end()
        if re.compile(rb"\r[^\n]").match(body, at):
            raise FormError("Bad end of line")
        yield Parameter(name, "", _unescape_value(value[0]))
        if body[at : at + 1] != b"&":
            return
        at += 1


def unescape(text: str, start: int = 0, end: int | None = None, plus: str = " ") -> str:
    """text[start:end] with %xx decoded as UTF-8 and + replaced by `plus`. Raises FormError, which names the index."""
    end = len(text) if end is None else end
    if "%" not in text and "+" not in text:
        return text[start:end]

    def decoded(run: re.Match[str]) -> str:
        for at in range(run.start(), run.end(), 3):
            if at + 3 > end:
                message = f"unterminated escape sequence at index {at} of: {text}"
                raise FormError(message, "IllegalArgumentException")
            if not re.fullmatch("[0-9a-fA-F]{2}", pair := text[at + 1 : at + 3]):
                message = f"invalid hex byte '{pair}' at index {at + 1} of '{text}'"
                raise FormError(message, "IllegalArgumentException")
        return bytes.fromhex(run[0].replace("%", "")).decode(errors="replace")

    pieces = re.compile(r"(?:%..?)+|%|[^%]+", re.DOTALL).finditer(text, start, end)
    return "".join(decoded(piece) if piece[0][0] == "%" else piece[0].replace("+", plus) for piece in pieces)


def _unescape_value(value: bytes) -> bytes:
    if bad := re.search(rb"%(?![0-9a-fA-F]{2})", re.sub(rb"%[0-9a-fA-F]{2}", b"   ", value)):
        text = value.decode(errors="replace")
        raise FormError(f"Invalid hex byte at index '{bad.start()}' in string: '{text}'")
    return re.sub(rb"%(..)", lambda pair: bytes.fromhex(pair[1].decode()), value.replace(b"+", b" "), flags=re.DOTALL)


def _boundary(content_type: str) -> tuple[str, str] | None:
    """The boundary of a multipart/form-data message and the codec of its parts' headers; None for any other type. Netty
    looks for the boundary in the first two parameters only."""
    if not content_type.startswith("multipart/form-data"):  # in lower case only, whatever follows
        return None
    _, *rest = content_type.split(";", 2)
    values = [value.strip() for value in (*rest, "", "")][:2]
    if not values[0].lower().startswith("boundary"):
        values.reverse()
    if not values[0].lower().startswith("boundary"):
        return None
    _, equals, boundary = values[0].partition("=")
    if not equals:
        raise FormError("Needs a boundary value")
    if not boundary:
        raise FormError("Index 0 out of bounds for length 0", "StringIndexOutOfBoundsException")
    if len(boundary) > 1 and boundary[0] == boundary[-1] == '"':
        boundary = boundary[1:-1]
    _, equals, name = values[1].partition("=") if values[1].lower().startswith("charset") else ("", "", "")
    return boundary, charset(name) if equals else "utf-8"
