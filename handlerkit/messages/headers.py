"""HTTP headers as ordered pairs: repeated names and their casing are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Headers = tuple[tuple[str, str], ...]
HeadersLike = Mapping[str, str] | Iterable[tuple[str, str]]


def pairs(headers: HeadersLike) -> Headers:
    """A mapping or pairs, as pairs."""
    items = headers.items() if isinstance(headers, Mapping) else headers
    return tuple((str(name), str(value)) for name, value in items)


def lookup(headers: Headers, name: str) -> str | None:
    """The last header of that name, whatever its casing."""
    wanted = name.lower()
    return next((value for key, value in reversed(headers) if key.lower() == wanted), None)
