"""What one request through an identity handler costs: in the kit, in TorchServe's own Python code alone, over HTTP.

    python benchmarks/one_request.py [--quick]

The kit's side is the whole of `worker.predict`, from the Request to the Run. Beside it is what a TorchServe worker
does with the same message: its `retrieve_msg` reads ready bytes from a stand-in for the socket, its `Service.predict`
calls the handler and encodes the answer, in this process, where its log lines go to a list. Blocks of both alternate;
the median block counts. The third way is a real TorchServe, asked by http.client on a connection that stays open.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from table import Row, render

from handlerkit import Model, Request, Server, Worker

CODE_LIMIT, HTTP_LIMIT = 5, 3
HANDLER = "def handle(data, context):\n    return [row['body'] for row in data or ()]\n"


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes fewer blocks."""
    blocks, served_blocks = (20, 8) if quick else (60, 20)
    requests = {
        "JSON, 10 floats": Request.json([index / 7 for index in range(10)]),
        "JPEG, 200 KB": Request(headers={"Content-Type": "image/jpeg"}, body=jpeg()),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        handler = Path(folder, "identity.py")
        handler.write_text(HANDLER)
        model = Model("identity", handler=handler)
        with Worker(model) as worker, Server(model) as server:
            for name, request in requests.items():
                _check(worker, server, request)
                theirs = _theirs(handler.parent, worker, request)
                kit, http = partial(worker.predict, request), partial(server.predict, request)
                code = alternate({"kit": kit, "code": theirs}, blocks, 200, around={"code": _worker_logs})
                served = alternate({"kit": kit, "http": http}, served_blocks, 100)
                times, cheaper = code["kit"] / code["code"], served["http"] / served["kit"]
                rows += [
                    Row(
                        f"{name}, beside TorchServe's Python code alone", code["kit"] * 1e6, code["code"] * 1e6, "µs",
                        times, f"at most {CODE_LIMIT} ×", times <= CODE_LIMIT,
                    ),
                    Row(
                        f"{name}, beside TorchServe over HTTP", served["kit"] * 1e6, served["http"] * 1e6, "µs",
                        cheaper, f"at least {HTTP_LIMIT} × cheaper", cheaper >= HTTP_LIMIT,
                    ),
                ]  # fmt: skip
    return rows


def alternate(
    ways: Mapping[str, Callable[[], Any]],
    blocks: int,
    calls: int,
    around: Mapping[str, Callable[[], AbstractContextManager[Any]]] = MappingProxyType({}),
) -> dict[str, float]:
    """Seconds a call of each way: the median of `blocks` blocks of `calls` calls, taken in turn; one more warms up.

    `around` names what is on during a way's blocks.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(blocks + 1):
        for name, call in ways.items():
            with around.get(name, nullcontext)():
                begun = time.perf_counter()
                for _ in range(calls):
                    call()
                seconds[name].append((time.perf_counter() - begun) / calls)
    return {name: statistics.median(taken[1:]) for name, taken in seconds.items()}


def _check(worker: Worker, server: Server, request: Request) -> None:
    """All answer alike, and the request's body is uncopied in the worker's message."""
    ours, theirs = worker.predict(request).raise_for_status(), server.predict(request).raise_for_status()
    if ours.response.body != theirs.response.body:
        raise AssertionError("the worker and the server answer different bytes")
    if not any(buffer is request.body for buffer in ours.call.message):
        raise AssertionError("the request's body was copied on its way into the worker's message")


def _theirs(model_dir: Path, worker: Worker, request: Request) -> Callable[[], Any]:
    """A call of TorchServe's own code with the message that `worker` makes of the request."""
    import ts
    from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
    from ts.model_loader import TsModelLoader
    from ts.protocol.otf_message_handler import retrieve_msg

    metrics = MetricsCacheYamlImpl(str(Path(ts.__file__).parent / "configs" / "metrics.yaml"))
    metrics.initialize_cache()
    (model_dir / "MAR-INF").mkdir(exist_ok=True)
    manifest = {"model": {"modelName": "identity", "handler": "identity.py", "modelVersion": "1.0"}}
    (model_dir / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
    sys.path.insert(0, str(model_dir))
    try:
        service = TsModelLoader().load("identity", str(model_dir), "identity.py", None, 1, metrics_cache=metrics)
    finally:
        sys.path.remove(str(model_dir))
    wire = b"".join(worker.predict(request).call.message)
    socket = _Wire(wire)
    service.set_cl_socket(socket)

    def call() -> Any:
        socket.at = 0
        return service.predict(retrieve_msg(socket)[1])

    return call


class _Wire:
    """Ready bytes, received as from a socket."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self.at = 0

    def recv(self, size: int) -> bytes:
        begin, self.at = self.at, self.at + size
        return self._message[begin : self.at]


@contextmanager
def _worker_logs() -> Iterator[None]:
    """The root logger as a worker has it, at INFO with one handler, which formats each message into a list."""

    class Listed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    lines: list[str] = []
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = [Listed()]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)


def jpeg() -> bytes:
    """A JPEG's markers around noise; the identity handler looks at none of it."""
    from random import Random

    return b"\xff\xd8" + Random(0).randbytes(200 * 1024 - 4) + b"\xff\xd9"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer blocks")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
