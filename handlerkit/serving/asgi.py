"""An Application for any ASGI server, such as uvicorn or Ray Serve's.

What such a server decides itself is lost: it writes the names of headers in lower case, in both directions, its own
reason phrases, and headers of its own. Status, body, and the values and order of the handler's headers stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from . import caches
from .application import GRACE, Application
from .frontend import TOO_LARGE
from .http import HttpRequest, Response
from .workers.any_worker import LoadFailed

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]

#: Lines of a worker's log that say why it did not load its model.
_LOG_LINES = 30
#: What an ASGI server writes itself.
_OF_THE_SERVER = (b"connection", b"transfer-encoding")


def asgi(make: Callable[[], Application], grace: float = GRACE) -> Asgi:
    """The ASGI 3 application of what `make` makes: with any_casing, as names come in lower case.

    The workers start with the server's lifespan, or with the first request where the server has none.
    """
    started: list[asyncio.Task[Application]] = []

    async def start() -> Application:
        application = make()
        await application.start()
        return application

    async def running() -> Application:
        if not started:
            started.append(asyncio.get_running_loop().create_task(start()))
        return await asyncio.shield(started[0])

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(running, receive, send, grace)
        elif scope["type"] == "http":
            await _answer(await running(), scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})

    return app


async def _live(running: Callable[[], Awaitable[Application]], receive: Receive, send: Send, grace: float) -> None:
    await receive()
    try:
        application = await running()
    except Exception as problem:
        log = problem.log[-_LOG_LINES:] if isinstance(problem, LoadFailed) else ()
        await send({"type": "lifespan.startup.failed", "message": "\n".join((str(problem), *log))})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await application.stop(grace)
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(application: Application, scope: Message, receive: Receive, send: Send) -> None:
    client = _Client()
    try:
        body = await _body(receive, application.config.max_request_size)
    except ConnectionAbortedError:
        return
    if body is None:
        client.answer(TOO_LARGE)
    else:
        application.receive(_request(scope, body), client)
    more = True
    while more:
        for message in await client.messages():
            if message is None:  # the server cuts the connection, or answers 500 itself where it has sent no head
                raise ConnectionAbortedError("there is no answer, or none that goes on")
            await send(message)
            more = message["type"] != _BODY or message.get("more_body", False)


async def _body(receive: Receive, limit: int) -> bytes | None:
    """None for a body that is longer than that. Raises ConnectionAbortedError where the client is gone before."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError("the client is gone")
        size += len(piece := message.get("body", b""))
        if size <= limit:
            pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces) if size <= limit else None


def _request(scope: Message, body: bytes) -> HttpRequest:
    raw = scope.get("raw_path")
    path = raw.partition(b"?")[0].decode("latin-1") if raw else quote(scope["path"])
    if (root := scope.get("root_path", "")) and path.startswith(root):
        path = path[len(root) :] or "/"
    headers = tuple([_received(name, value) for name, value in scope["headers"]])
    return HttpRequest(scope["method"], path, headers, scope.get("query_string", b"").decode("latin-1"), body)


@caches.of_headers
def _received(name: bytes, value: bytes) -> tuple[str, str]:
    """A request's header."""
    return name.decode("latin-1"), value.decode("utf-8", "surrogateescape")


@caches.of_headers
def _sent(name: str, value: str) -> tuple[bytes, bytes]:
    """An answer's header."""
    return name.lower().encode("latin-1"), value.encode("latin-1", "replace")


_START, _BODY = "http.response.start", "http.response.body"


class _Client:
    """Puts an answer into messages for the server; None stands for its end before it is whole."""

    def __init__(self) -> None:
        #: An asyncio.Queue takes a twentieth of the time of a request.
        self._messages: list[Message | None] = []
        self._awaited: asyncio.Future[None] | None = None
        self._bodiless = False

    async def messages(self) -> list[Message | None]:
        """The next messages, once there are any."""
        while not self._messages:
            self._awaited = asyncio.get_running_loop().create_future()
            await self._awaited
        messages, self._messages = self._messages, []
        return messages

    def answer(self, response: Response) -> None:
        self._put_head(response)
        self._put({"type": _BODY, "body": response.body})

    def begin(self, response: Response) -> None:
        self._put_head(response)
        self._bodiless = response.chunks is None
        if (response.status or 0) >= 400:  # as with TorchServe, nothing follows this head
            self._put(None)

    def chunk(self, data: bytes) -> None:
        if data and not self._bodiless:
            self._put({"type": _BODY, "body": data, "more_body": True})

    def end(self, complete: bool) -> None:
        self._put({"type": _BODY, "body": b""} if complete else None)

    def drop(self) -> None:
        """TorchServe leaves such a client waiting. An ASGI server does not: it answers 500 in its own words."""
        self._put(None)

    def _put_head(self, response: Response) -> None:
        headers = [sent for name, value in response.headers if (sent := _sent(name, value))[0] not in _OF_THE_SERVER]
        self._put({"type": _START, "status": response.status, "headers": headers})

    def _put(self, message: Message | None) -> None:
        self._messages.append(message)
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
