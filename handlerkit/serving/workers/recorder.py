"""What workers are handed, kept for who asks: while the folder that the variable SERVING_RECORD names is there, each
message to a worker goes to a file in it before it is sent."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress

from ..wire import Buffers

RECORD = "SERVING_RECORD"
_SUFFIX = ".messages"
_size = struct.Struct("!Q")


class Recorder:
    """Who keeps the messages to one worker; without the variable, nobody does."""

    def __init__(self, number: int) -> None:
        folder = os.environ.get(RECORD)
        self._folder = folder
        self._file = os.path.join(folder, f"{os.getpid()}-{number}{_SUFFIX}") if folder else ""

    def keep(self, message: Buffers) -> None:
        """Write it down, if somebody asks. A disk that is full costs no request its answer."""
        if self._folder is not None and os.path.isdir(self._folder):
            with suppress(OSError), open(self._file, "ab") as file:
                file.write(b"".join((_size.pack(sum(map(len, message))), *message)))


def messages_in(folder: str | os.PathLike[str]) -> Iterator[bytes]:
    """The messages that are in this folder: those to one worker in their order, then those to another."""
    for name in sorted(os.listdir(folder)):
        if name.endswith(_SUFFIX):
            with open(os.path.join(folder, name), "rb") as file:
                while size := file.read(_size.size):
                    yield file.read(_size.unpack(size)[0])
