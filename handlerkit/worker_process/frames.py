"""The connection between a Worker and its process: frames of one kind and some bytes, both ways.

From the Worker: LOAD (an Assignment), CALL, EXPLAIN (a why.Attempt), FORGET, SWAP (a batch size). From the process:
HELLO, PIECE (the seconds into the call, and an intermediate answer as TorchServe's worker sends it), DRAIN (read the
streams now), ANSWER (what came of a call, and the worker's own answer if there is one), DONE (what came of anything
else). What the process says is read by `read_plain`, which makes plain data of the kit alone.
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
#: How much stands before the answer in an ANSWER: this number, and as many bytes of plain data.
_TOLD = struct.Struct("!I")
#: Buffers that one sendmsg takes (IOV_MAX is 1024).
_AT_ONCE = 512
#: Bytes of an Inbox's buffer: a picture fits. A larger frame gets one of its own.
_ROOM = 1 << 20

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
    """One frame as it came. What it holds is overwritten once more is asked of the Inbox."""

    kind: bytes
    payload: memoryview


class BadFrameError(WorkerDied):
    """A worker process sent what is no plain data of the kit; it is dropped for that."""

    def __init__(self, sent: str) -> None:
        super().__init__(exited(f"The worker process sent {sent}."))


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLAIN:
            raise BadFrameError(f"a {module}.{name}, which is no plain data of handlerkit")
        return super().find_class(module, name)


def read_plain(data: bytes | memoryview) -> Any:
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


def pack_answer(told: object, answer: bytes) -> Buffers:
    """The payload of an ANSWER; `answer` is empty if there is none."""
    plain = pack(told)
    return _TOLD.pack(len(plain)), plain, answer


def read_answer(payload: memoryview) -> tuple[Any, memoryview]:
    """What an ANSWER tells, and the answer. Raises BadFrameError as `read_plain` does."""
    begin = _TOLD.size
    end = begin + int.from_bytes(payload[:begin], "big")
    return read_plain(payload[begin:end]), payload[end:]


def unpack(payload: memoryview) -> Any:
    """What a Worker sent to its process."""
    return pickle.loads(payload)


def header(kind: bytes, size: int) -> bytes:
    """What stands before a payload of that size."""
    return _HEADER.pack(kind, size)


class Inbox:
    """Frames out of what a connection receives.

    They are read into one buffer again and again: a new one for each would be memory that the system has to clear.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._room = self._buffer = memoryview(bytearray(_ROOM))
        self._begin = self._end = 0
        #: Bytes that the first frame still lacks; 0 if that is not known.
        self._lacks = 0

    def read(self, flags: int = 0) -> int:
        """Take in what has come, and wait for that where the connection blocks and `flags` (socket.MSG_DONTWAIT) do not
        forbid it; the number of bytes, 0 at its end."""
        if self._lacks:
            count = self._socket.recv_into(self._buffer[self._end :], self._lacks, flags | socket.MSG_WAITALL)
        else:
            count = self._socket.recv_into(self._buffer[self._end :], 0, flags)
        self._end += count
        return count

    def take(self) -> Frame | None:
        """The first frame; None if more must come."""
        buffer, begin, there = self._buffer, self._begin, self._end - self._begin
        if there >= (needed := _HEADER.size):
            kind, size = _HEADER.unpack_from(buffer, begin)
            needed += size
            if there >= needed:
                self._begin += needed
                if there == needed:
                    self._buffer, self._begin, self._end = self._room, 0, 0
                self._lacks = 0
                return Frame(kind, buffer[begin + _HEADER.size : begin + needed])
            self._lacks = needed - there
        if begin + needed > len(buffer):
            self._buffer = self._room if needed <= _ROOM else memoryview(bytearray(needed))
            self._buffer[:there] = buffer[begin : self._end]
            self._begin, self._end = 0, there
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
        """The next frame; None if the Worker is gone."""
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
