"""One HTTP request to a served model, and its constructors."""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from handlerkit.errors import RequestError
from handlerkit.messages.curl import read_curl
from handlerkit.messages.part import GUESS, Part, guess_type, read_file
from handlerkit.serving.http import HeadersLike, HttpRequest, lookup, pairs


@dataclass(frozen=True)
class Request(HttpRequest):
    """One HTTP request to a served model.

    `path` None means /predictions/<the endpoint's model>. `query` is the raw query string, without "?".
    Host and Content-Length are added by whoever sends it. `label` names the request in displays only.
    """

    label: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", pairs(self.headers))
        if isinstance(self.body, str):
            object.__setattr__(self, "body", self.body.encode())

    @classmethod
    def _typed(cls, body: bytes, content_type: str | None, rest: dict[str, Any]) -> Request:
        """Constructors' way to add a Content-Type unless the caller sends one."""
        headers = pairs(rest.pop("headers", ()))
        if content_type is not None and lookup(headers, "content-type") is None:
            headers = (("Content-Type", content_type), *headers)
        return cls(body=body, headers=headers, **rest)

    @classmethod
    def json(cls, obj: Any, /, **rest: Any) -> Request:
        """`obj` as application/json. `rest`: method, path, headers, query, label."""
        try:
            body = json.dumps(obj).encode()
        except (TypeError, ValueError) as problem:
            raise RequestError(f"this object cannot be sent as JSON: {problem}") from None
        return cls._typed(body, "application/json", rest)

    @classmethod
    def text(cls, text: str, /, **rest: Any) -> Request:
        """`text` as text/plain in UTF-8. `rest`: method, path, headers, query, label."""
        return cls._typed(text.encode(), "text/plain; charset=utf-8", rest)

    @classmethod
    def form(cls, fields: Mapping[str, Any] | Sequence[tuple[str, Any]], /, **rest: Any) -> Request:
        """An HTML form, application/x-www-form-urlencoded; a list value repeats its field."""
        return cls._typed(urlencode(fields, doseq=True).encode(), "application/x-www-form-urlencoded", rest)

    @classmethod
    def multipart(cls, *parts: Part, boundary: str | None = None, **rest: Any) -> Request:
        """multipart/form-data of these parts, in this order (RFC 7578)."""
        mark = boundary or f"handlerkit-{uuid.uuid4().hex}"
        line = b"--" + mark.encode()
        body = b"".join(line + b"\r\n" + part.encode() + b"\r\n" for part in parts) + line + b"--\r\n"
        return cls._typed(body, f"multipart/form-data; boundary={mark}", rest)

    @classmethod
    def file(cls, file: str | Path, /, *, content_type: str | None = GUESS, **rest: Any) -> Request:
        """A file's bytes as the body. `content_type=None` sends none, as `curl -T file` does.

        Raises RequestError when the file cannot be read.
        """
        rest.setdefault("label", Path(file).name)
        kind = guess_type(str(file)) if content_type == GUESS else content_type
        return cls._typed(read_file(file), kind, rest)

    @classmethod
    def curl(cls, command: str, /) -> Request:
        """The request a curl command line would send: -X -H -d --data-binary --data-raw --data-urlencode
        -F -T -G -I --json -u -A are understood. The URL's host is not used.

        Raises RequestError for an option it does not know, and for a file it cannot read.
        """
        read = read_curl(command)
        shaped = cls.multipart(*read.parts, headers=read.headers) if read.parts else None
        return cls(
            read.method,
            read.path,
            shaped.headers if shaped else read.headers,
            read.query,
            shaped.body if shaped else read.body,
            read.label,
        )

    def with_headers(self, headers: HeadersLike) -> Request:
        """The same request with these headers after its own."""
        return replace(self, headers=self.headers + pairs(headers))

    def as_curl(self, url: str = "http://127.0.0.1:8080", model: str = "MODEL") -> str:
        """A curl command that sends this request byte for byte, bodies of up to 64 KiB inline."""
        words = ["curl", "-X", self.method]
        if self.body and self.content_type is None:
            words += ["-H", "Content-Type:"]  # curl would add its own
        for name, value in self.headers:
            words += ["-H", f"{name}: {value}" if value else f"{name};"]
        if self.body:
            printable = len(self.body) <= 65536 and _is_printable(self.body)
            words += ["--data-raw", self.body.decode()] if printable else ["--data-binary", f"@{self.label or 'body'}"]
        words.append(url + self.target(model))
        return shlex.join(words)

    def as_python(self, url: str = "127.0.0.1:8080", model: str = "MODEL") -> str:
        """A program of the standard library alone that sends this request."""
        inline = len(self.body) <= 65536
        body = repr(self.body) if inline else f"open({self.label or 'body'!r}, 'rb').read()"
        return (
            "from http.client import HTTPConnection\n\n"
            f"connection = HTTPConnection({url!r})\n"
            f"body = {body}\n"
            f"headers = {dict(self.headers)!r}\n"
            f"connection.request({self.method!r}, {self.target(model)!r}, body, headers)\n"
            "response = connection.getresponse()\n"
            "print(response.status, response.reason)\n"
            "answer = response.read()\n"
        )


def _is_printable(body: bytes) -> bool:
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False
