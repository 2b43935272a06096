"""The connection between a Worker and its process: frames of one kind and some bytes, both ways.

From the Worker: LOAD (an Assignment), CALL, EXPLAIN (a Question), FORGET, SWAP. From the process: HELLO, PIECE (the
seconds into the call, and an intermediate answer as TorchServe's worker sends it), DRAIN (read the streams now), ANSWER
(the worker's own answer), DONE (what else came of it). What the process says is read by `read_plain`, which makes plain
data of the kit alone.
"""

from __future__ import annotations

import io
import pickle
import socket
import struct
import threading
from typing import Any, NamedTuple

from handlerkit.errors import HandlerkitError
from handlerkit.wire import Buffers

_HEADER = struct.Struct("!cQ")
#: What stands before the answer in a PIECE.
SECONDS = struct.Struct("!d")
#: Buffers that one sendmsg takes (IOV_MAX is 1024).
_AT_ONCE = 512

LOAD, CALL, EXPLAIN, FORGET, SWAP = b"L", b"C", b"E", b"F", b"S"
HELLO, PIECE, DRAIN, ANSWER, DONE = b"H", b"P", b"D", b"A", b"O"

#: The classes that plain data from a worker process may hold.
_PLAIN = {
    ("handlerkit.memory", "Memory"),
    ("handlerkit.messages.call", "ErrorInfo"),
    ("handlerkit.messages.call", "Frame"),
    ("handlerkit.messages.finding", "Finding"),
    ("handlerkit.messages.geometry", "Geometry"),
    ("handlerkit.messages.seen", "Seen"),
    ("handlerkit.timing", "Timings"),
}


class Frame(NamedTuple):
    """One frame as it came."""

    kind: bytes
    payload: bytearray


class BadFrameError(HandlerkitError):
    """A worker process sent what is no plain data of the kit."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLAIN:
            raise BadFrameError(f"a worker process sent a {module}.{name}, which is no plain data of the kit")
        return super().find_class(module, name)


def read_plain(data: bytes | bytearray) -> Any:
    """What a worker process sent. Raises BadFrameError for anything but numbers, text, containers and plain data."""
    try:
        return _Reader(io.BytesIO(data)).load()
    except BadFrameError:
        raise
    except Exception as problem:
        raise BadFrameError(f"a worker process sent what cannot be read ({type(problem).__name__})") from None


def pack(value: object) -> bytes:
    """The bytes of a payload."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpack(payload: bytearray) -> Any:
    """What a Worker sent to its process."""
    return pickle.loads(payload)


def header(kind: bytes, size: int) -> bytes:
    """What stands before a payload of that size."""
    return _HEADER.pack(kind, size)


def take(received: bytearray) -> Frame | None:
    """The first frame in what has been received, and cut off from it; None where more must come."""
    if len(received) < _HEADER.size:
        return None
    kind, size = _HEADER.unpack_from(received)
    end = _HEADER.size + size
    if len(received) < end:
        return None
    payload = received[_HEADER.size : end]
    del received[:end]
    return Frame(kind, payload)


class Connection:
    """A worker process's end. Several threads may send; one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lock = threading.RLock()

    def send(self, *frames: tuple[bytes, Buffers]) -> None:
        """Send frames, each of a kind and the buffers of its payload."""
        buffers: list[bytes | memoryview] = []
        for kind, payload in frames:
            buffers += (header(kind, sum(map(len, payload))), *payload)
        with self._lock:
            send_all(self._socket, buffers)

    def receive(self) -> Frame | None:
        """The next frame; None where the Worker is gone."""
        head = self._read(_HEADER.size)
        if head is None:
            return None
        kind, size = _HEADER.unpack(head)
        payload = self._read(size)
        return None if payload is None else Frame(kind, payload)

    def _read(self, size: int) -> bytearray | None:
        data = bytearray(size)
        view, at = memoryview(data), 0
        while at < size:
            try:
                count = self._socket.recv_into(view[at:])
            except ConnectionError:
                return None
            if not count:
                return None
            at += count
        return data


def send_all(connection: socket.socket, buffers: list[bytes | memoryview]) -> None:
    """Send all of these, in few calls of the system."""
    for at in range(0, len(buffers), _AT_ONCE):
        part = buffers[at : at + _AT_ONCE]
        sent = connection.sendmsg(part)
        for buffer in part:
            if sent < len(buffer):
                connection.sendall(memoryview(buffer)[sent:])
                sent = 0
            else:
                sent -= len(buffer)
