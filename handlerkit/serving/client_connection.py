"""One client of a Listener: its requests are read with httptools, and answered one after the other."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import httptools

from . import torchserve_facts as facts
from .application import FAULT
from .frontend import TOO_LARGE, TOO_LARGE_CLOSING
from .http import HttpRequest, Response

if TYPE_CHECKING:
    from .listener import Listener

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: Bytes of a request line and its headers; the frontend refuses less by itself, in TorchServe's words.
_LONGEST_HEAD = 1 << 16
#: A body of so many bytes is written by itself, and not copied behind its head.
_LARGE = 1 << 14
#: Bytes of a stream that a client may leave unread.
_MOST_UNREAD = 64 << 20
_CLOSE = ("connection", "close")
_LAST_CHUNK = b"0\r\n\r\n"
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_NEVER = float("inf")
_LOGGER = logging.getLogger("serving")


@dataclass(frozen=True)
class ClientLimits:
    """What a client may take; times in seconds.

    Attributes:
        connections: open at once, and no more than half of the files that this process may open, as workers need some;
            one more is answered 503.
        head: until a head is whole.
        idle: without a request, on a connection that is kept alive.
        stall: for a body, or for the client to read its answer, ...
        rate: ... and one second more for so many bytes of it.
    """

    connections: int = 1024
    head: float = 20
    idle: float = 600
    stall: float = 30
    rate: int = 16 << 10


class _IncomingRequest:
    """A request as far as it has come."""

    __slots__ = (
        "begun",
        "body",
        "expects",
        "has_head",
        "headers",
        "is_answered",
        "length",
        "method",
        "target",
        "unread",
    )

    def __init__(self) -> None:
        #: When its first byte came; 0 where none has.
        self.begun = 0.0
        self.method = ""
        self.target = b""
        self.headers: list[tuple[str, str]] = []
        self.body: list[bytes] = []
        #: Bytes that came since its beginning, or since the last of its body: of its head, of a trailer.
        self.unread = 0
        self.length = 0
        self.has_head = False
        #: Its body is waited for, and the client waits to be asked for it.
        self.expects = False
        #: It was answered before its body came, which nobody wants.
        self.is_answered = False

    def request(self) -> HttpRequest:
        path, _, query = self.target.decode("latin-1").partition("?")
        body = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        return HttpRequest(self.method, path, tuple(self.headers), query, body)


class ClientConnection(asyncio.BufferedProtocol):
    """One client, whose requests are answered one after the other: it is the application's `Client` for each.

    Attributes:
        deadline: when the client has taken too long, on the loop's clock.
    """

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._application = listener.application
        self._largest = listener.application.config.max_request_size
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._reading = _IncomingRequest()
        #: What waits for its turn: requests, answers to what is no request, and None for the end of the connection.
        self._pending: deque[HttpRequest | Response | None] = deque()
        self._is_busy = False
        self._is_advancing = False
        self._is_deaf = False
        self._is_bodiless = False
        self._stalls_at = _NEVER
        self.deadline = _NEVER

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        connections = self._listener.connections
        connections.add(self)
        self.deadline = self._loop.time() + self._limits.head
        if len(connections) > self._listener.most:
            message = "The server has as many connections as it takes."
            self._refuse(self._application.refuse(503, facts.UNAVAILABLE, message))

    def connection_lost(self, error: Exception | None) -> None:
        self._is_deaf = True
        self._pending.clear()
        self._listener.connections.discard(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._listener.buffer

    def buffer_updated(self, size: int) -> None:
        self._feed(self._listener.buffer[:size])

    def eof_received(self) -> bool:
        """A client that half-closes its connection still gets what it asked for."""
        if not self._is_busy and not self._pending:
            return False
        self._is_deaf = True
        self._pending.append(None)
        return True

    def pause_writing(self) -> None:
        seconds = self._limits.stall + self._transport.get_write_buffer_size() / self._limits.rate
        self._stalls_at = self._loop.time() + seconds
        self._set_deadline()

    def resume_writing(self) -> None:
        self._stalls_at = _NEVER
        self._advance()
        self._set_deadline()

    # what the parser calls

    def on_message_begin(self) -> None:
        if not self._reading.begun:
            self._reading.begun = self._loop.time()

    def on_url(self, url: bytes) -> None:
        if not self._reading.has_head:
            self._reading.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._reading.has_head:  # those of a trailer are none of the request's, as with Netty
            self._reading.headers.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        reading = self._reading
        if reading.has_head:
            return
        reading.has_head = True
        if self._parser.get_http_version() == "0.9":  # a request line without a version
            self._refuse(self._application.refuse(400, facts.BAD_REQUEST, facts.INVALID_MESSAGE))
            return
        reading.method = self._parser.get_method().decode("latin-1")
        expected, length = None, 0
        for name, value in reading.headers:
            if len(name) == 6 and expected is None and name.lower() == "expect":
                expected = value.strip().lower()
            elif len(name) == 14 and name.lower() == "content-length":
                length = int(value)
        if expected is not None and self._parser.get_http_version() != "1.0":  # where there is no such answer
            reading.expects = expected == "100-continue"
            if not reading.expects:
                self._answer_early(reading, reading.request())
        if length > self._largest:
            stays = reading.expects or self._parser.should_keep_alive()
            self._answer_early(reading, TOO_LARGE if stays else TOO_LARGE_CLOSING)
        if reading.expects and not self._is_busy and not self._pending:
            self._ask_for_body()

    def on_body(self, data: bytes) -> None:
        reading = self._reading
        reading.length += len(data)
        reading.expects = False
        if reading.length > self._largest:
            reading.body.clear()
            self._answer_early(reading, TOO_LARGE_CLOSING)
        elif not reading.is_answered:
            reading.body.append(data)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade() and self._framing():
            return  # its body is still to come
        reading, self._reading = self._reading, _IncomingRequest()
        if not reading.is_answered:
            self._pending.append(reading.request())
        if not self._parser.should_keep_alive():
            self._is_deaf = True
            self._pending.append(None)
        if not self._is_busy:
            self._advance()

    # what the application calls

    def answer(self, response: Response) -> None:
        if response.chunks is None:
            self._write(response)
        else:  # whole as it is, the handler has asked for chunks
            self._write(replace(response, body=b"".join([*map(_chunk, response.chunks), _LAST_CHUNK])))
        self._done(_CLOSE in response.headers)

    def begin(self, response: Response) -> None:
        self._write(response)
        self._is_bodiless = response.chunks is None
        if (response.status or 0) >= 400:
            self._transport.close()

    def chunk(self, data: bytes) -> None:
        if data and not self._is_bodiless and not self._transport.is_closing():
            self._transport.write(_chunk(data))
            if self._stalls_at < _NEVER and self._transport.get_write_buffer_size() > _MOST_UNREAD:
                self._transport.abort()

    def end(self, complete: bool) -> None:
        if complete and not self._is_bodiless and not self._transport.is_closing():
            self._transport.write(_LAST_CHUNK)
        self._done(not complete)

    def drop(self) -> None:
        """TorchServe leaves such a client waiting; here it waits no longer than one without a request."""
        self.deadline = self._loop.time() + self._limits.idle

    # what the listener calls

    def finish(self) -> None:
        """Close the connection when what has been asked for is answered."""
        if not self._is_busy and not self._pending and not self._reading.begun:
            self._transport.close()

    def abort(self) -> None:
        """Cut it."""
        self._transport.abort()

    def _feed(self, data: memoryview) -> None:
        if self._is_deaf:
            return
        reading, length = self._reading, self._reading.length
        try:
            left = data
            while left and not self._is_deaf:
                left = self._parse(left)
        except httptools.HttpParserError:
            self._refuse(self._application.refuse(400, facts.BAD_REQUEST, facts.INVALID_MESSAGE))
            return
        if reading is self._reading and reading.begun:
            reading.unread = reading.unread + len(data) if reading.length == length else 0
            if reading.unread > _LONGEST_HEAD:
                self._refuse(self._application.refuse(400, facts.BAD_REQUEST, facts.INVALID_MESSAGE))
                return
        if self._pending:  # what follows waits in the client's own buffers
            self._transport.pause_reading()
        self._set_deadline()

    def _parse(self, data: memoryview) -> memoryview:
        """Returns what another parser, which takes the place of this one, is to read. Raises HttpParserError."""
        reading, is_new = self._reading, not self._reading.begun
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserInvalidURLError:
            line, newline, rest = bytes(data).partition(b"\n")
            if not is_new or reading is not self._reading or line.isascii():
                raise
            self._parser, self._reading = httptools.HttpRequestParser(self), _IncomingRequest()
            return memoryview(b"".join((_NOT_ASCII.sub(_escaped, line), newline, rest)))
        except httptools.HttpParserUpgrade as upgrade:
            # Nobody here speaks another protocol: the request is one like any other, and more may follow it. The parser
            # takes its body for that protocol, so that the next one has to be told how the body is framed.
            framing = self._framing() if self._reading.has_head else []
            if framing and not self._parser.should_keep_alive():
                framing.append(_CLOSE)
            self._parser = httptools.HttpRequestParser(self)
            if framing:
                lines = "".join(f"{name}: {value}\r\n" for name, value in framing)
                self._parser.feed_data(f"POST / HTTP/1.1\r\n{lines}\r\n".encode())
            return data[upgrade.args[0] :]
        return data[:0]

    def _framing(self) -> list[tuple[str, str]]:
        """The headers that say how long the body is."""
        return [pair for pair in self._reading.headers if pair[0].lower() in ("content-length", "transfer-encoding")]

    def _refuse(self, response: Response) -> None:
        """Answer what is no request, after those before it; nothing after it is read."""
        self._is_deaf = True
        self._answer_early(self._reading, response)
        self._pending.append(None)

    def _answer_early(self, reading: _IncomingRequest, item: HttpRequest | Response) -> None:
        if not reading.is_answered:
            reading.is_answered = True
            reading.expects = False
            self._pending.append(item)
            if not self._is_busy:
                self._advance()

    def _advance(self) -> None:
        """Take what waits, until something has to be waited for."""
        if self._is_advancing:
            return
        self._is_advancing = True
        # a client that does not read its answers gets no more of them
        while self._pending and not self._is_busy and self._stalls_at == _NEVER:
            item = self._pending.popleft()
            if item is None:
                self._transport.close()
                self._pending.clear()
                break
            self._is_busy = True
            if isinstance(item, Response):
                self.answer(item)
            else:
                self._hand_over(item)
        self._is_advancing = False
        if not self._is_busy and not self._pending and not self._is_deaf and not self._transport.is_closing():
            if not self._transport.is_reading():
                self._transport.resume_reading()
            if self._reading.expects:
                self._ask_for_body()

    def _hand_over(self, request: HttpRequest) -> None:
        try:
            self._application.receive(request, self)
        except Exception:  # the parser would take it for an error in what it reads
            _LOGGER.exception("no answer to %s %s", request.method, request.path)
            if self._is_busy:
                self.answer(self._application.refuse(500, facts.INTERNAL, FAULT))

    def _done(self, closes: bool) -> None:
        """The first request is answered."""
        self._is_busy = False
        self._is_bodiless = False
        if closes or (self._listener.stops and not self._pending and not self._reading.begun):
            self._is_deaf = True
            self._pending.clear()
            self._transport.close()
        else:
            self.deadline = self._loop.time() + self._limits.idle
            self._advance()
        self._set_deadline()

    def _ask_for_body(self) -> None:
        self._reading.expects = False
        self._transport.write(_CONTINUE)

    def _set_deadline(self) -> None:
        """The client's, unless it is the server's turn."""
        reading, limits = self._reading, self._limits
        if self._stalls_at < _NEVER:
            self.deadline = self._stalls_at
        elif self._transport.is_closing():
            self.deadline = self._loop.time() + limits.stall
        elif self._is_busy:
            self.deadline = _NEVER
        elif reading.has_head:
            self.deadline = reading.begun + limits.stall + reading.length / limits.rate
        elif reading.begun:
            self.deadline = reading.begun + limits.head

    def _write(self, response: Response) -> None:
        if self._transport.is_closing():
            return
        lines = [f"HTTP/1.1 {response.status} {response.reason}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in response.headers]
        head, body = "".join((*lines, "\r\n")).encode("latin-1", "replace"), response.body
        if len(body) < _LARGE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)


def _escaped(byte: re.Match[bytes]) -> bytes:
    """A byte that was not escaped in a target, as curl sends what is typed: Netty reads it as latin-1."""
    return quote(byte[0].decode("latin-1")).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
