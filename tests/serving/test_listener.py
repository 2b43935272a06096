"""HTTP as clients speak it, and as they should not: the listener before an application without workers."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
from serving_apps import Connection, request
from waiting import soon

from handlerkit.serving.client_connection import ClientLimits
from handlerkit.serving.config import Config
from handlerkit.serving.frontend import Frontend
from handlerkit.serving.http import HttpRequest, Response
from handlerkit.serving.listener import Listener
from handlerkit.serving.models.running_model import Client

Respond = Callable[[HttpRequest, Client], Any]


class Application:
    """What a listener needs of one: `respond` answers what the frontend lets through."""

    def __init__(self, respond: Respond, config: Config) -> None:
        self.config = config
        self.received: list[HttpRequest] = []
        self._frontend = Frontend("m", "1.0", config)
        self._respond = respond

    def receive(self, request: HttpRequest, client: Client) -> None:
        queued = self._frontend.receive(request)
        if isinstance(queued, Response):
            client.answer(queued)
        else:
            self.received.append(request)
            self._respond(request, client)

    def refuse(self, status: int, kind: str, message: str) -> Response:
        return self._frontend.error(status, kind, message)


def echo(request: HttpRequest, client: Client) -> None:
    client.answer(answer(request.body))


def answer(body: bytes) -> Response:
    return Response(200, "", (("content-length", str(len(body))), ("connection", "keep-alive")), body)


class Listening:
    def __init__(self, application: Application, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self.application, self.listener, self.loop = application, listener, loop
        self.port = listener.addresses[0][1]

    def connect(self, timeout: float = 20) -> Connection:
        return Connection(self.port, timeout)

    def stopping(self, grace: float) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(self.listener.stop(grace), self.loop)


@contextmanager
def listening(
    respond: Respond = echo, limits: ClientLimits | None = None, config: Config | None = None
) -> Iterator[Listening]:
    application = Application(respond, config or Config())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listener = Listener(application, limits)  # type: ignore[arg-type]

    def run(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)

    try:
        run(listener.start(port=0))
        yield Listening(application, listener, loop)
    finally:
        run(listener.stop(0))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


PATH = "/predictions/m"


class TestRequests:
    def test_a_connection_carries_many(self) -> None:
        with listening() as app, app.connect() as connection:
            for body in (b"one", b"", b"three" * 100_000):
                connection.send(request("POST", PATH, (), body))
                assert connection.receive().body == body

    def test_casing_order_and_repetition_of_headers_are_kept(self) -> None:
        headers = (("X-b", "1"), ("x-A", "2"), ("X-B", "3"), ("Empty", ""), ("utf-8", "é"), ("latin", "\udce9"))
        with listening() as app, app.connect() as connection:
            connection.send(f"GET {PATH} HTTP/1.1\r\n".encode() + lines(headers))
            connection.receive()
            assert app.application.received[0].headers == headers

    def test_target_and_query_are_as_they_came(self) -> None:
        with listening() as app, app.connect() as connection:
            connection.send(request("GET", PATH + "/1.0/%C3%A9?a=%20b&a=c"))
            connection.receive()
            (got,) = app.application.received
            assert (got.path, got.query) == (PATH + "/1.0/%C3%A9", "a=%20b&a=c")

    def test_pipelined_ones_are_answered_in_order(self) -> None:
        bodies = [str(number).encode() for number in range(2000)]
        with listening() as app, app.connect() as connection:
            sender = threading.Thread(
                target=connection.send, args=(b"".join(request("POST", PATH, (), body) for body in bodies),)
            )
            sender.start()
            assert [connection.receive().body for _ in bodies] == bodies
            sender.join()

    def test_pipelined_ones_wait_for_the_answer_before(self) -> None:
        waiting: list[Client] = []
        with listening(lambda _, client: waiting.append(client)) as app, app.connect() as connection:
            connection.send(request("POST", PATH, (), b"1") + request("POST", PATH, (), b"2"))
            assert soon(lambda: waiting)
            time.sleep(0.1)
            assert len(waiting) == 1
            app.loop.call_soon_threadsafe(waiting[0].answer, answer(b"first"))
            assert connection.receive().body == b"first"
            assert soon(lambda: len(waiting) == 2)
            app.loop.call_soon_threadsafe(waiting[1].answer, answer(b"second"))
            assert connection.receive().body == b"second"

    def test_a_fault_of_the_server_is_an_answer_too(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(request: HttpRequest, client: Client) -> None:
            if request.body == b"fail":
                raise LookupError("a fault")
            echo(request, client)

        with listening(fail) as app, app.connect() as connection:
            connection.send(request("POST", PATH, (), b"fail") + request("POST", PATH, (), b"next"))
            answer = connection.receive()
            assert (answer.status, answer.header("connection")) == (500, "close")
            assert connection.is_closed()
        assert "LookupError: a fault" in caplog.text

    def test_a_byte_at_a_time(self) -> None:
        with listening() as app, app.connect() as connection:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request("POST", PATH, (("X-Long", "a" * 50),), b"body"):
                connection.send(bytes([byte]))
            assert connection.receive().body == b"body"

    def test_chunks_with_extensions_and_a_trailer(self) -> None:
        head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        with listening() as app, app.connect() as connection:
            connection.send(
                head + b"3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: t\r\n\r\n" + request("POST", PATH, (), b"2")
            )
            assert connection.receive().body == b"abcd"
            assert connection.receive().body == b"2"

    def test_a_client_that_wants_to_be_asked_for_the_body(self) -> None:
        with listening() as app, app.connect() as connection:
            whole = request("POST", PATH, (("Expect", "100-continue"),), b"body")
            connection.send(whole[:-4])
            assert (connection.line(), connection.line()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
            connection.send(whole[-4:])
            assert connection.receive().body == b"body"

    def test_one_that_expects_something_else_is_refused_before_its_body(self) -> None:
        with listening() as app, app.connect() as connection:
            connection.send(request("POST", PATH, (("Expect", "x"),), b"body")[:-4])
            assert connection.receive()[:2] == (417, "Expectation Failed")
            connection.send(b"body" + request("POST", PATH, (), b"next"))
            assert connection.receive().body == b"next"

    def test_the_first_expectation_counts(self) -> None:
        with listening() as app, app.connect() as connection:
            connection.send(request("POST", PATH, (("Expect", "100-continue"), ("Expect", "x")), b"body"))
            assert (connection.line(), connection.line()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
            assert connection.receive().body == b"body"
            connection.send(request("POST", PATH, (("Expect", "x"), ("Expect", "100-continue")), b"body"))
            assert connection.receive().status == 417
            connection.send(request("POST", PATH, (), b"next"))
            assert connection.receive().body == b"next"

    def test_an_http_1_0_client_is_asked_for_nothing(self) -> None:
        with listening() as app, app.connect() as connection:
            head = f"POST {PATH} HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
            connection.send(head.encode() + b"body")
            got = connection.receive()
            assert (got.status, got.body) == (200, b"body")

    def test_a_target_that_is_not_escaped_is_read_as_latin_1(self) -> None:
        with listening() as app, app.connect() as connection:
            for target in (PATH + "/1.0/é", PATH + "?é=ü"):
                connection.send(f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\né".encode())
                assert connection.receive().body == "é".encode()
            first, second = app.application.received
            assert (first.path, second.query) == (PATH + "/1.0/%C3%83%C2%A9", "%C3%83%C2%A9=%C3%83%C2%BC")
            connection.send("GET /predictions/é HTTP/1.1\r\n\r\n".encode())
            assert '"Model not found: Ã©"' in connection.receive().body.decode()

    def test_an_upgrade_is_not_made(self) -> None:
        headers = (("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQ"))
        with listening() as app, app.connect() as connection:
            connection.send(request("GET", PATH, headers) + request("POST", PATH, (), b"next"))
            assert connection.receive().status == 200
            assert connection.receive().body == b"next"

    @pytest.mark.parametrize("version", ["HTTP/1.1\r\nConnection: close", "HTTP/1.0"])
    def test_a_connection_is_closed_where_the_client_asks_for_it(self, version: str) -> None:
        with listening() as app, app.connect() as connection:
            connection.send(f"GET {PATH} {version}\r\nHost: a\r\n\r\n".encode() + request("GET", PATH))
            assert connection.receive().status == 200
            assert connection.is_closed()

    def test_a_client_that_half_closes_gets_its_answer(self) -> None:
        waiting: list[Client] = []
        with listening(lambda _, client: waiting.append(client)) as app, app.connect() as connection:
            connection.send(request("GET", PATH))
            connection.socket.shutdown(socket.SHUT_WR)
            assert soon(lambda: waiting)
            time.sleep(0.1)
            app.loop.call_soon_threadsafe(waiting[0].answer, answer(b"late"))
            assert connection.receive().body == b"late"
            assert connection.is_closed()

    def test_a_client_that_is_gone_harms_nobody(self) -> None:
        waiting: list[Client] = []
        with listening(lambda _, client: waiting.append(client)) as app:
            with app.connect() as connection:
                connection.send(request("GET", PATH))
                assert soon(lambda: waiting)
            app.loop.call_soon_threadsafe(waiting[0].begin, Response(200, "", (), chunks=()))
            app.loop.call_soon_threadsafe(waiting[0].chunk, b"piece")
            app.loop.call_soon_threadsafe(waiting[0].end, True)
            assert soon(lambda: not app.listener.connections)
            with app.connect() as connection:
                connection.send(request("GET", PATH))
                assert soon(lambda: len(waiting) == 2)


class TestTooLarge:
    CONFIG = Config(max_request_size=10)

    def test_a_long_body_is_refused_by_its_length(self) -> None:
        with listening(config=self.CONFIG) as app, app.connect() as connection:
            connection.send(request("POST", PATH, (("Content-Length", "11"),)))
            got = connection.receive()
            assert (got.status, got.reason, got.headers) == (
                413,
                "Request Entity Too Large",
                (("content-length", "0"),),
            )
            connection.send(b"x" * 11 + request("POST", PATH, (), b"next"))  # and the connection goes on
            assert connection.receive().body == b"next"

    def test_a_client_that_waits_is_told_before_it_sends(self) -> None:
        with listening(config=self.CONFIG) as app, app.connect() as connection:
            connection.send(request("POST", PATH, (("Expect", "100-continue"), ("Content-Length", "11"))))
            assert connection.receive().status == 413

    def test_chunks_are_refused_when_they_are_too_many(self) -> None:
        with listening(config=self.CONFIG) as app, app.connect() as connection:
            connection.send(f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            connection.send(b"6\r\nabcdef\r\n" * 2)
            got = connection.receive()
            assert (got.status, got.headers) == (413, (("content-length", "0"), ("connection", "close")))
            assert connection.is_closed()

    @pytest.mark.parametrize("version", ["HTTP/1.1\r\nConnection: close", "HTTP/1.0"])
    def test_a_client_that_closes_is_told_that_the_connection_does(self, version: str) -> None:
        with listening(config=self.CONFIG) as app, app.connect() as connection:
            connection.send(f"POST {PATH} {version}\r\nContent-Length: 11\r\n\r\n".encode() + b"x" * 11)
            got = connection.receive()
            assert (got.status, got.header("connection")) == (413, "close")
            assert connection.is_closed()

    def test_a_long_head_is_refused(self) -> None:
        with listening() as app, app.connect() as connection:
            connection.send(request("GET", PATH, (("X", "a" * 9000),)))
            assert connection.receive().status == 400
            assert connection.is_closed()

    def test_a_head_without_an_end_is_refused(self) -> None:
        with listening() as app, app.connect() as connection:
            connection.send(f"GET {PATH} HTTP/1.1\r\nX: ".encode())
            assert sends_until_cut(connection, b"a" * 10_000, 0.005) < 5


#: What is no HTTP, from the tests of HTTP parsers (llhttp, h11, Netty) and of smuggling.
MALFORMED = {
    "no target": b"GET\r\n\r\n",
    "no version": b"GET /ping\r\nHost: a\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "no such version": b"GET /ping HTTP/x.y\r\n\r\n",
    "an unknown protocol": b"GET /ping HTTPS/1.1\r\n\r\n",
    "a TLS client": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "zeros": b"\0" * 100,
    "no colon": b"GET /ping HTTP/1.1\r\nHost\r\n\r\n",
    "an empty name": b"GET /ping HTTP/1.1\r\n: value\r\n\r\n",
    "a space before the colon": b"GET /ping HTTP/1.1\r\nHost : a\r\n\r\n",
    "a space in a name": b"GET /ping HTTP/1.1\r\nHo st: a\r\n\r\n",
    "a zero in a name": b"GET /ping HTTP/1.1\r\nHo\0st: a\r\n\r\n",
    "a zero in a value": b"GET /ping HTTP/1.1\r\nHost: a\0b\r\n\r\n",
    "a carriage return in a value": b"GET /ping HTTP/1.1\r\nHost: a\rb\r\n\r\n",
    "a folded header": b"GET /ping HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    "two lengths": b"POST /p HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "no length": b"POST /p HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    "an empty length": b"POST /p HTTP/1.1\r\nContent-Length:\r\n\r\n",
    "a negative length": b"POST /p HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "a length with a sign": b"POST /p HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
    "a length beyond 64 bits": b"POST /p HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
    "a length and chunks": b"POST /p HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an encoding that is none": b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n",
    "no chunk's size": b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    "a chunk's size beyond 64 bits": b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "a chunk that is too long": b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
}


class TestMalformed:
    @pytest.mark.parametrize("message", [pytest.param(message, id=name) for name, message in MALFORMED.items()])
    def test_is_answered_400_and_the_connection_closed(self, message: bytes) -> None:
        with listening() as app:
            with app.connect() as connection:
                connection.send(message)
                got = connection.receive()
                assert got[:2] == (400, "Bad Request")
                assert b'"message": "Invalid HTTP message."' in got.body
                assert connection.is_closed()
            with app.connect() as connection:  # and the next client is served
                connection.send(request("GET", PATH))
                assert connection.receive().status == 200
            assert len(app.application.received) == 1

    def test_what_came_before_is_answered_first(self) -> None:
        with listening() as app, app.connect() as connection:
            connection.send(request("POST", PATH, (), b"good") + b"bad\r\n\r\n" + request("POST", PATH, (), b"never"))
            assert connection.receive().body == b"good"
            assert connection.receive().status == 400
            assert connection.is_closed()


class TestAnswers:
    def test_reason_casing_and_order_stand_as_they_are(self) -> None:
        headers = (("X-b", "1"), ("x-A", "2"), ("content-length", "2"))
        response = Response(777, "My Own", headers, b"ok")
        with listening(lambda _, client: client.answer(response)) as app, app.connect() as connection:
            connection.send(request("GET", PATH))
            assert connection.receive() == (777, "My Own", headers, b"ok", None, True)

    def test_one_that_says_close_closes(self) -> None:
        response = Response(503, "", (("content-length", "0"), ("connection", "close")))
        with listening(lambda _, client: client.answer(response)) as app, app.connect() as connection:
            connection.send(request("GET", PATH) + request("GET", PATH))
            assert connection.receive().status == 503
            assert connection.is_closed()

    @pytest.mark.parametrize(("body", "sent"), [(b"whole", b"5\r\nwhole\r\n0\r\n\r\n"), (b"", b"0\r\n\r\n")])
    def test_one_whose_handler_asks_for_chunks_has_them(self, body: bytes, sent: bytes) -> None:
        headers = (("Transfer-Encoding", "chunked"), ("content-length", str(len(body))))
        response = Response(200, "", headers, body, chunks=(body,) if body else ())
        with listening(lambda _, client: client.answer(response)) as app, app.connect() as connection:
            connection.send(request("GET", PATH))
            assert connection.receive().body == body
            connection.send(request("GET", PATH))
            while connection.line() != b"\r\n":
                pass
            assert b"".join(connection.line() for _ in range(sent.count(b"\n"))) == sent

    def test_pieces_leave_when_they_come(self) -> None:
        waiting: list[Client] = []
        with listening(lambda _, client: waiting.append(client)) as app, app.connect() as connection:
            connection.send(request("GET", PATH))
            assert soon(lambda: waiting)
            (client,) = waiting
            head = Response(200, "", (("transfer-encoding", "chunked"),), chunks=())
            app.loop.call_soon_threadsafe(client.begin, head)
            assert connection.line() == b"HTTP/1.1 200 \r\n"
            assert connection.line() + connection.line() == b"transfer-encoding: chunked\r\n\r\n"
            for piece in (b"one", b"two"):
                app.loop.call_soon_threadsafe(client.chunk, piece)
                assert connection.line() + connection.line() == b"3\r\n%b\r\n" % piece
            app.loop.call_soon_threadsafe(client.chunk, b"")  # is none
            app.loop.call_soon_threadsafe(client.end, True)
            assert connection.line() + connection.line() == b"0\r\n\r\n"
            connection.send(request("GET", PATH))
            assert soon(lambda: len(waiting) == 2)

    def test_a_stream_that_is_not_complete_is_cut(self) -> None:
        def respond(_: HttpRequest, client: Client) -> None:
            client.begin(Response(200, "", (("transfer-encoding", "chunked"),), chunks=()))
            client.chunk(b"piece")
            client.end(False)

        with listening(respond) as app, app.connect() as connection:
            connection.send(request("GET", PATH))
            got = connection.receive()
            assert (got.chunks, got.complete) == ((b"piece",), False)

    def test_the_head_of_a_stream_that_fails_closes(self) -> None:
        def respond(_: HttpRequest, client: Client) -> None:
            client.begin(Response(404, "", (("transfer-encoding", "chunked"), ("connection", "close")), chunks=()))
            client.chunk(b"piece")
            client.end(True)

        with listening(respond) as app, app.connect() as connection:
            connection.send(request("GET", PATH))
            got = connection.receive()
            assert (got.status, got.chunks, got.complete) == (404, (), False)


class TestSlowClients:
    def test_a_head_takes_too_long(self) -> None:
        with listening(limits=ClientLimits(head=0.5)) as app, app.connect() as connection:
            connection.send(b"GET /ping HTTP/1.1\r\n")
            assert ended(connection, 0.3) < 4

    def test_a_head_that_trickles_takes_too_long(self) -> None:
        with listening(limits=ClientLimits(head=1)) as app, app.connect() as connection:
            connection.send(b"GET /ping HTTP/1.1\r\nX: ")
            assert 0.5 < sends_until_cut(connection, b"X", 0.05) < 5

    def test_nothing_comes(self) -> None:
        with listening(limits=ClientLimits(head=0.5)) as app, app.connect() as connection:
            assert ended(connection, 0.3) < 4

    def test_no_further_request_comes(self) -> None:
        with listening(limits=ClientLimits(idle=0.5)) as app, app.connect() as connection:
            connection.send(request("GET", PATH))
            assert connection.receive().status == 200
            assert ended(connection, 0.3) < 4

    def test_a_body_trickles(self) -> None:
        with listening(limits=ClientLimits(stall=0.5, rate=1000)) as app, app.connect() as connection:
            connection.send(request("POST", PATH, (("Content-Length", "100000"),)))
            assert 0.3 < sends_until_cut(connection, b"x", 0.02) < 5

    def test_a_body_that_comes_slowly_but_steadily_is_waited_for(self) -> None:
        with listening(limits=ClientLimits(stall=0.5, rate=1000)) as app, app.connect() as connection:
            connection.send(request("POST", PATH, (("Content-Length", "6000"),)))
            for _ in range(6):
                connection.send(b"x" * 1000)
                time.sleep(0.3)
            assert len(connection.receive().body) == 6000

    def test_an_answer_is_not_read(self) -> None:
        def respond(_: HttpRequest, client: Client) -> None:
            client.answer(answer(bytes(32 << 20)))

        with listening(respond, ClientLimits(stall=0.5, rate=1 << 30)) as app, app.connect() as connection:
            connection.send(request("GET", PATH))
            begun = time.monotonic()
            assert soon(lambda: app.application.received)
            assert soon(lambda: not app.listener.connections)
            assert 0.3 < time.monotonic() - begun < 5

    def test_a_handler_may_take_its_time(self) -> None:
        waiting: list[Client] = []
        limits = ClientLimits(head=0.2, idle=0.2, stall=0.2)
        with listening(lambda _, client: waiting.append(client), limits) as app, app.connect() as connection:
            connection.send(request("GET", PATH))
            time.sleep(2)
            app.loop.call_soon_threadsafe(waiting[0].answer, answer(b"late"))
            assert connection.receive().body == b"late"


def test_one_connection_too_many_is_told_so() -> None:
    with listening(limits=ClientLimits(connections=2)) as app, app.connect() as first, app.connect() as second:
        for connection in (first, second):
            connection.send(request("GET", PATH))
            assert connection.receive().status == 200
        with app.connect() as third:
            assert third.receive().status == 503
            assert third.is_closed()
        first.send(request("GET", PATH))
        assert first.receive().status == 200


def test_stopping_lets_what_runs_be_answered_and_takes_no_more() -> None:
    waiting: list[Client] = []
    with listening(lambda _, client: waiting.append(client)) as app, app.connect() as busy, app.connect() as idle:
        busy.send(request("GET", PATH))
        assert soon(lambda: waiting)
        stopping = app.stopping(10)
        assert idle.is_closed()
        with pytest.raises(ConnectionError):
            app.connect()
        time.sleep(0.2)
        assert not stopping.done()
        app.loop.call_soon_threadsafe(waiting[0].answer, answer(b"last"))
        assert busy.receive().body == b"last"
        assert busy.is_closed()
        stopping.result(5)


def test_stopping_waits_no_longer_than_it_may() -> None:
    waiting: list[Client] = []
    with listening(lambda _, client: waiting.append(client)) as app, app.connect() as connection:
        connection.send(request("GET", PATH))
        assert soon(lambda: waiting)
        begun = time.monotonic()
        app.stopping(0.3).result(5)
        assert time.monotonic() - begun < 3
        assert connection.is_closed()


def lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    return "".join([*(f"{name}: {value}\r\n" for name, value in headers), "\r\n"]).encode("utf-8", "surrogateescape")


def sends_until_cut(connection: Connection, data: bytes, pause: float) -> float:
    """How long the other side reads such pieces."""
    begun = time.monotonic()
    try:
        while time.monotonic() - begun < 10:
            connection.send(data)
            time.sleep(pause)
    except OSError:
        return time.monotonic() - begun
    raise AssertionError("it reads on")


def ended(connection: Connection, least: float) -> float:
    """How long the other side waited until it closed the connection, which is at least so many seconds."""
    begun = time.monotonic()
    assert connection.is_closed(10)
    took = time.monotonic() - begun
    assert took > least
    return took


@pytest.mark.parametrize(
    "framing", ["Content-Length: 2\r\n\r\nhi", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"]
)
def test_a_request_that_asks_for_an_upgrade_keeps_its_body(framing: str) -> None:
    head = "POST /predictions/m HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    with listening(echo) as server, server.connect() as client:
        client.send((head + framing).encode() * 2)
        assert [client.receive().body for _ in range(2)] == [b"hi", b"hi"]
    assert [request.header("upgrade") for request in server.application.received] == ["h2c", "h2c"]


def test_many_requests_that_ask_for_an_upgrade() -> None:
    head = b"GET /predictions/m HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with listening(echo) as server, server.connect() as client:
        client.send(head * 2000)
        assert [client.receive().status for _ in range(2000)] == [200] * 2000


def test_a_trailer_is_no_part_of_the_head() -> None:
    head = b"POST /predictions/m HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    with listening(echo) as server, server.connect() as client:
        client.send(head + b"2\r\nhi\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
        assert client.receive().body == b"hi"
    assert server.application.received[0].header("authorization") is None


def test_a_trailer_without_end_is_refused() -> None:
    head = b"POST /predictions/m HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    with listening(echo) as server, server.connect() as client:
        client.send(head + b"2\r\nhi\r\n0\r\n" + b"A: b\r\n" * 50_000)
        assert client.receive().status == 400
    assert server.application.received == []


def test_who_does_not_read_gets_no_more_answers() -> None:
    def large(request: HttpRequest, client: Client) -> None:
        client.answer(answer(b"x" * 4_000_000))

    with listening(large) as server, server.connect() as client:
        client.send(b"GET /predictions/m HTTP/1.1\r\nHost: h\r\n\r\n" * 100)
        assert soon(lambda: server.application.received)
        time.sleep(0.2)
        begun = len(server.application.received)
        assert begun < 10
        assert all(len(client.receive().body) == 4_000_000 for _ in range(100))


def test_connections_leave_files_for_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (4, 4))
    with listening() as server, server.connect(), server.connect(), server.connect() as third:
        assert third.receive().status == 503
