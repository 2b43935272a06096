"""Why there is no answer, in plain words: each cause as a socket makes it, and those that no test can make."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handlerkit.endpoints.http.address import Address
from handlerkit.endpoints.http.client import Outgoing, ReceivedResponse, TooLargeError
from handlerkit.endpoints.http.failures import refusal, why
from handlerkit.endpoints.remote import Remote
from handlerkit.messages import Finding, Request, Response

Listen = Callable[..., Any]
Certificate = tuple[Path, ssl.SSLContext]
NO_ROUTE = b'{"code": 404, "type": "ResourceNotFoundException", "message": "x"}'
PLAIN = b"HTTP/1.1 400 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def asked(url: str, **options: Any) -> Finding:
    """What is found where this is asked once."""
    with Remote(url, model="m", **options) as remote:
        run = remote.predict(Request(body=b"x"))
    (found,) = run.findings
    return found


def failed(failure: Exception, *, connected: bool = True, url: str = "https://h") -> str:
    """What is said of a failure before any answer."""
    found = why(ReceivedResponse(Response(None, complete=False), failure, connected), Address.read(url), 60)
    assert found is not None
    return str(found)


def test_whole_answer_has_no_cause() -> None:
    assert why(ReceivedResponse(Response(500)), Address.read("http://h"), 60) is None


def test_nobody_listens(free_port: int) -> None:
    assert asked(f"http://localhost:{free_port}").message == f"Nothing listens at localhost:{free_port}."


def test_certificate_that_nobody_signed(listen: Listen, certificate: Certificate) -> None:
    found = asked(f"https://localhost:{listen(b'', tls=certificate[1]).port}")
    assert "is not trusted: self-signed certificate." in found.message.replace("self signed", "self-signed")
    assert 'verify_tls="ca.pem"' in found.fix


def test_certificate_for_another_name(listen: Listen, certificate: Certificate) -> None:
    found = asked(f"https://127.0.0.1:{listen(b'', tls=certificate[1]).port}", verify_tls=certificate[0])
    assert "certificate is not valid for '127.0.0.1'" in found.message
    assert found.fix == "Write the host as the certificate names it."


def test_tls_to_a_server_without_it(listen: Listen) -> None:
    port = listen(PLAIN).port
    found = asked(f"https://localhost:{port}")
    assert found.message == f"localhost:{port} does not speak TLS, and the URL says https."
    assert found.fix == f"If plain HTTP is meant, write http://localhost:{port}."


def test_plain_http_to_a_server_that_closes_for_want_of_tls(listen: Listen, certificate: Certificate) -> None:
    port = listen(b"", tls=certificate[1]).port
    found = asked(f"http://localhost:{port}")
    assert found.message == f"localhost:{port} closes the connection without an answer."
    assert found.fix.endswith(f"If it speaks TLS, write https://localhost:{port}.")


def test_plain_http_to_a_server_that_answers_with_an_alert_of_tls(listen: Listen) -> None:
    port = listen(b"\x15\x03\x01\x00\x02\x02\x46").port
    assert asked(f"http://localhost:{port}").message == f"localhost:{port} speaks TLS, and the URL says http."


def test_what_is_no_http(listen: Listen) -> None:
    found = asked(f"http://localhost:{listen(b'220 mail.example ESMTP').port}")
    assert "is not HTTP (BadStatusLine: 220 mail.example ESMTP)" in found.message


def test_silence(listen: Listen) -> None:
    port = listen(None).port
    found = asked(f"http://localhost:{port}", timeout=0.1)
    assert found.message == f"localhost:{port} accepts the request and sends nothing for 0.1 s."
    assert "hk.Remote(url, timeout=...)" in found.fix


def test_answer_that_breaks_off(listen: Listen) -> None:
    port = listen(b"HTTP/1.1 200 \r\ncontent-length: 9\r\n\r\nfour").port
    found = asked(f"http://localhost:{port}")
    assert found.message == f"localhost:{port} broke off: the connection ended after 4 B of the answer."


def test_answer_that_stops_without_its_end(listen: Listen) -> None:
    found = why(
        ReceivedResponse(Response(200, body=b"four", complete=False), TimeoutError()), Address.read("http://h"), 2
    )
    assert found is not None
    assert found.message == "h:80 sent 4 B of its answer and then nothing for 2 s."


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (socket.gaierror(-2, "Name or service not known"), "The name h cannot be resolved: Name or service not known."),
        (OSError(113, "No route to host"), "h:443 cannot be reached: No route to host."),
        (ConnectionResetError(104, "reset"), "h:443 closes the connection without an answer. Look"),
    ],
)
def test_causes_that_this_machine_does_not_make(failure: Exception, says: str) -> None:
    assert failed(failure).startswith(says)


def test_no_connection_in_time() -> None:
    assert failed(TimeoutError(), connected=False).startswith("h:443 accepts no connection within 60 s.")


def test_certificate_that_has_expired() -> None:
    expired = ssl.SSLCertVerificationError(1, "x")
    expired.verify_code, expired.verify_message = 10, "certificate has expired"
    assert failed(expired).startswith("The certificate of h:443 is not trusted: certificate has expired. Renew")


def test_tls_that_fails_otherwise() -> None:
    refused = ssl.SSLError(1, "x")
    refused.reason = "TLSV1_ALERT_PROTOCOL_VERSION"
    assert failed(refused) == "TLS with h:443 fails: tlsv1 alert protocol version."


def refused(response: Response, *headers: tuple[str, str], url: str = "http://h", path: str = "/predictions/m") -> str:
    """What is said of an answer to a request with these headers."""
    return str(refusal(response, Address.read(url), Outgoing(80, "POST", path, headers)) or "")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b'{"status": "This TorchServe instance only accepts HTTPS requests"}'),
        (400, b"<center>The plain HTTP request was sent to HTTPS port</center>"),
        (400, b"Client sent an HTTP request to an HTTPS server."),
    ],
)
def test_servers_that_say_in_plain_http_that_they_speak_tls(status: int, body: bytes) -> None:
    assert refused(Response(status, body=body)) == "h:80 speaks TLS, and the URL says http. Write https://h."


def test_unauthorized_without_and_with_a_token() -> None:
    assert refused(Response(401)).startswith("http://h asks for a token.")
    assert refused(Response(401), ("authorization", "Bearer x")).startswith("http://h refuses the token.")


def test_redirect_of_another_kind_than_to_a_place_is_left_alone() -> None:
    assert refused(Response(304)) == refused(Response(302)) == ""


def test_port_of_another_api() -> None:
    assert refused(Response(404, body=NO_ROUTE)).startswith("h:80 answers as TorchServe, and not as its inference API.")
    assert refused(Response(404, body=NO_ROUTE), path="/nonsense") == ""


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"text", b"[" * 200_000])
def test_answers_of_a_model_have_no_cause(body: bytes) -> None:
    assert {refused(Response(status, body=body)) for status in (200, 400, 403, 404, 503)} == {""}


def test_an_answer_without_end() -> None:
    received = ReceivedResponse(Response(200, body=b"four", complete=False), TooLargeError())
    found = why(received, Address.read("http://h"), 2)
    assert found is not None
    assert found.message == "h:80 sends more than anyone reads: 4 B of its answer, and no end."
