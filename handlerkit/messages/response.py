"""What the client gets back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from handlerkit.messages.headers import Headers, lookup


@dataclass(frozen=True)
class Response:
    """What the client gets back.

    `status` is None where the client never gets an answer. `chunks` are the pieces of a streamed answer, None
    for a plain one, and `arrivals` the seconds from the request to each of them, where they were seen to arrive;
    `complete` is False when the connection broke before the end.
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
        """A header by its name, whatever the casing."""
        return lookup(self.headers, name)

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is not."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as UTF-8, with � for what is not."""
        return self.body.decode("utf-8", "replace")


def describe(response: Response) -> str:
    """`200`, `503 Prediction failed`, `no answer`: an answer in a word or two."""
    if response.status is None:
        return "no answer"
    if response.status >= 400 and response.content_type == "application/json":
        try:
            return f"{response.status} {response.json()['message']}"
        except (ValueError, KeyError, TypeError):
            pass
    return f"{response.status} {response.reason}".rstrip() + ("" if response.complete else ", broken off")
