"""The connection between a Worker and its process: packets of one kind and some bytes, both ways.

From the Worker: LOAD (an Assignment), CALL, EXPLAIN (a why.Attempt), FORGET, SWAP (a batch size). From the process:
HELLO (its id), PIECE (the seconds into the call, and an intermediate answer as TorchServe's worker sends it), DRAIN
(read the streams now), ANSWER (what came of a call, and the worker's own answer if there is one), DONE (what came of
anything else). What the process says is read by `read_plain`, which makes plain data of the kit alone.

The message of a CALL and the answer of an ANSWER are in SharedMemory if they are large: on a socket, the system
would allocate and clear memory for each.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import socket
import struct
import tempfile
import threading
from typing import Any, NamedTuple

from handlerkit.serving.wire import Buffers
from handlerkit.serving.worker_death import WorkerDied, exited

_HEADER = struct.Struct("!cQ")
_PID = struct.Struct("!i")
#: What is before the answer in a PIECE.
SECONDS = struct.Struct("!d")
#: What is before the answer in an ANSWER: how many bytes of plain data follow, and whether the answer is in the
#: shared memory.
_TOLD = struct.Struct("!I?")
#: Before the message in a CALL: whether memory is measured, the length of the envelope's name, which follows, and
#: whether the message is in the shared memory.
_CALL = struct.Struct("!?B?")
#: In place of what is in the shared memory.
_LENGTH = struct.Struct("!Q")
#: The fewest bytes that go through the shared memory, and the size of that memory, each way.
_LARGE, _SHARED = 1 << 15, 1 << 20
#: Buffers that one sendmsg takes (IOV_MAX is 1024).
_AT_ONCE = 512
#: Bytes of an Inbox's buffer: a picture fits. A larger packet gets one of its own.
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


class Packet(NamedTuple):
    """One packet as it came. What it holds is overwritten once more is asked of the Inbox."""

    kind: bytes
    payload: memoryview


class BadPacketError(WorkerDied):
    """A worker process sent what is no plain data of the kit; it is dropped for that."""

    def __init__(self, sent: str) -> None:
        super().__init__(exited(f"The worker process sent {sent}."))


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLAIN:
            raise BadPacketError(f"a {module}.{name}, which is no plain data of handlerkit")
        return super().find_class(module, name)


def read_plain(data: bytes | memoryview) -> Any:
    """What a worker process sent. Raises BadPacketError for anything but numbers, text, containers and plain data."""
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except BadPacketError:
        raise
    except Exception as problem:
        raise BadPacketError(f"data that cannot be read ({type(problem).__name__})") from None


def hello(pid: int) -> Buffers:
    """The payload of a HELLO: the id of the process."""
    return (_PID.pack(pid),)


def read_hello(payload: memoryview) -> int:
    """The id of the process that said HELLO. Raises BadPacketError."""
    if len(payload) != _PID.size:
        raise BadPacketError("a first frame that cannot be read")
    return int(_PID.unpack(payload)[0])


def pack(value: object) -> bytes:
    """The bytes of a payload."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


class SharedMemory:
    """Memory that both ends of a connection have: one part for the message of the call that runs, one for its answer.

    `file` is a descriptor of it, as `shared_file` makes one.
    """

    def __init__(self, file: int) -> None:
        whole = memoryview(mmap.mmap(file, 2 * _SHARED))
        self._message, self._answer = whole[:_SHARED], whole[_SHARED:]

    def pack_call(self, measures_memory: bool, envelope: str | None, message: Buffers) -> Buffers:
        """The payload of a CALL."""
        name = (envelope or "").encode()
        placed = _place(self._message, message)
        return _CALL.pack(measures_memory, len(name), placed is not message), name, *placed

    def read_call(self, payload: memoryview) -> tuple[bool, str | None, memoryview]:
        """What `pack_call` was given; the message is overwritten by the next call."""
        measures_memory, size, is_shared = _CALL.unpack_from(payload)
        end = _CALL.size + size
        envelope = str(payload[_CALL.size : end], "utf-8") or None
        return measures_memory, envelope, _placed(self._message, payload[end:], is_shared)

    def pack_answer(self, facts: object, answer: bytes) -> Buffers:
        """The payload of an ANSWER; `answer` is empty if there is none."""
        plain, whole = pack(facts), (answer,)
        placed = _place(self._answer, whole)
        return _TOLD.pack(len(plain), placed is not whole), plain, *placed

    def read_answer(self, payload: memoryview) -> tuple[Any, memoryview]:
        """What an ANSWER tells, and the answer, which the next one overwrites. Raises BadPacketError as `read_plain`
        does, and for an answer that ends beyond the memory."""
        try:
            size, is_shared = _TOLD.unpack_from(payload)
            end = _TOLD.size + size
            answer = _placed(self._answer, payload[end:], is_shared)
        except struct.error:
            raise BadPacketError("an answer that cannot be read") from None
        return read_plain(payload[_TOLD.size : end]), answer


def shared_file() -> io.FileIO:
    """A file for SharedMemory, in memory where the system has such files, and gone once nobody has it open."""
    if hasattr(os, "memfd_create"):
        file = io.FileIO(os.memfd_create("handlerkit"), "r+")
    else:
        with tempfile.TemporaryFile() as temporary:
            file = io.FileIO(os.dup(temporary.fileno()), "r+")
    os.ftruncate(file.fileno(), 2 * _SHARED)
    return file


def _place(room: memoryview, buffers: Buffers) -> Buffers:
    """The buffers themselves, or, if they are large and fit, their length once they are copied there."""
    size = sum(map(len, buffers))
    if not _LARGE <= size <= len(room):
        return buffers
    begin = 0
    for buffer in buffers:
        end = begin + len(buffer)
        room[begin:end] = buffer
        begin = end
    return (_LENGTH.pack(size),)


def _placed(room: memoryview, payload: memoryview, is_shared: bool) -> memoryview:
    return room[: _LENGTH.unpack_from(payload)[0]] if is_shared else payload


def unpack(payload: memoryview) -> Any:
    """What a Worker sent to its process."""
    return pickle.loads(payload)


def header(kind: bytes, size: int) -> bytes:
    """What is before a payload of that size."""
    return _HEADER.pack(kind, size)


class Inbox:
    """Packets out of what a connection receives.

    They are read into one buffer again and again: a new one for each would be memory that the system has to clear.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._room = self._buffer = memoryview(bytearray(_ROOM))
        self._begin = self._end = 0
        #: Bytes that the first packet still lacks; 0 if that is not known.
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

    def take(self) -> Packet | None:
        """The first packet; None if more must come."""
        buffer, begin, there = self._buffer, self._begin, self._end - self._begin
        if there >= (needed := _HEADER.size):
            kind, size = _HEADER.unpack_from(buffer, begin)
            needed += size
            if there >= needed:
                self._begin += needed
                if there == needed:
                    self._buffer, self._begin, self._end = self._room, 0, 0
                self._lacks = 0
                return Packet(kind, buffer[begin + _HEADER.size : begin + needed])
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

    def send(self, *packets: tuple[bytes, Buffers]) -> None:
        """Send packets, each of a kind and the buffers of its payload."""
        buffers: list[bytes | memoryview] = []
        for kind, payload in packets:
            buffers += (header(kind, sum(map(len, payload))), *payload)
        with self._lock:
            send_all(self._socket, buffers)

    def receive(self) -> Packet | None:
        """The next packet; None if the Worker is gone."""
        while (packet := self._inbox.take()) is None:
            try:
                if not self._inbox.read():
                    return None
            except ConnectionError:
                return None
        return packet


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
