"""Sockets that answer prepared bytes, in plain text and in TLS."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest


class Listener:
    """Answers each connection with the next bytes, and closes it; None leaves it open, and says nothing until the end.
    `heard` holds what came, head and body of up to 64 KiB."""

    def __init__(self, *answers: bytes | None, tls: ssl.SSLContext | None = None) -> None:
        self.heard: list[bytes] = []
        self.closed = Event()
        self.ends = Event()
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(5)
        self.port = self._socket.getsockname()[1]
        self._thread = Thread(target=self._answer, args=(answers,))
        self._thread.start()

    def _answer(self, answers: tuple[bytes | None, ...]) -> None:
        for answer in answers:
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                return
            with suppress(OSError), self._secured(connection) as secured:
                self.heard.append(secured.recv(65536))
                if answer is None:
                    self.ends.wait(10)
                else:
                    secured.sendall(answer)
                    _hang_up(secured)
            self.closed.set()

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        with connection:
            return self._tls.wrap_socket(connection, server_side=True)

    def close(self) -> None:
        self.ends.set()
        self._thread.join(5)
        self._socket.close()


def _hang_up(connection: socket.socket) -> None:
    """Say that no more comes, and take what the client still sends: closed before that, a socket resets the connection,
    and the client may lose the answer."""
    connection.settimeout(0.2)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Makes Listeners, which are closed after the test."""
    made: list[Listener] = []

    def make(*answers: bytes | None, tls: ssl.SSLContext | None = None) -> Listener:
        made.append(Listener(*answers, tls=tls))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """The file of a certificate for the name localhost, signed by itself, and the context of a server that has it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem"
    command += " -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context
