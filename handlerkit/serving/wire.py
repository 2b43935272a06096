"""The frontend's half of TorchServe's worker protocol (OTF): the messages a worker reads and writes.

The worker's half is TorchServe's own `ts.protocol.otf_message_handler`, which is called, not repeated; its docstrings
and its `create_predict_response` show the layouts. Integers are big-endian and four bytes long; -1 ends a list.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple, Union

from . import caches
from .torchserve_facts import STREAM_NEXT

#: A message as the buffers that make it up: the body of a request is one of them, so that it is not copied.
Buffers = tuple[Union[bytes, memoryview], ...]

_END = struct.pack("!i", -1)
_int = struct.Struct("!i")


class Parameter(NamedTuple):
    """One named value of a request: a form field, a part, a query parameter, or the body as a whole."""

    name: str
    content_type: str
    value: bytes | memoryview


class Job(NamedTuple):
    """One request as the frontend queues it for a worker."""

    request_id: str
    headers: Sequence[tuple[str, str]]
    parameters: Sequence[Parameter]


class Prediction(NamedTuple):
    """One row of a worker's answer. `content_type` and `reason` are "" if the handler set none."""

    request_id: str
    content_type: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class WorkerResponse(NamedTuple):
    """A worker's answer to a batch: an overall code, a message, and a row for each request. `elapsed`: the seconds into
    the call at which the worker sent it; 0 if that is not known."""

    code: int
    message: str
    predictions: tuple[Prediction, ...]
    elapsed: float = 0.0

    @property
    def is_intermediate(self) -> bool:
        """Whether more follows: it is one of a stream's, and not the last."""
        return any((STREAM_NEXT, "true") in row.headers for row in self.predictions)


class ProtocolError(ValueError):
    """Bytes that are not a worker's message: the frontend drops the connection, and the worker dies."""


class TooLongError(ProtocolError):
    """A body of `size` bytes, more than max_response_size: the frontend does not wait for it."""

    def __init__(self, size: int) -> None:
        super().__init__(f"a body of {size} bytes is above max_response_size")
        self.size = size


class _MissingError(ProtocolError):
    """The message is not complete."""


def _sized(data: bytes) -> bytes:
    return _int.pack(len(data)) + data


def encode_load(
    model: str, model_dir: str, batch_size: int, handler: str, gpu_id: int | None, envelope: str, limit_pixels: bool
) -> bytes:
    """The message that has a worker load a model."""
    gpu = -1 if gpu_id is None else gpu_id
    return b"".join((
        b"L", _sized(model.encode()), _sized(model_dir.encode()), _int.pack(batch_size), _sized(handler.encode()),
        _int.pack(gpu), _sized(envelope.encode()), struct.pack("!?", limit_pixels),
    ))  # fmt: skip


def encode_predict(jobs: Iterable[Job]) -> Buffers:
    """The message that sends a batch to a worker; bodies are not copied."""
    return encode_batch(map(encode_job, jobs))


def encode_batch(jobs: Iterable[Buffers]) -> Buffers:
    """The same for jobs that are encoded already."""
    return (b"I", *itertools.chain.from_iterable(jobs), _END)


def encode_job(job: Job, headers: bytes | None = None) -> Buffers:
    """A job's part of a message; `headers`: its own, where they are encoded already. Raises UnicodeEncodeError for a
    name with half a surrogate pair."""
    buffers: list[bytes | memoryview] = []
    head = _sized(job.request_id.encode()) + (encode_headers(job.headers) if headers is None else headers)
    for name, content_type, value in job.parameters:
        head += _sized(name.encode()) + _sized(content_type.encode()) + _int.pack(len(value))
        buffers += (head, value)
        head = b""
    return (*buffers, head + _END)


def encode_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """The headers of a job as a part of its message."""
    return b"".join((*itertools.starmap(_encode_header, headers), _END))


@caches.of_headers
def _encode_header(name: str, value: str) -> bytes:
    return _sized(name.encode()) + _sized(value.encode())


class MessageReader:
    """The buffers of a message as a socket, from which TorchServe's `retrieve_msg` reads.

    `recv(size)` returns up to that many bytes, and b"" at the end. `retrieve_msg` asks for a body as a whole, so it is
    not copied.
    """

    def __init__(self, buffers: Buffers) -> None:
        reader = _received(buffers)
        next(reader)
        # a worker reads thirty numbers and names for each request, and a generator takes half of a method's time
        self.recv: Callable[[int], bytes | memoryview] = reader.send


def _received(buffers: Buffers) -> Generator[bytes | memoryview, int, None]:
    """What a socket returns for each size that is sent in."""
    size = yield b""
    for buffer in buffers:
        at = 0
        while at < len(buffer):
            piece = buffer[at : at + size]
            at += len(piece)
            size = yield piece
    while True:
        yield b""


def take_answer(message: bytes | bytearray | memoryview, limit: int) -> tuple[WorkerResponse, int] | None:
    """The first answer in what a worker has sent so far, and how many bytes it takes; None if more must come.

    Raises ProtocolError for one that the frontend cannot read: a status is negative, or a length is wrong, such as that
    of a reason phrase or a content type that is not ASCII (ts counts its characters and sends its bytes). A length
    above `limit` (max_response_size) is wrong as soon as it is there; for a body and the message it is a TooLongError.
    """
    try:
        return _answer(message, limit)
    except _MissingError:
        return None


def _answer(message: bytes | bytearray | memoryview, limit: int) -> tuple[WorkerResponse, int]:
    """The answer, and the index at which it ends."""
    view, whole, at = memoryview(message), len(message), 0

    def number() -> int:
        nonlocal at
        if (end := at + 4) > whole:
            raise _MissingError("a number does not fit")
        (value,) = _int.unpack_from(view, at)
        at = end
        return value  # type: ignore[no-any-return]

    def take(size: int) -> memoryview:
        nonlocal at
        if not 0 <= size <= limit:
            raise ProtocolError(f"a length of {size} does not fit")
        if (end := at + size) > whole:
            raise _MissingError(f"a length of {size} does not fit")
        piece, at = view[at:end], end
        return piece

    def sized() -> memoryview:
        """A body, or the answer's message: what max_response_size limits."""
        if (size := number()) > limit:
            raise TooLongError(size)
        return take(size)

    def text() -> str:
        return str(take(size), "utf-8") if (size := number()) else ""

    try:
        code, said = number(), str(sized(), "utf-8")
        rows: list[tuple[str, str, int, str, tuple[tuple[str, str], ...], memoryview]] = []
        while (size := number()) != -1:
            request_id, content_type, status, reason = str(take(size), "utf-8"), text(), number(), text()
            headers = tuple([(text(), text()) for _ in range(number())])
            rows.append((request_id, content_type, status, reason, headers, sized()))
            if status < 0:
                raise ProtocolError(f"status {status}")
    except UnicodeDecodeError as problem:
        raise ProtocolError(str(problem)) from None
    # bodies are copied last, since an answer that comes in many pieces is read again with each of them
    return WorkerResponse(code, said, tuple([Prediction(*row[:5], bytes(row[5])) for row in rows])), at
