"""Headers of HTTP messages, as Netty and TorchServe's frontend read and write them."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import replace
from http import HTTPStatus
from typing import NamedTuple

from .. import caches
from ..config import Config
from ..http import Headers, HttpRequest, Response
from ..torchserve_facts import HEAD_LIMIT, OWN_HEADERS

#: What a header's name is made of (RFC 9110, 5.6.2).
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: Headers of every answer.
NO_CACHE = (
    ("Pragma", "no-cache"),
    ("Cache-Control", "no-cache; no-store, must-revalidate, private"),
    ("Expires", "Thu, 01 Jan 1970 00:00:00 UTC"),
)
#: Netty's reason phrases, where they differ from the standard library's.
_REASONS = {
    302: "Found", 413: "Request Entity Too Large", 414: "Request-URI Too Long", 416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity", 425: "Unordered Collection", 103: "Unknown Status (103)", 208: "Success (208)",
    226: "Success (226)", 418: "Client Error (418)", 451: "Client Error (451)", 508: "Server Error (508)",
    203: "Non-Authoritative Information",
}  # fmt: skip


def cors_headers(config: Config) -> Headers:
    """The Access-Control headers that config.properties asks for."""
    named = (
        ("access-control-allow-origin", config.cors_allowed_origin),
        ("access-control-allow-methods", config.cors_allowed_methods),
        ("access-control-allow-headers", config.cors_allowed_headers),
    )
    return tuple((name, value) for name, value in named if value)


class ReadHeader(NamedTuple):
    """A header of a request, as Netty's HTTP decoder reads it. `lower`: its name in lower case; `value`: as Java reads
    it; `size`: the bytes of its line; `valid`: whether the decoder accepts it."""

    name: str
    lower: str
    value: str
    size: int
    valid: bool


@caches.of_headers
def read_header(name: str, value: str) -> ReadHeader:
    """Read one header."""
    lower = name.lower()
    valid = TOKEN.fullmatch(name) is not None and (lower != "content-length" or value.strip().isdecimal())
    return ReadHeader(name, lower, as_latin_1(value), len(f"{name}: {value}".encode("utf-8", "surrogateescape")), valid)


def are_valid(headers: Sequence[ReadHeader]) -> bool:
    """Whether Netty's HTTP decoder accepts a request with these headers."""
    size = 0
    for one in headers:
        if not one.valid:
            return False
        size += one.size
    return size < HEAD_LIMIT


def has_token(headers: Sequence[tuple[str, str]], name: str, token: str) -> bool:
    """Whether the headers of that name, which hold lists, have the token; both are in lower case."""
    values = [value.lower() for key, value in headers if key.lower() == name]
    return any(token == one.strip() for value in values for one in value.split(","))


def is_chunked(headers: Sequence[tuple[str, str]]) -> bool:
    """Whether a message with these headers comes in chunks."""
    return has_token(headers, "transfer-encoding", "chunked")


def first_value(headers: Headers, name: str) -> str | None:
    """The value of the first header of that name, whatever its casing; `name` is in lower case."""
    return next((value for key, value in headers if key.lower() == name), None)


def merge(headers: Headers, owned: Set[str] = OWN_HEADERS) -> Headers:
    """A handler's headers as Netty sets them, one after the other: if names differ in casing alone, the last one wins
    and takes the last place. Those in `owned` are left out. They come from a Java HashMap, in its buckets' order."""
    merged: dict[str, tuple[str, str]] = {}
    for name, value in headers if len(headers) < 2 else _in_hash_order(headers):
        merged.pop(name.lower(), None)
        # one ? for each of Java's characters, of which one beyond U+FFFF takes two
        merged[name.lower()] = (name, re.sub("[^\0-\xff]", lambda one: "?" if one[0] < "\U00010000" else "??", value))
    return tuple(pair for key, pair in merged.items() if key not in owned)


def _in_hash_order(headers: Headers) -> Headers:
    """java.util.HashMap's order: 16 buckets, twice as many when three quarters are full; in one bucket, the order in
    which they came."""
    buckets = 16
    while len(headers) > buckets * 3 // 4:
        buckets *= 2

    def bucket(pair: tuple[str, str]) -> int:
        code = 0
        for letter in pair[0]:  # String.hashCode
            code = (31 * code + ord(letter)) & 0xFFFFFFFF
        return (code ^ code >> 16) & (buckets - 1)

    return tuple(sorted(headers, key=bucket))


def content_type_of(request: HttpRequest) -> str | None:
    """The Content-Type as Java reads it: the first one, its bytes as latin-1."""
    given = first_value(request.headers, "content-type")
    return None if given is None else as_latin_1(given)


def as_latin_1(value: str) -> str:
    """A header's value as Java reads it: its bytes (UTF-8; what is not is there as Python's surrogates) as latin-1,
    without space around it."""
    return value.strip().encode("utf-8", "surrogateescape").decode("latin-1")


def as_sent(response: Response, method: str) -> Response:
    """The answer as the client gets it: without a body if it answers HEAD, or if its status allows none."""
    status, headers = response.status or 0, response.headers
    if status == 204 or 100 <= status < 200:
        headers = without(without(headers, "content-length"), "transfer-encoding")
    elif status == 205:
        headers = (*without(without(headers, "content-length"), "transfer-encoding"), ("content-length", "0"))
    elif status != 304 and method != "HEAD":
        return response
    return replace(response, headers=headers, body=b"", chunks=None, arrivals=None, complete=True)


def without(headers: Headers, name: str) -> Headers:
    """The headers without those of that name; `name` is in lower case."""
    return tuple(pair for pair in headers if pair[0].lower() != name)


def reason_of(status: int) -> str:
    """Netty's reason phrase for a status (io.netty.handler.codec.http.HttpResponseStatus)."""
    if status in _REASONS:
        return _REASONS[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        kinds = ("Informational", "Success", "Redirection", "Client Error", "Server Error")
        kind = kinds[status // 100 - 1] if 100 <= status < 600 else "Unknown Status"
        return f"{kind} ({status})"
