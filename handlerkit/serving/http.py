"""An HTTP request and a response as plain data.

Headers are pairs in order, which keep repeated names and their casing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

Headers = tuple[tuple[str, str], ...]
HeadersLike = Union[Mapping[str, str], Iterable[tuple[str, str]]]


def pairs(headers: HeadersLike) -> Headers:
    """Headers as pairs of str."""
    items = headers.items() if isinstance(headers, Mapping) else headers
    return tuple((str(name), str(value)) for name, value in items)


def lookup(headers: Headers, name: str) -> str | None:
    """The value of the last header of that name, whatever its casing."""
    wanted = name.lower()
    return next((value for key, value in reversed(headers) if key.lower() == wanted), None)


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request to a served model.

    `path` None means /predictions/<model>. `query` is the raw query string, without "?". Whoever sends the request adds
    Host and Content-Length.
    """

    method: str = "POST"
    path: str | None = None
    headers: Headers = ()
    query: str = ""
    body: bytes = field(default=b"", repr=False)

    @property
    def content_type(self) -> str | None:
        """The Content-Type header with its parameters; None if there is none."""
        return self.header("content-type")

    def header(self, name: str) -> str | None:
        """The value of a header, whatever its casing; the last one if it is repeated."""
        return lookup(self.headers, name)

    def target(self, model: str) -> str:
        """Path and query, as in the request line."""
        path = self.path if self.path is not None else f"/predictions/{model}"
        return f"{path}?{self.query}" if self.query else path


@dataclass(frozen=True)
class Response:
    """What the client gets back.

    `status` is None if the client never gets an answer. `chunks` are the pieces of a streamed answer, None for a plain
    one, and `arrivals` the seconds from the request to each of them, None if that was not measured. `complete` is False
    if the connection broke before the end.
    """

    status: int | None
    reason: str = ""
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    chunks: tuple[bytes, ...] | None = field(default=None, repr=False)
    complete: bool = True
    arrivals: tuple[float, ...] | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """A status below 400 and the whole body."""
        return self.status is not None and self.status < 400 and self.complete

    @property
    def content_type(self) -> str | None:
        """The Content-Type header; TorchServe sends none unless the handler sets one."""
        return self.header("content-type")

    def header(self, name: str) -> str | None:
        """The value of a header, whatever its casing; the last one if it is repeated."""
        return lookup(self.headers, name)

    def json(self) -> Any:
        """The value of a JSON body. Raises ValueError for any other body."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None

    @property
    def text(self) -> str:
        """The body decoded as UTF-8, with � for invalid bytes."""
        return self.body.decode("utf-8", "replace")
