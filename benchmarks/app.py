"""What serving/ as an application costs beside TorchServe: the same handler, the same load, in turn.

    python benchmarks/app.py [--quick]

Both serve an identity handler with one worker over loopback, in batches of 1 and of up to 8 (which wait for 5 ms), each
in processes of its own; blocks of load on one and on the other alternate. Load: so many connections, each of which
sends its next request when it has the answer to its last one, from this process, which waits for all of them in one
loop and does nothing else. A rate is the requests of all blocks by their time, a p99 that of all their requests. The
start is timed from the command to the first answer of the model, the memory is what the processes do not share with
others, and their part of what they share; it is taken before the load and after it, when both are idle again.

On a machine with other work the rates say more of who gets the processor than of either server: TorchServe's Java
spreads over more threads. As root, `chrt -r 1 python benchmarks/app.py` lets both go before all else.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from one_request import HANDLER, jpeg
from table import Row, render

from handlerkit import Model, Request, Server

CONNECTIONS = (1, 8, 32)
#: batch_size and max_batch_delay (ms).
BATCHES = ((1, 100), (8, 5))
#: What the application is to reach, as a multiple of TorchServe's requests/s.
LEAST = {"JSON": 1.0, "JPEG, 200 KB": 1.3}
START, MEMORY, WORKERS = 2.0, 0.6, 1.9
_SLEEPS = """\
import time

def handle(data, context):
    if data:
        time.sleep(0.02)
    return ["" for row in data or ()]
"""


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes fewer and shorter blocks."""
    blocks, seconds = (3, 1.0) if quick else (6, 2.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            *_loads(folder, blocks, seconds), *_starts(folder, 1 if quick else 3), *_workers(folder, blocks, seconds)
        ]  # fmt: skip


def _loads(folder: Path, blocks: int, seconds: float) -> Iterator[Row]:
    messages = {
        "JSON": post("application/json", json.dumps([index / 7 for index in range(10)]).encode()),
        "JPEG, 200 KB": post("image/jpeg", jpeg()),
    }
    (folder / "identity.py").write_text(HANDLER)
    model = Model("identity", handler=folder / "identity.py")
    for size, delay in BATCHES:
        asked = {"batch_size": size, "max_batch_delay": delay}
        with Server(model, token_auth=False, **asked) as server, application(folder, model, **asked) as app:
            if size == 1:
                yield _idle_memory("which has answered nothing yet", app, server)
            servers = {"app": app.port, "torchserve": int(server.url.rpartition(":")[2])}
            for kind, message in messages.items():
                for connections in CONNECTIONS:
                    loads = {name: Load() for name in servers}
                    for block in range(blocks + 1):
                        for name, port in servers.items():
                            loads[name].run(port, message, connections, seconds, counts=block > 0)
                    what = f"{kind}, batch {size}, {connections} connection{'s' * (connections > 1)}"
                    waits = f"each request waits on both for the whole max_batch_delay of {delay} ms"
                    yield from _compare(what, kind, loads, waits if connections < size else "")
            if size == 1:
                yield _idle_memory("after all this load", app, server)


def _idle_memory(when: str, app: App, server: Server) -> Row:
    """With one worker each."""
    (java,) = psutil.Process(server._running()._process._watchdog.pid).children()
    used = {"app": memory(app.process.pid), "torchserve": memory(java.pid)}
    ratio = used["app"] / used["torchserve"]
    apart = f"without the worker, {_apart(app.process.pid)} beside {_apart(java.pid)} MB"
    return Row(
        f"memory with one idle worker, {when}", used["app"] / 2**20, used["torchserve"] / 2**20, "MB", ratio,
        f"at most {MEMORY} ×", ratio <= MEMORY, apart,
    )  # fmt: skip


def _compare(what: str, kind: str, loads: dict[str, Load], note: str) -> Iterator[Row]:
    ours, other = loads["app"], loads["torchserve"]
    least = LEAST[kind]
    ratio = ours.rate / other.rate
    yield Row(f"{what}: rate", ours.rate, other.rate, "/s", ratio, f"at least {least} ×", ratio >= least, note)
    for percent in (50, 99):
        mine, theirs = ours.percentile(percent) * 1e3, other.percentile(percent) * 1e3
        times = theirs / mine
        limit, ok = ("at least 1.0 × quicker", times >= 1.0) if percent == 99 else ("", True)
        yield Row(f"{what}: p{percent}", mine, theirs, "ms", times, limit, ok)


def _starts(folder: Path, rounds: int) -> Iterator[Row]:
    """From the command to the first answer."""
    model = Model("identity", handler=folder / "identity.py")
    ours, other = [], []
    message = post("application/json", b"[1]")
    for _ in range(rounds):
        begun = time.perf_counter()
        with application(folder, model) as app:
            Load().run(app.port, message, 1, 0.0)
            ours.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        with Server(model, token_auth=False) as server:
            server.predict(Request.json([1])).raise_for_status()
            other.append(time.perf_counter() - begun)
    yield Row.cheaper(
        "from the start to the first answer", statistics.median(ours), statistics.median(other), "s", START
    )


def _workers(folder: Path, blocks: int, seconds: float) -> Iterator[Row]:
    """Two workers against one, in turn."""
    (folder / "sleeps.py").write_text(_SLEEPS)
    model = Model("identity", handler=folder / "sleeps.py")
    message = post("application/json", b"[1]")
    with (
        application(folder, model, initial_workers=2) as of_two,
        application(folder, model, initial_workers=1) as of_one,
    ):
        loads = {of_two.port: Load(), of_one.port: Load()}
        for block in range(blocks + 1):
            for port, load in loads.items():
                load.run(port, message, 8, seconds, counts=block > 0)
    two, one = (load.rate for load in loads.values())
    yield Row(
        "a handler of 20 ms, two workers against one", two, one, "/s", two / one, f"at least {WORKERS} ×",
        two / one >= WORKERS,
    )  # fmt: skip


class Load:
    """The answers to one kind of load: how long each took, and how long all of them."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.seconds = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: int) -> float:
        """Seconds that so many of a hundred answers took at most."""
        return sorted(self.latencies)[min(len(self.latencies) - 1, len(self.latencies) * percent // 100)]

    def run(self, port: int, message: bytes, connections: int, seconds: float, counts: bool = True) -> None:
        """Send the message over that many connections for that long, at least once over each."""
        clients = [_Client(port, message) for _ in range(connections)]
        latencies: list[float] = []
        with selectors.DefaultSelector() as selector:
            for client in clients:
                selector.register(client.socket, selectors.EVENT_READ, client)
            begun = time.perf_counter()
            for client in clients:
                client.send()
            waiting = len(clients)
            while waiting:
                for key, _ in selector.select():
                    if (took := key.data.receive()) is not None:
                        latencies.append(took)
                        if time.perf_counter() - begun < seconds:
                            key.data.send()
                        else:
                            waiting -= 1
            elapsed = time.perf_counter() - begun
        for client in clients:
            client.socket.close()
        if counts:
            self.latencies += latencies
            self.seconds += elapsed


class _Client:
    """A connection whose answers are all of one size."""

    def __init__(self, port: int, message: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._message = message
        self._buffer = bytearray(1 << 20)
        self._got = self._size = 0
        self._sent = 0.0

    def send(self) -> None:
        self._sent = time.perf_counter()
        self.socket.sendall(self._message)

    def receive(self) -> float | None:
        """How long the answer took; None where more of it is to come."""
        size = self.socket.recv_into(memoryview(self._buffer)[self._got :])
        if not size:
            raise ConnectionError("the server closed the connection")
        self._got += size
        if not self._size:
            head, end, _ = bytes(self._buffer[: self._got]).partition(b"\r\n\r\n")
            if not end:
                return None
            if not head.startswith(b"HTTP/1.1 200"):
                raise AssertionError(head.decode())
            self._size = len(head) + 4 + int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if self._got < self._size:
            return None
        self._got = 0
        return time.perf_counter() - self._sent


class App:
    """An application in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port


@contextmanager
def application(folder: Path, model: Model, **asked: int) -> Iterator[App]:
    """The command, serving the model on a free port."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        staged = model.stage(Path(name, "model"))
        served = {"name": model.name, "version": "1.0", "model_dir": str(staged), "handler": model.handler, **asked}
        (Path(name) / "models.json").write_text(json.dumps({"models": [served]}))
        command = [sys.executable, "-m", "handlerkit.serving.serve", f"{name}/models.json", "--port", "0"]
        with (
            open(f"{name}/log", "w") as log,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True) as process,
        ):
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(Path(name, "log").read_text())
            try:
                yield App(process, int(line.rpartition(":")[2]))
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(30)


def memory(pid: int) -> int:
    """Bytes of a process and all that it started."""
    process = psutil.Process(pid)
    return sum(one.memory_full_info().pss for one in (process, *process.children(recursive=True)))


def _apart(pid: int) -> int:
    """Megabytes of a server and what it started, without its worker."""
    worker = max(psutil.Process(pid).children(recursive=True), key=lambda one: one.memory_info().rss)
    return (memory(pid) - memory(worker.pid)) >> 20


def post(kind: str, body: bytes, path: str = "/predictions/identity") -> bytes:
    """A request as it is sent."""
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: load", "Accept: */*")
    return "\r\n".join([*lines, f"Content-Type: {kind}", f"Content-Length: {len(body)}", "", ""]).encode() + body


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter blocks")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
