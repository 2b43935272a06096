"""One HTTP request to a served model, and its constructors."""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from handlerkit.errors import RequestError
from handlerkit.messages.curl import read_curl
from handlerkit.messages.har import read_har
from handlerkit.messages.part import GUESS, Part, guess_type, read_file
from handlerkit.messages.secret_names import is_secret_name
from handlerkit.serving.http import HeadersLike, HttpRequest, lookup, pairs
from handlerkit.serving.torchserve_facts import PORT

_NOWHERE = (f"http://127.0.0.1:{PORT}", "MODEL")


@dataclass(frozen=True)
class Request(HttpRequest):
    """One HTTP request to a served model.

    `path` None means /predictions/<the endpoint's model>. `query` is the raw query string, without "?".
    Host and Content-Length are added by whoever sends it. `label` names the request in displays only; `sent_to` is the
    URL of the server and the name of the model that `as_curl` and `as_python` send it to.
    """

    label: str = field(default="", compare=False)
    sent_to: tuple[str, str] = field(default=_NOWHERE, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", pairs(self.headers))
        if isinstance(self.body, str):
            object.__setattr__(self, "body", self.body.encode())

    def __repr__(self) -> str:
        headers = tuple((name, "…" if is_secret_name(name) else value) for name, value in self.headers)
        shown = f"method={self.method!r}, path={self.path!r}, headers={headers!r}, query={self.query!r}"
        return f"Request({shown}, label={self.label!r})"

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
    def multipart(
        cls,
        *parts: Part | Mapping[str, Part | str | bytes | Path],
        boundary: str | None = None,
        **rest: Any,
    ) -> Request:
        """multipart/form-data of these parts, in this order (RFC 7578). A mapping names parts: text, bytes, a file or a
        Part each."""
        mark = boundary or f"handlerkit-{uuid.uuid4().hex}"
        line = b"--" + mark.encode()
        body = b"".join(line + b"\r\n" + part.encode() + b"\r\n" for part in _parts(parts)) + line + b"--\r\n"
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
        """The request that a curl command line sends, without curl's own User-Agent and `Accept: */*`. The options that
        shape a request are understood: -X -H -d --data-binary --data-raw --data-urlencode --json -F --form-string -T -G
        -I -u -A -e -b -r --oauth2-bearer --url-query --compressed. The URL's host is not used.

        Raises RequestError for an option it does not know, and for a file it cannot read.
        """
        read = read_curl(command)
        headers, body = read.headers, read.body
        if read.parts:
            mark = uuid.uuid4().hex
            headers = tuple(  # curl adds the boundary to the command's own type
                (name, f"{value}; boundary={mark}" if name.lower() == "content-type" else value)
                for name, value in headers
            )
            shaped = cls.multipart(*read.parts, boundary=mark, headers=headers)
            headers, body = shaped.headers, shaped.body
        return cls(read.method, read.path, headers, read.query, body, read.label)

    @classmethod
    def har(cls, file: str | Path, /) -> list[Request]:
        """The requests to models in a HAR 1.2 file, which a browser's network panel, a proxy or Playwright saved;
        others are left out. The URLs' hosts are not used, nor what a gateway puts before TorchServe's paths.

        Raises RequestError for a file that is no HAR, that has no such request, or that lacks a body.
        """
        name = Path(file).name
        return [
            cls(one.method, one.path, one.headers, one.query, one.body, f"{name} {number}")
            for number, one in enumerate(read_har(read_file(file), name), start=1)
        ]

    @classmethod
    def received(cls, request: HttpRequest, /) -> Request:
        """A request that a client sent."""
        return cls(request.method, request.path, request.headers, request.query, request.body)

    def with_headers(self, headers: HeadersLike) -> Request:
        """The same request with these headers after its own."""
        return replace(self, headers=self.headers + pairs(headers))

    def addressed(self, model: str, url: str = _NOWHERE[0]) -> Request:
        """The same with this `sent_to`, unless it was sent somewhere already."""
        if self.sent_to != _NOWHERE:
            return self
        request = copy(self)  # without looking at the headers again
        object.__setattr__(request, "sent_to", (url, model))
        return request

    def as_curl(self, url: str = "", model: str = "") -> str:
        """A curl command that sends this request byte for byte, bodies of up to 64 KiB inline; to `sent_to` unless told
        otherwise."""
        words = ["curl", *(["--head"] if self.method == "HEAD" and not self.body else ["-X", self.method])]
        if self.body and self.content_type is None:
            words += ["-H", "Content-Type:"]  # curl would add its own
        for name, value in self.headers:
            words += ["-H", f"{name}: {value}" if value else f"{name};"]
        if self.body:
            printable = len(self.body) <= 65536 and _is_printable(self.body)
            words += ["--data-raw", self.body.decode()] if printable else ["--data-binary", f"@{self.label or 'body'}"]
        words.append((url or self.sent_to[0]) + self.target(model or self.sent_to[1]))
        return shlex.join(words)

    def as_python(self, url: str = "", model: str = "") -> str:
        """A program of the standard library alone that sends this request, to `sent_to` unless told otherwise."""
        address = urlsplit(url if "//" in url else f"//{url}" if url else self.sent_to[0])
        inline = len(self.body) <= 65536
        body = repr(self.body) if inline else f"open({self.label or 'body'!r}, 'rb').read()"
        kind = "HTTPSConnection" if address.scheme == "https" else "HTTPConnection"
        return (
            f"from http.client import {kind}\n\n"
            f"connection = {kind}({address.netloc!r})\n"
            f"body = {body}\n"
            f"headers = {dict(self.headers)!r}\n"
            f"connection.request({self.method!r}, {self.target(model or self.sent_to[1])!r}, body, headers)\n"
            "response = connection.getresponse()\n"
            "print(response.status, response.reason)\n"
            "answer = response.read()\n"
        )


def _parts(given: Sequence[Part | Mapping[str, Part | str | bytes | Path]]) -> Iterator[Part]:
    for one in given:
        if isinstance(one, Part):
            yield one
        else:
            yield from (Part.of(name, value) for name, value in one.items())


def _is_printable(body: bytes) -> bool:
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False
