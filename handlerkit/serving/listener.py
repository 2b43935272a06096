"""An HTTP/1.1 server for an Application, on asyncio and httptools, which writes heads byte for byte as TorchServe does.

ASGI servers cannot: they have reason phrases and headers of their own, and write names in lower case. httptools reads
a request of 200 bytes in 9 µs, h11 in 280 µs; h11 also refuses statuses above 999, which handlers may set.

Where it differs from TorchServe's Netty: what httptools takes for no HTTP gets TorchServe's 400 "Invalid HTTP message."
even where Netty is lenient (a method that is not registered, a header that is folded, a line that ends without a
carriage return, Content-Length beside Transfer-Encoding). A client that asks to close the connection has it closed.
Pipelined requests are answered one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import resource
import socket

from . import torchserve_facts as facts
from .application import GRACE, Application
from .client_connection import ClientConnection, ClientLimits

_READ = 1 << 18
_BACKLOG = 1024
_TICK = 0.5


class Listener:
    """Listens for an application that has been started.

    Attributes:
        addresses: (host, port) pairs, once it listens.
        most: how many connections it has at once.
    """

    def __init__(self, application: Application, limits: ClientLimits | None = None) -> None:
        self.application = application
        self.limits = limits or ClientLimits()
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = min(self.limits.connections, files // 2) if files > 0 else self.limits.connections
        self.addresses: tuple[tuple[str, int], ...] = ()
        self.connections: set[ClientConnection] = set()
        #: What all connections read into, one after the other.
        self.buffer = memoryview(bytearray(_READ))
        self.stops = False
        self._server: asyncio.AbstractServer | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The first of the addresses."""
        host, port = self.addresses[0]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def start(self, host: str = "127.0.0.1", port: int = facts.PORT, sock: socket.socket | None = None) -> None:
        """Listen at host and port (0: a free one), or on a socket that is bound. Raises OSError."""
        loop = asyncio.get_running_loop()

        def connect() -> ClientConnection:
            return ClientConnection(self, loop)

        if sock is not None:
            server = await loop.create_server(connect, sock=sock, backlog=_BACKLOG)
        else:
            server = await loop.create_server(connect, host, port, backlog=_BACKLOG)
        self._server = server
        self.addresses = tuple(one.getsockname()[:2] for one in server.sockets)
        self._sweeper = loop.create_task(self._sweep())

    async def stop(self, grace: float = GRACE) -> None:
        """Take no more requests, and let those that run be answered, for up to `grace` seconds."""
        self.stops = True
        if self._server is not None:
            self._server.close()
        for connection in [*self.connections]:
            connection.finish()
        loop = asyncio.get_running_loop()
        until = loop.time() + grace
        while self.connections and loop.time() < until:
            await asyncio.sleep(0.01)
        for connection in [*self.connections]:
            connection.abort()
        while self.connections:  # asyncio tells of it in the loop's next turn
            await asyncio.sleep(0)
        if self._server is not None:
            await self._server.wait_closed()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper

    async def _sweep(self) -> None:
        """Close connections whose client takes too long: one timer for all of them."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TICK)
            now = loop.time()
            for connection in [*self.connections]:
                if now > connection.deadline:
                    connection.abort()


def is_loopback(host: str) -> bool:
    """Whether other machines cannot reach it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
