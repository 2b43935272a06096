"""A request's body and query as the parameters that TorchServe's frontend makes of them.

The frontend reads forms and multipart messages with Netty's HttpPostRequestDecoder; where it differs from a
browser's or a Python web framework's reading, the difference is kept, and named here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from itertools import pairwise
from urllib.parse import unquote_to_bytes

from handlerkit.wire import Parameter


class FormError(ValueError):
    """A form the frontend cannot decode; its text is the frontend's own."""


def media_type(content_type: str) -> str:
    """The media type without its parameters, as written: TorchServe compares it with its casing."""
    return content_type.partition(";")[0].strip()


def of_body(body: bytes, content_type: str | None) -> list[Parameter]:
    """The parameters of a body: form fields, parts, or the one named "body"."""
    kind = media_type(content_type or "")
    if kind.lower() == "application/x-www-form-urlencoded":
        return list(of_form(body))
    if kind.lower() == "multipart/form-data" and (boundary := _boundary(content_type or "")):
        return list(_of_multipart(body, boundary))
    return [Parameter("body", kind, body)]


def of_query(query: str) -> Iterator[Parameter]:
    """Query parameters carry no type, so they are handed over as bytes; a name without "=" has an empty value."""
    for token in re.split("[&;]", query):
        if token:
            name, _, value = token.partition("=")
            yield Parameter(_unescape(name).decode(errors="replace"), "", _unescape(value))


def of_form(body: bytes) -> Iterator[Parameter]:
    """Fields carry no type either; a token without "=" disappears (as `curl -d '{"a": 1}'` shows)."""
    for token in body.rstrip(b"\r\n").decode("latin-1").split("&"):
        name, equals, value = token.partition("=")
        if equals and name:
            yield Parameter(_unescape(name).decode(errors="replace"), "", _unescape(value))


def _unescape(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " ").encode("latin-1", "replace"))


def _boundary(content_type: str) -> bytes | None:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    return boundary.encode("latin-1", "replace") if isinstance(boundary, str) and boundary else None


def _of_multipart(body: bytes, boundary: bytes) -> Iterator[Parameter]:
    """A part counts only when a delimiter follows it, so that a truncated message loses its last part.

    A part with a filename is decoded by its own type; one without is a field, whose type is thrown away.
    """
    mark = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary))
    found = list(mark.finditer(body))
    for begin, end in pairwise(found):
        if body[begin.end() : begin.end() + 2] == b"--":
            return
        content = body[begin.end() : end.start()]
        head, blank, value = (
            re.split(rb"(\r?\n\r?\n)", content, maxsplit=1) if _BLANK.search(content) else (b"", b"", b"")
        )
        if not blank:
            continue
        headers = Message()
        for line in head.splitlines():
            name, colon, text = line.partition(b":")
            if colon:
                headers[name.strip().decode("latin-1")] = text.strip().decode(errors="replace")
        if headers.get_content_disposition() not in ("form-data", "attachment", "file"):
            continue
        name = headers.get_param("name", header="Content-Disposition")
        if not isinstance(name, str):
            raise FormError("java.lang.NullPointerException")
        if headers.get_param("filename", header="Content-Disposition") is None:
            yield Parameter(name, "", value)
        else:
            yield Parameter(name, media_type(headers.get("Content-Type", "application/octet-stream")), value)


_BLANK = re.compile(rb"\r?\n\r?\n")
