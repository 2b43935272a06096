"""The connection between a Worker and its process: frames of one kind and some bytes, both ways.

From the Worker: LOAD (an Assignment), CALL, EXPLAIN (a why.Attempt), FORGET, SWAP (a batch size). From the process:
HELLO, PIECE (the seconds into the call, and an intermediate answer as TorchServe's worker sends it), DRAIN (read the
streams now), ANSWER (the worker's own answer), DONE (what else came of it). What the process says is read by
`read_plain`, which makes plain data of the kit alone.
"""

from __future__ import annotations

import io
import pickle
import socket
import struct
import threading
from typing import Any, NamedTuple

from handlerkit.serving.wire import Buffers
from handlerkit.serving.worker_death import WorkerDied, exited

_HEADER = struct.Struct("!cQ")
#: What stands before the answer in a PIECE.
SECONDS = struct.Struct("!d")
#: Buffers that one sendmsg takes (IOV_MAX is 1024).
_AT_ONCE = 512
#: Bytes that are read at once, but for the rest of a larger frame.
_SMALL = 1 << 16

LOAD, CALL, EXPLAIN, FORGET, SWAP = b"L", b"C", b"E", b"F", b"S"
HELLO, PIECE, DRAIN, ANSWER, DONE = b"H", b"P", b"D", b"A", b"O"

#: The classes that plain data from a worker process may hold.
_PLAIN = {
    ("handlerkit.memory", "Memory"),
    ("handlerkit.messages.call", "ErrorInfo"),
    ("handlerkit.messages.call", "Frame"),
    ("handlerkit.messages.finding", "Finding"),
    ("handlerkit.messages.geometry", "Geometry"),
    ("handlerkit.messages.side_effect", "SideEffect"),
    ("handlerkit.serving.worker_death", "WorkerDeath"),
    ("handlerkit.timing", "Timings"),
}


class Frame(NamedTuple):
    """One frame as it came."""

    kind: bytes
    payload: bytearray


class BadFrameError(WorkerDied):
    """A worker process sent what is no plain data of the kit; it is dropped for that."""

    def __init__(self, sent: str) -> None:
        super().__init__(exited(f"The worker process sent {sent}."))


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLAIN:
            raise BadFrameError(f"a {module}.{name}, which is no plain data of handlerkit")
        return super().find_class(module, name)


def read_plain(data: bytes | bytearray) -> Any:
    """What a worker process sent. Raises BadFrameError for anything but numbers, text, containers and plain data."""
    try:
        return _Reader(io.BytesIO(data)).load()
    except BadFrameError:
        raise
    except Exception as problem:
        raise BadFrameError(f"data that cannot be read ({type(problem).__name__})") from None


def pack(value: object) -> bytes:
    """The bytes of a payload."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpack(payload: bytearray) -> Any:
    """What a Worker sent to its process."""
    return pickle.loads(payload)


def header(kind: bytes, size: int) -> bytes:
    """What stands before a payload of that size."""
    return _HEADER.pack(kind, size)


class Inbox:
    """Frames out of what a connection receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = bytearray()
        self._kind = b""
        self._large: bytearray | None = None
        self._filled = 0

    def read(self) -> int:
        """Take in what has come, and wait for that where the connection blocks; the number of bytes, 0 at its end."""
        if self._large is not None and self._filled < len(self._large):
            count = self._socket.recv_into(memoryview(self._large)[self._filled :])
            self._filled += count
            return count
        piece = self._socket.recv(_SMALL)
        self._received += piece
        return len(piece)

    def take(self) -> Frame | None:
        """The first frame; None where more must come."""
        if self._large is not None:
            if self._filled < len(self._large):
                return None
            payload, self._large = self._large, None
            return Frame(self._kind, payload)
        received, begin = self._received, _HEADER.size
        if len(received) < begin:
            return None
        kind, size = _HEADER.unpack_from(received)
        if len(received) >= (end := begin + size):
            payload = received[begin:end]
            del received[:end]
            return Frame(kind, payload)
        if size > _SMALL:  # read into its place, uncopied
            self._kind, self._large, self._filled = kind, bytearray(size), len(received) - begin
            self._large[: self._filled] = received[begin:]
            received.clear()
        return None


def widen(connection: socket.socket) -> None:
    """Have the system take in as much at once as it allows: a picture fits."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)


class Connection:
    """A worker process's end. Several threads may send; one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._inbox = Inbox(connection)
        self._lock = threading.RLock()
        widen(connection)

    def send(self, *frames: tuple[bytes, Buffers]) -> None:
        """Send frames, each of a kind and the buffers of its payload."""
        buffers: list[bytes | memoryview] = []
        for kind, payload in frames:
            buffers += (header(kind, sum(map(len, payload))), *payload)
        with self._lock:
            send_all(self._socket, buffers)

    def receive(self) -> Frame | None:
        """The next frame; None where the Worker is gone."""
        while (frame := self._inbox.take()) is None:
            try:
                if not self._inbox.read():
                    return None
            except ConnectionError:
                return None
        return frame


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
