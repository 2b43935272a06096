"""HTTP/1.1 to a server on this machine: headers as they are given, connections that stay open, answers as they came."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import BinaryIO

from handlerkit.errors import RequestError
from handlerkit.messages import Headers, Response
from handlerkit.serving.frontend import HOST

ADDRESS = "127.0.0.1"
_READ = 1 << 20  # bytes asked for at once
_BODILESS = ("GET", "HEAD", "DELETE", "OPTIONS")  # methods whose empty body needs no Content-Length


@dataclass
class Prepared:
    """A request whose head is in its connection's buffer, to be sent. `sent`: when that was (time.perf_counter)."""

    port: int
    connection: HTTPConnection
    body: bytes
    sent: float = 0.0


class Client:
    """Keeps connections open between exchanges; each carries one exchange at a time.

    Several threads may use one Client: a list's pop and append are atomic.
    """

    def __init__(self) -> None:
        self._idle: dict[int, list[HTTPConnection]] = {}

    def request(
        self, port: int, method: str, target: str, headers: Headers = (), *, timeout: float | None = None
    ) -> Response:
        """One exchange without a body. `timeout` is in seconds; None waits as long as the server lives."""
        prepared = self.prepare(port, method, target, headers, b"", timeout)
        self.send(prepared)
        return self.receive(prepared)

    def prepare(
        self, port: int, method: str, target: str, headers: Headers, body: bytes, timeout: float | None
    ) -> Prepared:
        """A request with Host, `headers` in their order, and Content-Length unless the headers frame the body.

        Raises RequestError for a head that cannot be written, such as one with control characters.
        """
        connection = self._take(port, timeout)
        given = {name.lower() for name, _ in headers}
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            if "host" not in given:
                connection.putheader("Host", HOST)
            for name, value in headers:
                connection.putheader(name, value.encode())
            if not given & {"content-length", "transfer-encoding"} and (body or method not in _BODILESS):
                connection.putheader("Content-Length", str(len(body)))
        except (ValueError, HTTPException) as problem:
            connection.close()
            raise RequestError(f"this request cannot be sent, its head is not HTTP: {problem}") from None
        return Prepared(port, connection, body)

    def send(self, prepared: Prepared) -> None:
        """Send it. Errors are left to `receive`: a server that closes early may have answered already."""
        prepared.sent = time.perf_counter()
        with suppress(OSError):
            prepared.connection.endheaders(prepared.body)

    def receive(self, prepared: Prepared) -> Response:
        """The answer; its status is None if there is none. Its `arrivals` are right only if it is received at once."""
        connection = prepared.connection
        if connection.sock is None:  # it was refused
            return Response(None, complete=False)
        try:
            response = connection.getresponse()
        except (OSError, HTTPException):
            connection.close()
            return Response(None, complete=False)
        with response:
            answer = _read(response, prepared.sent)
        if answer.complete and not response.will_close:
            self._idle.setdefault(prepared.port, []).append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            while connections:
                connections.pop().close()

    def _take(self, port: int, timeout: float | None) -> HTTPConnection:
        """An idle connection the server has not closed meanwhile, or a new one."""
        while idle := self._idle.get(port):
            try:
                connection = idle.pop()
            except IndexError:  # another thread was faster
                break
            if _is_open(connection.sock):
                connection.sock.settimeout(timeout)
                return connection
            connection.close()
        connection = HTTPConnection(ADDRESS, port, timeout=timeout)
        with suppress(OSError):  # now, so that accepting it does not delay the request; `receive` notices a failure
            connection.connect()
        return connection


def _is_open(sock: socket.socket) -> bool:
    """Whether it is open and has nothing to read, as it should be between two exchanges."""
    sock.settimeout(0)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _read(response: HTTPResponse, sent: float) -> Response:
    """Status, headers in the order in which they came, and as much of the body as arrived."""
    pieces: list[bytes] = []
    arrivals: list[float] = []
    bodiless = response.length == 0  # as for HEAD and 304: no chunks come then, whatever the headers say
    streamed = bool(response.chunked) and not bodiless
    try:
        complete = bodiless or (
            _read_chunks(response.fp, pieces, arrivals) if streamed else _read_plain(response, pieces)
        )
    except (OSError, ValueError, HTTPException):
        complete = False
    return Response(
        response.status,
        response.reason,
        tuple(response.getheaders()),
        b"".join(pieces),
        tuple(pieces) if streamed else None,
        complete,
        tuple(moment - sent for moment in arrivals) if streamed else None,
    )


def _read_plain(response: HTTPResponse, pieces: list[bytes]) -> bool:
    while piece := response.read1(_READ):
        pieces.append(piece)
    return not response.length


def _read_chunks(stream: BinaryIO, chunks: list[bytes], arrivals: list[float]) -> bool:
    """Read chunks (RFC 9112, 7.1), which `http.client` would join, and when each arrived. True if the last one came."""
    while size := int(stream.readline().partition(b";")[0], 16):
        chunk = stream.read(size)
        if chunk:
            chunks.append(chunk)
            arrivals.append(time.perf_counter())
        if len(chunk) < size:
            return False
        stream.readline()
    while stream.readline() not in (b"\r\n", b"\n", b""):
        pass
    return True
