"""stdout and stderr of a worker process: the file descriptors 1 and 2, unbuffered, as TorchServe's worker has them.

Each is a pipe that the Worker reads. What Python writes to one while the other still holds something waits until that
is read, so that the Worker's log has the lines of both in the order in which they were written.
"""

from __future__ import annotations

import array
import fcntl
import io
import logging
import os
import sys
import termios
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from handlerkit.worker_process.log_capture import without_kit

#: Seconds that a write waits for the other stream to be read.
_PATIENCE = 0.05


class Turns:
    """Whose turn it is to write. `drain` asks the Worker to read both streams."""

    def __init__(self, drain: Callable[[], None]) -> None:
        #: Whether the Worker reads: it does while it waits for an answer.
        self.heard = False
        self._drain = drain
        self._owner = os.getpid()
        self._last = 1

    def take(self, stream: int) -> None:
        """Wait until what was written to the other stream is read."""
        before, self._last = self._last, stream
        if before == stream or not self.heard or os.getpid() != self._owner or not _unread(before):
            return
        self._drain()
        until = time.monotonic() + _PATIENCE
        while _unread(before) and time.monotonic() < until:
            time.sleep(0)


def _unread(stream: int) -> int:
    """Bytes in the pipe that nobody has read; 0 if that cannot be told."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(stream, termios.FIONREAD, count)
    except OSError:
        return 0
    return count[0]


class _InTurn(io.FileIO):
    """A raw stream that waits for its turn."""

    def __init__(self, stream: int, turns: Turns) -> None:
        super().__init__(stream, "w", closefd=False)
        self._turns = turns

    def write(self, data: Any) -> int:
        self._turns.take(self.fileno())
        return super().write(data) or 0


def install(turns: Turns) -> None:
    """sys.stdout and sys.stderr as `python -u` makes them, and the root logger as the worker script does."""
    given: Any = sys
    given.stdin = given.__stdin__ = open(os.devnull)  # noqa: SIM115
    given.stdout = given.__stdout__ = _text(_InTurn(1, turns), "strict")
    given.stderr = given.__stderr__ = _text(_InTurn(2, turns), "backslashreplace")
    logging.root.handlers.clear()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Bare("%(message)s"))
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.INFO)


def _text(raw: io.FileIO, errors: str) -> TextIO:
    unbuffered: Any = raw
    return io.TextIOWrapper(unbuffered, encoding="utf-8", errors=errors, write_through=True)


class _Bare(logging.Formatter):
    """The message alone, and tracebacks without the kit's frames."""

    def formatException(self, ei: Any) -> str:
        kind, error, trace = ei
        cut: TracebackType | None = without_kit(trace)
        return super().formatException((kind, error, cut))
