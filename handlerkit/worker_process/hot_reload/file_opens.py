"""How often files were opened, by whatever means: Linux tells (inotify), and whoever opens them sees nothing of it."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_OPEN, _CLOSE_NOWRITE, _OVERFLOW = 0x20, 0x10, 0x4000  # linux/inotify.h
_HEAD = struct.Struct("iIII")


class FileOpens:
    """A context manager that counts.

    Attributes:
        counts: the number of times, by path, once it has ended; None if that is not known (not Linux; too many
            inotify instances or events). Opens that nothing closed in between may count as one.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.counts: Counter[str] | None = None
        self._files = [str(file) for file in files]
        self._queue = -1

    def __enter__(self) -> FileOpens:
        if sys.platform == "linux":
            system = ctypes.CDLL(None)
            self._queue = system.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            what = _OPEN | _CLOSE_NOWRITE  # two equal events in a row are reported as one
            if self._queue >= 0:
                self._watched = {
                    system.inotify_add_watch(self._queue, os.fsencode(file), what): file for file in self._files
                }
        return self

    def __exit__(self, *_: object) -> None:
        if self._queue < 0:
            return
        counts: Counter[str] | None = Counter()
        for watch, mask in self._events():
            if mask & _OVERFLOW or -1 in self._watched:
                counts = None
                break
            if mask & _OPEN and counts is not None:
                counts[self._watched[watch]] += 1
        os.close(self._queue)
        self._queue, self.counts = -1, counts

    def _events(self) -> Iterable[tuple[int, int]]:
        while True:
            try:
                content = os.read(self._queue, 1 << 16)
            except BlockingIOError:
                return
            place = 0
            while place < len(content):
                watch, mask, _, length = _HEAD.unpack_from(content, place)
                yield watch, mask
                place += _HEAD.size + length
