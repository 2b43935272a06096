"""The HTTP client against a socket that answers a prepared text."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from handlerkit.endpoints.http.client import HttpClient, Outgoing
from handlerkit.errors import RequestError
from handlerkit.messages import Headers, Response

Ask = Callable[..., tuple[Response, bytes]]
OK = b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


def get(
    client: HttpClient, port: int, method: str = "GET", target: str = "/", headers: Headers = (), timeout: float = 5
) -> Response:
    (received,) = client.exchange(Outgoing(port, method, target, headers, timeout=timeout))
    return received.response


@pytest.fixture
def ask(client: HttpClient, listen: Callable[..., Any]) -> Ask:
    """Gives the Response read from these bytes, and the head that was sent."""

    def asked(answer: bytes, method: str = "POST", target: str = "/x", headers: Headers = ()) -> tuple[Response, bytes]:
        listener = listen(answer)
        response = get(client, listener.port, method, target, headers)
        listener.close()
        return response, listener.heard[0]

    return asked


def test_head_is_host_then_the_headers_as_given_then_the_length(ask: Ask) -> None:
    _, head = ask(OK, target="/a?b=%20c", headers=(("x-Odd", "1"), ("X-Odd", "2")))
    assert (
        head == b"POST /a?b=%20c HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nx-Odd: 1\r\nX-Odd: 2\r\nContent-Length: 0\r\n\r\n"
    )


def test_get_without_a_body_sends_no_length(ask: Ask) -> None:
    _, head = ask(OK, method="GET")
    assert b"Content-Length" not in head


def test_header_values_are_sent_as_utf_8(ask: Ask) -> None:
    _, head = ask(OK, headers=(("x-name", "café"),))
    assert "x-name: café".encode() in head


def test_repeated_headers_are_kept_in_wire_order(ask: Ask) -> None:
    response, _ = ask(b"HTTP/1.1 201 Made\r\nB: 1\r\na: 2\r\nB: 3\r\ncontent-length: 0\r\n\r\n")
    assert response == Response(201, "Made", (("B", "1"), ("a", "2"), ("B", "3"), ("content-length", "0")), b"")


def test_chunks_stay_apart(ask: Ask) -> None:
    response, _ = ask(b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n")
    assert (response.body, response.chunks, response.complete) == (b"abc", (b"ab", b"c"), True)


def test_chunks_have_the_seconds_at_which_they_came(ask: Ask) -> None:
    response, _ = ask(b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    first, second = response.arrivals
    assert 0 < first <= second < 60


@pytest.mark.parametrize("broken", [b"2\r\nab\r\n", b"2\r\nab\r\n5\r\n", b"2\r\nab\r\n5"])
def test_stream_without_its_end_is_incomplete(ask: Ask, broken: bytes) -> None:
    response, _ = ask(b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n" + broken)
    assert (response.status, response.chunks, response.complete) == (200, (b"ab",), False)


def test_body_shorter_than_announced_is_incomplete(ask: Ask) -> None:
    response, _ = ask(b"HTTP/1.1 200 \r\ncontent-length: 9\r\n\r\nshort")
    assert (response.body, response.complete) == (b"short", False)


def test_connection_closed_without_an_answer_has_no_status(ask: Ask) -> None:
    response, _ = ask(b"")
    assert response == Response(None, complete=False)


def test_silence_beyond_the_timeout_has_no_status(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        response = get(client, silent.getsockname()[1], timeout=0.1)
    assert response == Response(None, complete=False)


def test_port_that_nobody_listens_on_has_no_status(client: HttpClient, free_port: int) -> None:
    assert get(client, free_port).status is None


def test_connection_closed_while_idle_is_opened_again(client: HttpClient, listen: Callable[..., Any]) -> None:
    listener = listen(OK, OK)
    first = get(client, listener.port)
    assert listener.closed.wait(5)
    second = get(client, listener.port)
    assert (first.body, second.body) == (b"ok", b"ok")


@pytest.mark.parametrize(
    ("target", "headers"), [("/a b", ()), ("/a\r\nx: y", ()), ("/", (("x", "1\r\ny: 2"),)), ("/", (("x:y", "1"),))]
)
def test_head_that_is_not_http_is_an_error(client: HttpClient, target: str, headers: Headers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as untouched, pytest.raises(RequestError, match="not HTTP"):
        get(client, untouched.getsockname()[1], "GET", target, headers)


@pytest.mark.parametrize(("method", "status"), [("POST", b"304 Same"), ("HEAD", b"200 OK")])
def test_no_chunk_is_waited_for_where_no_body_follows(ask: Ask, method: str, status: bytes) -> None:
    head = b"HTTP/1.1 " + status + b"\r\ntransfer-encoding: chunked\r\n\r\n"
    response, _ = ask(head, method)
    assert (response.chunks, response.body, response.complete) == (None, b"", True)


@pytest.mark.parametrize("size", [b"-1", b"+2", b"0x2", b"zz", b"", b"1" * 16])
def test_chunk_size_that_is_none_breaks_the_answer_off(ask: Ask, size: bytes) -> None:
    response, _ = ask(b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n" + size + b"\r\nab\r\n0\r\n\r\n")
    assert (response.body, response.complete) == (b"", False)


def test_chunk_that_only_claims_a_size_takes_no_memory(ask: Ask) -> None:
    response, _ = ask(b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n7fffffffffffff\r\nab")
    assert (response.chunks, response.complete) == ((b"ab",), False)


def test_head_that_is_not_http_is_told_without_the_value(client: HttpClient, free_port: int) -> None:
    with pytest.raises(RequestError, match="its header 'authorization'") as raised:
        get(client, free_port, headers=(("authorization", "Bearer s3cret\n"),))
    assert "s3cret" not in str(raised.value)


def test_nothing_is_sent_if_one_of_several_cannot_be(client: HttpClient, listen: Callable[..., Any]) -> None:
    listener = listen(OK)
    good, bad = Outgoing(listener.port, "GET", "/"), Outgoing(listener.port, "GET", "/a b")
    with pytest.raises(RequestError):
        client.exchange(good, bad)
    listener.close()
    assert listener.heard == [b""]


def test_why_there_is_no_answer_comes_with_it(client: HttpClient, free_port: int) -> None:
    (received,) = client.exchange(Outgoing(free_port, "GET", "/", timeout=5))
    assert (type(received.failure), received.connected) == (ConnectionRefusedError, False)


def test_server_that_is_silent_is_waited_for_once(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts: list[float] = []
    settimeout = socket.socket.settimeout

    def noted(sock: socket.socket, timeout: float) -> None:
        timeouts.append(timeout)
        settimeout(sock, timeout)

    monkeypatch.setattr(socket.socket, "settimeout", noted)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        received = client.exchange(*[Outgoing(silent.getsockname()[1], "GET", "/", timeout=0.3)] * 3)
    assert {type(one.failure) for one in received} == {TimeoutError}
    assert timeouts[-2:] == [0.1, 0.1]


def test_connection_that_cannot_be_had_is_tried_once(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(connection: HTTPConnection) -> None:
        tried.append(connection)
        raise TimeoutError

    monkeypatch.setattr(HTTPConnection, "connect", refuse)
    received = client.exchange(*[Outgoing(1, "GET", "/", timeout=5)] * 3)
    assert ([type(one.failure) for one in received], len(tried)) == ([TimeoutError] * 3, 1)


def test_interrupt_closes_what_is_under_way(
    client: HttpClient, listen: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted: list[HTTPConnection] = []

    def interrupt(connection: HTTPConnection) -> None:
        interrupted.append(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(HTTPConnection, "getresponse", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get(client, listen(OK).port)
    assert [connection.sock for connection in interrupted] == [None]


def test_a_trailer_without_end_is_not_read_for_ever(ask: Ask) -> None:
    head = b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n"
    response, _ = ask(head + b"2\r\nab\r\n0\r\n" + b"A: b\r\n" * 200 + b"\r\n")
    assert (response.body, response.complete) == (b"ab", False)


@pytest.mark.parametrize("framing", [b"\r\n12345", b"transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n"])
def test_a_body_without_end_is_not_read_for_ever(ask: Ask, monkeypatch: pytest.MonkeyPatch, framing: bytes) -> None:
    monkeypatch.setattr("handlerkit.endpoints.http.client._LARGEST", 4)
    response, _ = ask(b"HTTP/1.1 200 \r\n" + framing)
    assert (response.status, response.complete) == (200, False)
