"""Objects of extension classes, of which nothing is seen but what they tell of themselves to be pickled."""

from __future__ import annotations

import copyreg
import pickle
import sys
import time
from typing import Any

import xxhash

_LONGEST = 0.25  # seconds; an object that takes longer is not looked at
_SILENT = {"itertools"}  # packages whose objects say so with a warning that is an error by and by


def serializes(kind: type) -> bool:
    """Whether a class has a way of its own to be pickled, and so knows what its objects are made of."""
    if kind.__module__ in _SILENT:
        return False
    ways = ("__reduce__", "__reduce_ex__", "__getstate__")
    return kind in copyreg.dispatch_table or any(getattr(kind, way) is not getattr(object, way) for way in ways)


def read_serialized(value: Any) -> tuple[type, bytes]:
    """The class, and a hash of the pickled form.

    Raises pickle.PicklingError, TypeError or whatever else a class raises where it cannot be pickled, where it holds
    what cannot, or takes too long.
    """
    sink = _Hash()
    _Pickler(sink, protocol=5, buffer_callback=sink.buffer).dump(value)
    return type(value), sink.digest()


class _Hash:
    """A file that keeps a hash of what is written to it."""

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_128()
        self._until = time.monotonic() + _LONGEST

    def write(self, content: Any) -> int:
        if time.monotonic() > self._until:
            raise pickle.PicklingError("it takes too long")
        self._hash.update(content)
        return len(content)

    def buffer(self, buffer: pickle.PickleBuffer) -> None:
        self.write(buffer.raw())

    def digest(self) -> bytes:
        return self._hash.digest()


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """Raises PicklingError for what a handler's own module made: that is looked at in its own way."""
        if type(value).__module__ not in sys.modules:
            raise pickle.PicklingError(f"it holds a {type(value).__name__}")
        return NotImplemented
