"""Why a server gave no answer, not all of it, or one that comes from before the model, in plain words."""

from __future__ import annotations

import socket
import ssl
from http.client import BadStatusLine, HTTPException, RemoteDisconnected

from handlerkit.endpoints.http.address import Address
from handlerkit.endpoints.http.client import Outgoing, ReceivedResponse, TooLargeError
from handlerkit.formatting import byte_size, printable, shorten
from handlerkit.messages import Finding, Response
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.http import lookup

#: Reasons of OpenSSL's for bytes that are no TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL")
#: How an alert of TLS begins, which is what a server with TLS sends to plain HTTP.
_ALERT = "\x15\x03"
#: What TorchServe, nginx and Go's servers write to plain HTTP on a port of TLS.
_WANTS_TLS = (
    b"only accepts HTTPS requests",
    b"plain HTTP request was sent to HTTPS port",
    b"Client sent an HTTP request to an HTTPS server",
)
#: OpenSSL's codes: expired, not valid yet; another host name, another address.
_DATES, _NAMES = (10, 9), (62, 64)


def why(received: ReceivedResponse, address: Address, timeout: float | None) -> Finding | None:
    """The cause; None for an answer that came whole. `timeout` is in seconds."""
    if received.response.complete:
        return None
    if received.response.status is not None:
        message, fix = _broken_off(received, address, timeout)
    else:
        message, fix = _unanswered(received, address, timeout)
    return Finding("connection", message, fix=fix)


def refusal(response: Response, address: Address, request: Outgoing) -> Finding | None:
    """What to change about an answer that no model gave: a redirect, a token, or the wrong port; None for any other."""
    location = response.header("location")
    if response.status in (301, 302, 303, 307, 308) and location is not None:
        message = f"{address.url} redirects to {shorten(printable(location))}, and Remote follows no redirect."
        return Finding(
            "redirect", message, fix="If that is the server that is meant, name its URL.", severity="warning"
        )
    if response.status in (400, 403) and address.scheme == "http" and any(text in response.body for text in _WANTS_TLS):
        message, fix = _speaks_tls(address)
        return Finding("connection", message, fix=fix)
    if response.status == 401 or (response.status == 400 and _kind(response) == facts.INVALID_KEY):
        if lookup(request.headers, "authorization") is None:
            return Finding("token", f"{address.url} asks for a token.", fix="Give hk.Remote(url, token=...).")
        return Finding("token", f"{address.url} refuses the token.", fix="Check it, and whether it has expired.")
    if response.status == 404 and _kind(response) == facts.RESOURCE_NOT_FOUND and "/predictions/" in request.target:
        message = f"{address.place} answers as TorchServe, and not as its inference API."
        return Finding("port", message, fix="Name the port of the inference API, 8080 if nothing else is configured.")
    return None


def _kind(response: Response) -> object:
    """The "type" of an error's body, if it is of TorchServe's form."""
    try:
        return response.json()["type"]
    except (ValueError, KeyError, TypeError):
        return None


def _broken_off(received: ReceivedResponse, address: Address, timeout: float | None) -> tuple[str, str]:
    came = byte_size(len(received.response.body))
    if isinstance(received.failure, TimeoutError):
        return f"{address.place} sent {came} of its answer and then nothing for {timeout:g} s.", _LONGER
    if isinstance(received.failure, TooLargeError):
        return f"{address.place} sends more than anyone reads: {came} of its answer, and no end.", "Check the URL."
    return f"{address.place} broke off: the connection ended after {came} of the answer.", "Look into the server's log."


_LONGER = "If it needs longer, raise the time-out: hk.Remote(url, timeout=...), in seconds."


def _unanswered(received: ReceivedResponse, address: Address, timeout: float | None) -> tuple[str, str]:
    place, failure = address.place, received.failure
    secure, plain = f"https://{address.authority}", f"http://{address.authority}"
    match failure:
        case ssl.SSLCertVerificationError():
            return _certificate(failure, place)
        case ssl.SSLError(reason=reason) if reason in _NO_TLS:
            return f"{place} does not speak TLS, and the URL says https.", f"If plain HTTP is meant, write {plain}."
        case ssl.SSLError():
            return f"TLS with {place} fails: {_spoken(failure.reason or str(failure))}.", ""
        case socket.gaierror():
            asked = "Check the URL's spelling, and whether this network knows the name."
            return f"The name {address.host} cannot be resolved: {_spoken(failure.strerror or str(failure))}.", asked
        case ConnectionRefusedError():
            return f"Nothing listens at {place}.", "Start the server, or name the port that it listens on."
        case TimeoutError() if not received.connected:
            reached = "Check the host and the port, and whether a firewall lets this machine through."
            limit = f" within {timeout:g} s" if timeout is not None else ""
            return f"{place} accepts no connection{limit}.", reached
        case TimeoutError():
            return f"{place} accepts the request and sends nothing for {timeout:g} s.", _LONGER
        case BadStatusLine() if str(failure).startswith(_ALERT):
            return _speaks_tls(address)
        case RemoteDisconnected() | ConnectionError() | None:
            closed = "Look into the server's log."
            if address.scheme == "http":
                closed += f" If it speaks TLS, write {secure}."
            return f"{place} closes the connection without an answer.", closed
        case HTTPException():
            said = f"{type(failure).__name__}: {shorten(printable(str(failure)))}"
            return f"What {place} answers is not HTTP ({said}).", "Check the URL's port."
        case _:
            spoken = _spoken(getattr(failure, "strerror", None) or str(failure))
            return f"{place} cannot be reached: {spoken}.", "Check the host and the port."


def _speaks_tls(address: Address) -> tuple[str, str]:
    return f"{address.place} speaks TLS, and the URL says http.", f"Write https://{address.authority}."


def _certificate(failure: ssl.SSLCertVerificationError, place: str) -> tuple[str, str]:
    message = f"The certificate of {place} is not trusted: {_spoken(failure.verify_message)}."
    if failure.verify_code in _NAMES:
        return message, "Write the host as the certificate names it."
    if failure.verify_code in _DATES:
        return message, "Renew the server's certificate, and check this machine's clock."
    return message, 'Name the file of the CA that signed it: hk.Remote(url, verify_tls="ca.pem").'


def _spoken(text: str) -> str:
    """An error's own words inside a sentence."""
    return text.rstrip(".").replace("_", " ").lower() if text.isupper() else text.rstrip(".")
