"""An application under load for long: requests that kill their worker, slow ones, and bytes that are no HTTP.

    python benchmarks/soak.py [--quick] [--requests N]

One request in a hundred ends its worker, one is slow, one is malformed, in an order that is drawn; the others are
answered with what they sent. Connections send their next request when they have the answer to their last one. A row
each: the requests without an answer of their own (a 503 or 500 that says so is one), the memory of the application's
own process at the end beside the one after a tenth, and the processes, sockets and files that are left.
"""

from __future__ import annotations

import argparse
import os
import random
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from app import application
from table import Row, render

from handlerkit import Model

CONNECTIONS, WORKERS = 16, 4
#: What the memory may grow by.
MEMORY = 1.1
_HANDLER = """\
import os, time

def handle(data, context):
    for row in data or ():
        if row["body"] == b"die":
            os._exit(1)
        if row["body"] == b"slow":
            time.sleep(0.2)
    return [row["body"] for row in data or ()]
"""
_GARBAGE = (
    b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n",
    b"POST /predictions/soak HTTP/1.1\r\nA\r\n\r\n",
)  # fmt: skip
#: Statuses that a request of a kind may be answered with; 503: the queue is full, or the worker is away.
_ALLOWED = {"echo": {200, 500, 503}, "die": {500, 503}, "slow": {200, 500, 503}, "malformed": {400, 404, 405}}
#: Seconds that an answer may take.
_PATIENCE = 300


def measure(quick: bool, requests: int | None = None) -> list[Row]:
    """The rows of this benchmark; `quick` sends 2,000 requests instead of 100,000."""
    total = requests or (2_000 if quick else 100_000)
    with tempfile.TemporaryDirectory() as name, _marked(name):
        folder = Path(name)
        (folder / "soak.py").write_text(_HANDLER)
        model = Model("soak", handler=folder / "soak.py")
        with application(folder, model, initial_workers=WORKERS) as app:
            own = psutil.Process(app.process.pid)
            soak = Soak(app.port, total, lambda: int(own.memory_full_info().uss))
            soak.run()
            sockets = _open_after(own, 5)
        left = [process for process in psutil.process_iter() if _is_marked(process, name)]
        files = [file for file in os.listdir(name) if file != "soak.py"]
    answered = ", ".join(f"{count:,} × {kind} {status}" for (kind, status), count in sorted(soak.statuses.items()))
    growth = soak.memory[-1] / soak.memory[0]
    nothing = "none"
    return [
        Row(f"{total:,} requests: without an answer", len(soak.wrong), 0, "", len(soak.wrong), nothing,
            not soak.wrong, f"{answered}; {soak.seconds:.0f} s" + "".join(f"; {one}" for one in soak.wrong[:5])),
        Row("memory at the end, beside that after a tenth", soak.memory[-1] / 2**20, soak.memory[0] / 2**20, "MB",
            growth, f"at most {MEMORY} ×", growth <= MEMORY,
            f"after each tenth: {', '.join(f'{used / 2**20:.1f}' for used in soak.memory)} MB"),
        Row("connections that are left open", sockets, 0, "", sockets, nothing, sockets == 0),
        Row("processes that are left", len(left), 0, "", len(left), nothing, not left),
        Row("files that are left", len(files), 0, "", len(files), nothing, not files),
    ]  # fmt: skip


@contextmanager
def _marked(folder: str) -> Iterator[None]:
    """What is started meanwhile has its temporary files there."""
    before, os.environ["TMPDIR"] = os.environ.get("TMPDIR"), folder
    try:
        yield
    finally:
        del os.environ["TMPDIR"]
        if before is not None:
            os.environ["TMPDIR"] = before


def _open_after(process: psutil.Process, seconds: float) -> int:
    """How many connections it has, once it had that long to hear that their clients are gone."""
    until = time.monotonic() + seconds
    while count := len(process.net_connections("tcp")) - 1:  # one listens
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    return count


def _is_marked(process: psutil.Process, folder: str) -> bool:
    try:
        return process.pid != os.getpid() and bool(process.environ().get("TMPDIR") == folder)
    except psutil.Error:
        return False


class Soak:
    """So many requests to a port, and what came of them.

    Attributes:
        statuses: how often a kind of request got a status.
        wrong: requests without an answer that belongs to them, as sentences.
        memory: bytes that `used` told, after a tenth of the requests and after each further one.
    """

    def __init__(self, port: int, total: int, used: Callable[[], int]) -> None:
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []
        self.memory: list[int] = []
        self.seconds = 0.0
        self._port, self._total, self._used = port, total, used
        self._sent = self._done = 0
        self._random = random.Random(total)

    def run(self) -> None:
        """Send them all, and wait for their answers."""
        begun = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for _ in range(CONNECTIONS):
                self._send(selector, None)
            while self._done < self._total:
                ready = selector.select(_PATIENCE)
                if not ready:
                    self.wrong.append(f"{self._sent - self._done} requests had no answer for {_PATIENCE} s")
                    break
                for key, _ in ready:
                    self._receive(selector, key.data)
        self.seconds = time.monotonic() - begun

    def _send(self, selector: selectors.BaseSelector, client: _Client | None) -> None:
        if self._sent == self._total:
            if client is not None:
                selector.unregister(client.socket)
                client.socket.close()
            return
        if client is None:
            client = _Client(self._port)
            selector.register(client.socket, selectors.EVENT_READ, client)
        drawn = self._random.random()
        kind = "die" if drawn < 0.01 else "slow" if drawn < 0.02 else "malformed" if drawn < 0.03 else "echo"
        self._sent += 1
        client.send(kind, self._sent)

    def _receive(self, selector: selectors.BaseSelector, client: _Client) -> None:
        answer = client.receive()
        if answer is None:
            return
        status, body = answer
        self._done += 1
        self.statuses[client.kind, status] += 1
        if status not in _ALLOWED[client.kind] or (status == 200 and body != client.expected):
            self.wrong.append(f"{client.kind} was answered {status or 'nothing'} {body[:60]!r}")
        if self._done % (self._total // 10) == 0:
            self.memory.append(self._used())
        if client.closes or not status:
            selector.unregister(client.socket)
            client.socket.close()
            self._send(selector, None)
        else:
            self._send(selector, client)


class _Client:
    """A connection, and the request that waits on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.kind = ""
        self.expected = b""
        self.closes = False
        self._got = b""

    def send(self, kind: str, number: int) -> None:
        """Send a request of that kind."""
        self.kind, self._got = kind, b""
        self.expected = kind.encode() if kind in ("die", "slow") else b"%d" % number
        if kind == "malformed":
            self.socket.sendall(_GARBAGE[number % len(_GARBAGE)])
            return
        head = b"POST /predictions/soak HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n"
        self.socket.sendall(b"%sContent-Length: %d\r\n\r\n%s" % (head, len(self.expected), self.expected))

    def receive(self) -> tuple[int, bytes] | None:
        """The status and the body; 0 for a connection that was closed without; None where more is to come."""
        try:
            piece = self.socket.recv(1 << 16)
        except ConnectionError:
            piece = b""
        self._got += piece
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end:
            return None if piece else (0, self._got)
        low = head.lower()
        size = int(low.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if len(body) < size:
            return None if piece else (0, self._got)
        self.closes = b"connection: close" in low
        return int(head.split(b" ", 2)[1]), body


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2,000 requests")
    parser.add_argument("--requests", type=int, help="so many")
    asked = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    rows = measure(asked.quick, asked.requests)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
