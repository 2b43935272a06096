"""Applications that listen, in a thread of their own, and a client that sees every byte."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from handlerkit.serving.application import Application
from handlerkit.serving.client_connection import ClientLimits
from handlerkit.serving.http import Headers
from handlerkit.serving.listener import Listener
from handlerkit.serving.models.served_model import ServedModel

ECHO = "def handle(data, context):\n    return [row['body'] for row in data or ()]\n"


def written(folder: Path, source: str = ECHO, name: str = "m", **asked: Any) -> ServedModel:
    """A model whose handler has that source."""
    (folder / "MAR-INF").mkdir(parents=True)
    manifest = {"model": {"modelName": name, "handler": "handler.py", "modelVersion": "1.0"}, "runtime": "python"}
    (folder / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
    (folder / "handler.py").write_text(source)
    return ServedModel(name, "1.0", str(folder), "handler.py", **asked)


class App:
    """An application and its listener, until the end of the `with` block."""

    def __init__(
        self,
        models: Iterable[ServedModel],
        config_properties: Mapping[str, Any] | None = None,
        limits: ClientLimits | None = None,
        **asked: Any,
    ) -> None:
        self.application = Application(models, config_properties, **asked)
        self._limits = limits
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="app")

    def __enter__(self) -> App:
        self._thread.start()
        try:
            self.run(self._start())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop(0)
        self._end()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine returns, on the application's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(150)

    def call(self, function: Callable[[], Any]) -> Any:
        """What a function returns there."""

        async def called() -> Any:
            return function()

        return self.run(called())

    def stop(self, grace: float) -> None:
        self.run(self.listener.stop(grace))
        self.run(self.application.stop(grace))

    def stopping(self, grace: float) -> Future[None]:
        """Stop, without waiting."""

        async def stop() -> None:
            await self.listener.stop(grace)
            await self.application.stop(grace)

        return asyncio.run_coroutine_threadsafe(stop(), self._loop)

    @property
    def port(self) -> int:
        return self.listener.addresses[0][1]

    def connect(self) -> Connection:
        return Connection(self.port)

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """One exchange on a connection of its own."""
        with self.connect() as connection:
            connection.send(request(method, target, headers, body))
            return connection.receive(method)

    async def _start(self) -> None:
        await self.application.start()
        self.listener = Listener(self.application, self._limits)
        await self.listener.start(port=0)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def uvicorn(folder: Path, models: Iterable[ServedModel], properties: Mapping[str, Any] | None = None) -> Iterator[int]:
    """The port of a uvicorn that serves them."""
    (folder / "app.py").write_text(
        "from handlerkit.serving.application import Application\n"
        "from handlerkit.serving.asgi import asgi\n"
        "from handlerkit.serving.models.served_model import ServedModel\n"
        f"app = asgi(lambda: Application({[*models]!r}, {properties!r}, any_casing=True, has_default=False))\n"
    )
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = ""
            while not (found := re.search(r"http://127.0.0.1:(\d+)", said)):
                said = process.stderr.readline()
                assert said, "uvicorn does not start"
            reading = threading.Thread(target=process.stderr.read)  # so that it never waits for a reader
            reading.start()
            yield int(found[1])
        finally:
            process.terminate()
            process.wait(30)
            reading.join()


class Answer(NamedTuple):
    """An answer as it was on the wire. `status` is None where the connection ended before; `complete`: to its end."""

    status: int | None
    reason: str = ""
    headers: Headers = ()
    body: bytes = b""
    chunks: tuple[bytes, ...] | None = None
    complete: bool = True

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


def request(method: str, target: str, headers: Headers = (), body: bytes = b"") -> bytes:
    """A message with a Content-Length where it has a body, and a Host where it names none."""
    given = {name.lower() for name, _ in headers}
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [] if "host" in given else ["Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    if (body or method not in ("GET", "HEAD", "DELETE", "OPTIONS")) and not given & {
        "content-length",
        "transfer-encoding",
    }:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """A connection to an application."""

    def __init__(self, port: int, timeout: float = 30) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        return self._file.readline()

    def receive(self, method: str = "POST") -> Answer:
        """The next answer."""
        try:
            return self._receive(method)
        except ConnectionResetError:
            return Answer(None, complete=False)

    def is_closed(self, wait: float = 2.0) -> bool:
        """Whether the other side closes it, without another byte."""
        self.socket.settimeout(wait)
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _receive(self, method: str) -> Answer:
        first = self._file.readline()
        if not first:
            return Answer(None, complete=False)
        version, status, reason = first.decode("latin-1").rstrip("\r\n").split(" ", 2)
        assert version == "HTTP/1.1"
        headers = []
        while (line := self._file.readline().decode("latin-1")) not in ("\r\n", ""):
            name, _, value = line.rstrip("\r\n").partition(": ")
            headers.append((name, value))
        answer = Answer(int(status), reason, tuple(headers))
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        if answer.header("transfer-encoding") == "chunked":
            return self._chunks(answer)
        size = int(answer.header("content-length") or 0)
        body = self._file.read(size)
        return answer._replace(body=body, complete=len(body) == size)

    def _chunks(self, answer: Answer) -> Answer:
        chunks: list[bytes] = []
        complete = False
        while (line := self._file.readline()).endswith(b"\r\n"):
            size = int(line, 16)
            data = self._file.read(size + 2)
            if not size:
                complete = data == b"\r\n"
                break
            chunks.append(data[:-2])
        return answer._replace(body=b"".join(chunks), chunks=tuple(chunks), complete=complete)
