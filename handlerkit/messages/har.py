"""HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec), read: what browsers, proxies and Playwright save.

What others wrote is taken as text: whatever it holds, the answer is a request or one sentence that says why not.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from handlerkit.errors import RequestError
from handlerkit.formatting import byte_size
from handlerkit.serving.http import Headers
from handlerkit.serving.requests import routes

#: Headers that whoever sends a request writes itself.
OF_THE_CONNECTION = frozenset({
    "host", "content-length", "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer",
    "proxy-connection",
})  # fmt: skip


@dataclass(frozen=True)
class HarRequest:
    """A request to a model; its path begins with that of TorchServe's own route."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes


def read_har(content: bytes, name: str) -> list[HarRequest]:
    """The requests to models, in their order; others, such as those of a page's scripts, are left out.

    Raises RequestError for what is no HAR, for a case, for a HAR without such a request, and for a body that was not
    saved as its bytes.
    """
    if "_handlerkit" in har_log(content, name):
        raise RequestError(f"{name} is a case that was kept, and no recording: hk.cases reads it")
    found = []
    for number, entry in enumerate(har_entries(content, name), start=1):
        said = entry.get("request")
        said = said if isinstance(said, dict) else {}
        try:
            address = urlsplit(str(said.get("url", "")))
        except ValueError:  # no URL, so no request to a model
            continue
        method, path = str(said.get("method", "GET")).upper(), model_path(str(said.get("method")), address)
        if method != "OPTIONS" and path is not None:
            headers = har_headers(said.get("headers"))
            found.append(HarRequest(method, path, address.query, headers, _body(said, f"request {number} of {name}")))
    if not found:
        raise RequestError(f"{name} holds no request to a model, such as POST .../predictions/NAME")
    return found


def har_entries(content: bytes, name: str) -> list[dict[str, Any]]:
    """The exchanges of a HAR, as they are there. Raises RequestError for what is no HAR."""
    log = har_log(content, name)
    entries = log.get("entries")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RequestError(f"{name} is no HAR: log.entries is no list of objects")
    return entries


def har_log(content: bytes, name: str) -> dict[str, Any]:
    """What stands under "log". Raises RequestError for what is no HAR."""
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise RequestError(f"{name} is no HAR: its JSON is nested too deeply") from None
    except ValueError as problem:
        raise RequestError(f"{name} is no HAR: {problem}") from None
    log = value.get("log") if isinstance(value, dict) else None
    if not isinstance(log, dict):
        raise RequestError(f'{name} is no HAR: there is no object "log" in it')
    return log


def model_path(method: str, address: Any) -> str | None:
    """The path from TorchServe's route on: a gateway may have put others before; None for one that is no route."""
    steps = address.path.split("/")
    for first in range(1, len(steps)):
        path = "/" + "/".join(steps[first:])
        try:
            routes.find(method, unquote(path), address.query)
        except routes.RouteError:
            continue
        return path
    return None


def har_headers(said: Any) -> Headers:
    """The headers without those of the connection, and of HTTP/2."""
    return tuple(
        (name, value)
        for name, value in _pairs(said)
        if name.lower() not in OF_THE_CONNECTION and not name.startswith(":")
    )


def _pairs(said: Any) -> Iterator[tuple[str, str]]:
    for one in said if isinstance(said, list) else ():
        if isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("value"), str):
            yield one["name"], one["value"]


def _body(said: dict[str, Any], where: str) -> bytes:
    data, size = said.get("postData"), _said_size(said)
    if not isinstance(data, dict):
        if size > 0:
            raise RequestError(f"the body of {where} was not saved, {byte_size(size)}")
        return b""
    text, encoding = data.get("text"), data.get("encoding", data.get("_encoding"))
    if isinstance(text, str) and encoding == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            raise RequestError(f"the body of {where} is no base64") from None
    if isinstance(text, str):
        body = _bytes_of(text, size, where)
    elif str(data.get("mimeType", "")).lower().startswith("multipart/"):
        raise RequestError(f"the body of {where} was saved as parts, and not as its bytes: copy the request as curl")
    else:
        body = urlencode([*_pairs(data.get("params"))]).encode()
    if len(body) < size:
        raise RequestError(
            f"the body of {where} was saved without its files: {len(body)} of {size} bytes; copy the request as curl, "
            "or send the files again"
        )
    return body


def _said_size(said: dict[str, Any]) -> int:
    """How many bytes the body had; -1 where that is not said."""
    announced = [value for name, value in _pairs(said.get("headers")) if name.lower() == "content-length"]
    lengths = [int(value) for value in announced if re.fullmatch(r"\d{1,15}", value)]
    size = said.get("bodySize")
    return max([size if isinstance(size, int) else -1, *lengths])


def _bytes_of(text: str, size: int, where: str) -> bytes:
    body = text.encode("utf-8", "surrogatepass")
    if len(body) == size or (size < 0 and "\ufffd" not in text):
        return body
    try:
        if len(text) == size:  # bytes, a character each, as some browsers write them
            return text.encode("latin-1")
    except UnicodeEncodeError:
        pass
    if "\ufffd" in text:
        raise RequestError(f"the body of {where} was saved as text, and is none: copy the request as curl")
    return body
