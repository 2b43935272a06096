"""What a worker process writes to its two streams, read at all times: a full pipe stops whoever writes to it."""

from __future__ import annotations

import functools
import io
import select
import threading
import time
from collections.abc import Callable

from handlerkit.messages import LogLine
from handlerkit.worker_process.log_capture import Journal

_PIECE = 1 << 18
#: Pieces read at a time: a thread that writes without end must not hold an answer up.
_PIECES = 64
#: Bytes written between two calls that are kept; the rest is counted.
_KEPT = 1 << 20
#: Seconds for which the thread leaves the streams to a call, between two of its reads, and between its looks at whether
#: it is still needed.
_LEAVES, _GATHERS, _LOOKS = 0.2, 0.01, 30.0


class StreamReader:
    """Reads both streams into a journal.

    While somebody waits for the worker (`awaited`), they call `drain` themselves. Between calls a thread reads, which
    sleeps until something comes; a call is not disturbed by it. `files` are stdout and stderr, non-blocking.
    """

    def __init__(self, journal: Journal, out: io.FileIO, err: io.FileIO) -> None:
        self.files = (out, err)
        self.awaited = False
        self._journal = journal
        self._streams = ((out, journal.write_out), (err, journal.write_err))
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._kept = self._dropped = 0

    def drain(self) -> None:
        """Read what has come."""
        with self._lock:
            self._drain()

    def take(self) -> tuple[LogLine, ...]:
        """Read what has come; all lines since the last time. From now on the thread reads."""
        with self._lock:
            self._drain()
            self._kept = 0
            lines = self._journal.take()
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(
                target=self._read_on, name="handlerkit reads a worker's streams", daemon=True
            )
            self._thread.start()
        return lines

    def close(self) -> None:
        """Close both; the thread ends."""
        with self._lock:
            self._is_closed = True
            for file in self.files:
                file.close()

    def _drain(self) -> None:
        if self._dropped:
            self._journal.end_lines()
            self._journal.add("WARN", f"... {self._dropped} bytes more, written between two calls, are not kept")
            self._dropped = 0
        for stream, write in self._streams:
            _read(stream, write)

    def _read_on(self) -> None:
        poll = select.poll()
        for file in self.files:
            poll.register(file, select.POLLIN)
        left = len(self.files)
        while left:
            events = poll.poll(_LOOKS * 1000)
            if self.awaited:
                time.sleep(_LEAVES)
                continue
            with self._lock:
                if self._is_closed:
                    return
                for stream, write in self._streams:
                    _read(stream, functools.partial(self._keep, write))
            time.sleep(_GATHERS)
            for number, event in events:
                if event & select.POLLHUP and not event & select.POLLIN:
                    poll.unregister(number)
                    left -= 1

    def _keep(self, write: Callable[[bytes], object], piece: bytes) -> None:
        kept = piece[: max(0, _KEPT - self._kept)]
        self._kept += len(kept)
        self._dropped += len(piece) - len(kept)
        if kept:
            write(kept)


def _read(stream: io.FileIO, write: Callable[[bytes], object]) -> None:
    for _ in range(_PIECES):
        if not (piece := stream.read(_PIECE)):
            break
        write(piece)
        if len(piece) < _PIECE:
            break
