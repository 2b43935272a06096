"""A cache whose size a client cannot choose."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import AnyStr, TypeVar

T = TypeVar("T")

#: Characters that a header's name and value have together, and pairs that are kept.
_LONGEST, _MOST = 512, 256


def of_headers(function: Callable[[AnyStr, AnyStr], T]) -> Callable[[AnyStr, AnyStr], T]:
    """Keep what a function makes of a header's name and value, since clients and proxies send all but one or two of
    them again and again; of a long one, nothing is kept."""
    cached = functools.lru_cache(maxsize=_MOST)(function)

    @functools.wraps(function)
    def call(name: AnyStr, value: AnyStr) -> T:
        return cached(name, value) if len(name) + len(value) <= _LONGEST else function(name, value)

    return call
