"""HTTP/1.1 to one host: headers as they are given, connections that stay open, answers as they came.

Nothing is sent to another host: redirects are answers, and the environment's proxies are not used.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import time
import weakref
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import BinaryIO, NamedTuple

from handlerkit.errors import RequestError
from handlerkit.messages import Headers, Response
from handlerkit.serving.frontend import HOST
from handlerkit.serving.models.job_queue import ARRIVAL_INTERVAL

ADDRESS = "127.0.0.1"
_READ = 1 << 20  # bytes asked for at once
_LINE = 1 << 16  # bytes of the longest line
_TRAILER = 100  # lines of the longest trailer, as http.client has it of a head
_LARGEST = 1 << 30  # bytes of the largest body: a server that never ends costs no more memory
_BODILESS = ("GET", "HEAD", "DELETE", "OPTIONS")  # methods whose empty body needs no Content-Length
#: Seconds for which an idle connection is used again: servers and proxies close theirs, the quickest after five.
_KEPT = 3
_A_MOMENT = 0.1  # seconds for an answer that has come already


class Outgoing(NamedTuple):
    """A request to be sent. `timeout` is in seconds without a sign of the server; None waits as long as it lives."""

    port: int
    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""
    timeout: float | None = None


class ReceivedResponse(NamedTuple):
    """An answer, whose status is None if there is none.

    `failure` says why there is none, or not all of it; None if the server closed the connection. `connected`: whether
    there was a connection.
    """

    response: Response
    failure: Exception | None = None
    connected: bool = True


class TooLargeError(Exception):
    """A body is longer than any that is read."""


@dataclass
class _Prepared:
    """A request whose head is in its connection's buffer. `sent`: when it was sent (time.perf_counter)."""

    request: Outgoing
    connection: HTTPConnection
    failure: Exception | None = None
    sent: float = 0.0


#: By port: connections that wait for their next exchange, and since when (time.monotonic).
_Idle = dict[int, list[tuple[HTTPConnection, float]]]


class HttpClient:
    """Keeps connections open between exchanges; each carries one exchange at a time.

    Several threads may use one: a list's pop and append are atomic.

    Args:
        host: the name or address that is connected to.
        host_header: the Host that is sent, unless a request has its own.
        tls: what checks the server's certificate; None sends in plain text.
    """

    def __init__(self, host: str = ADDRESS, host_header: str = HOST, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._host_header = host_header
        self._tls = tls
        self._idle: _Idle = {}
        weakref.finalize(self, _close, self._idle)

    def exchange(self, *requests: Outgoing) -> list[ReceivedResponse]:
        """Send these a few milliseconds apart, each on its own connection, and wait for all answers.

        A request has Host, its headers in their order, and Content-Length unless the headers frame the body. Of
        several, the answers have no `arrivals`, since they are read one after the other, and an answer to any is a sign
        of the server for all: it works on them in turn.

        Raises RequestError, before anything is sent, for a head that cannot be written, such as one with control
        characters. Its text shows no header's value.
        """
        taken: list[_Prepared] = []
        unreachable: dict[int, Exception] = {}
        try:
            for request in requests:
                taken.append(prepared := self._prepare(request, unreachable.get(request.port)))
                if prepared.failure is not None:
                    unreachable[request.port] = prepared.failure
            for position, prepared in enumerate(taken):
                if position:
                    time.sleep(ARRIVAL_INTERVAL)
                _send(prepared)
            received: list[ReceivedResponse] = []
            alive = time.perf_counter()
            for prepared in taken:
                received.append(self._receive(prepared, alive, timed=len(taken) == 1))
                if received[-1].response.status is not None:
                    alive = time.perf_counter()
            return received
        except BaseException:
            for prepared in taken:
                prepared.connection.close()
            raise

    def close(self) -> None:
        """Close the idle connections, as happens when the HttpClient is gone."""
        _close(self._idle)

    def _prepare(self, request: Outgoing, unreachable: Exception | None) -> _Prepared:
        """`unreachable`: why there was no connection a moment ago; none is tried then."""
        if unreachable is None:
            connection, failure = self._take(request.port, request.timeout)
        else:
            connection, failure = self._new(request.port, request.timeout), unreachable
        given = {name.lower() for name, _ in request.headers}
        what = "its request line"
        try:
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            if "host" not in given:
                connection.putheader("Host", self._host_header)
            for name, value in request.headers:
                what = f"the name or the value of its header {name!r}"
                connection.putheader(name, value.encode())
            if not given & {"content-length", "transfer-encoding"} and (
                request.body or request.method not in _BODILESS
            ):
                connection.putheader("Content-Length", str(len(request.body)))
        except (ValueError, HTTPException):
            connection.close()
            raise RequestError(
                f"this request cannot be sent, its head is not HTTP: {what} holds a character that none may have"
            ) from None
        return _Prepared(request, connection, failure)

    def _receive(self, prepared: _Prepared, alive: float, *, timed: bool) -> ReceivedResponse:
        """`alive`: when the server last gave a sign (time.perf_counter)."""
        connection, timeout = prepared.connection, prepared.request.timeout
        sock = connection.sock
        if sock is None:
            return ReceivedResponse(Response(None, complete=False), prepared.failure, connected=False)
        try:
            if timeout is not None:
                sock.settimeout(max(_A_MOMENT, timeout - (time.perf_counter() - alive)))
            response = connection.getresponse()
            sock.settimeout(timeout)
        except (OSError, HTTPException) as problem:
            connection.close()
            return ReceivedResponse(Response(None, complete=False), prepared.failure or problem)
        with response:
            received = _read(response, prepared.sent if timed else None)
        if received.response.complete and not response.will_close:
            self._idle.setdefault(prepared.request.port, []).append((connection, time.monotonic()))
        else:
            connection.close()
        return received

    def _take(self, port: int, timeout: float | None) -> tuple[HTTPConnection, Exception | None]:
        """An idle connection that the server has not closed meanwhile, or a new one, and why that has no socket."""
        while idle := self._idle.get(port):
            try:
                connection, since = idle.pop()
            except IndexError:  # another thread was faster
                break
            if time.monotonic() - since < _KEPT and _is_open(connection.sock):
                connection.sock.settimeout(timeout)
                return connection, None
            connection.close()
        connection = self._new(port, timeout)
        try:
            connection.connect()  # now, so that accepting it does not delay the request
        except OSError as problem:
            connection.close()
            return connection, problem
        return connection, None

    def _new(self, port: int, timeout: float | None) -> HTTPConnection:
        """A connection that is not open yet."""
        if self._tls is None:
            return HTTPConnection(self._host, port, timeout=timeout)
        return HTTPSConnection(self._host, port, timeout=timeout, context=self._tls)


def _send(prepared: _Prepared) -> None:
    """Errors are kept for later: a server that closes early may have answered already."""
    prepared.sent = time.perf_counter()
    if prepared.connection.sock is None:
        return
    try:
        prepared.connection.endheaders(prepared.request.body)
    except OSError as problem:
        prepared.failure = problem


def _close(idle: _Idle) -> None:
    for connections in idle.values():
        while connections:
            connections.pop()[0].close()


def _is_open(sock: socket.socket) -> bool:
    """Whether it is open and has nothing to read, as it should be between two exchanges."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)


def _read(response: HTTPResponse, sent: float | None) -> ReceivedResponse:
    """Status, headers in the order in which they came, and as much of the body as arrived. `sent`: when the request was
    sent, None if the times at which chunks come are of no use."""
    pieces: list[bytes] = []
    arrivals: list[float] = []
    failure: Exception | None = None
    bodiless = response.length == 0  # as for HEAD and 304: no chunks come then, whatever the headers say
    streamed = bool(response.chunked) and not bodiless
    try:
        complete = bodiless or (
            _read_chunks(response.fp, pieces, arrivals) if streamed else _read_plain(response, pieces)
        )
    except (OSError, ValueError, HTTPException, TooLargeError) as problem:
        complete, failure = False, problem
    answer = Response(
        response.status,
        response.reason,
        tuple(response.getheaders()),
        b"".join(pieces),
        tuple(pieces) if streamed else None,
        complete,
        tuple(moment - sent for moment in arrivals) if streamed and sent is not None else None,
    )
    return ReceivedResponse(answer, failure)


def _read_plain(response: HTTPResponse, pieces: list[bytes]) -> bool:
    size = 0
    while piece := response.read1(_READ):
        pieces.append(piece)
        size = _counted(size + len(piece))
    return not response.length


def _read_chunks(stream: BinaryIO, chunks: list[bytes], arrivals: list[float]) -> bool:
    """Read chunks (RFC 9112, 7.1), which `http.client` would join, and when each arrived. True if the last one came."""
    total = 0
    while size := _chunk_size(stream.readline(_LINE)):
        chunk = _read_exactly(stream, min(size, _LARGEST + 1))
        if chunk:
            chunks.append(chunk)
            arrivals.append(time.perf_counter())
        total = _counted(total + len(chunk))
        if len(chunk) < size:
            return False
        stream.readline(_LINE)
    return any(stream.readline(_LINE) in (b"\r\n", b"\n", b"") for _ in range(_TRAILER))


def _counted(size: int) -> int:
    """Raises TooLargeError where that is too much."""
    if size > _LARGEST:
        raise TooLargeError
    return size


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):  # int() takes signs too
        raise ValueError("a chunk without its size")
    return int(digits, 16)


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    """That many bytes, or fewer if it ends before. A size that a server only claims takes no memory."""
    pieces = []
    while size and (piece := stream.read(min(size, _READ))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
