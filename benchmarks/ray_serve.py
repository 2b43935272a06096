"""An exported app on Ray Serve beside TorchServe and LitServe: the same handler, the same load, in turn.

    python benchmarks/ray_serve.py [--quick]

Ray runs with one replica, with the variables that make it faster (RayServe's ha_proxy), and without a dashboard and
figures of its own, as RayServe starts it; each of the three serves an identity handler with one worker over loopback,
in the batches of app.py. Load, rates and p99 are those of app.py, too. LitServe is asked for JSON alone: it hands no
raw body to its code.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from app import BATCHES, Load, post
from one_request import HANDLER, jpeg
from peers import ANSWER, LitServe, SkippedError
from table import Row, render

from handlerkit import Model, RayServe, Server

CONNECTIONS = (1, 8, 32)
#: Seconds after the start in which Ray may start HAProxy again, which closes connections that are kept.
SETTLES = 5
#: What Ray is to reach, as a multiple of the other's requests/s.
LEAST = {"TorchServe": 0.6, "LitServe": 1.0}

#: Why one connection is answered sooner there.
EARLIER = "LitServe's window begins before the request comes, TorchServe's and the app's with it"


class Identity(LitServe):
    """LitServe with what comes in as its answer, in batches of up to `size` that wait `delay` milliseconds."""

    def __init__(self, work: Path, size: int, delay: int) -> None:
        super().__init__(work)
        api = f"Net(max_batch_size={size}, batch_timeout={delay / 1000})" if size > 1 else "Net()"
        self._program = self._PROGRAM.replace("Net()", api)

    service = """\
import litserve

class Net(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request

    def predict(self, request):
        return request

    def encode_response(self, output):
        return output
"""

    def start(self) -> int:
        """Start it; its port, once it answers. Raises SkippedError if it does not."""
        self._write(0)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        log = self._work / "litserve.log"
        self._process = self._start(self._program, str(port), log=log)
        deadline = time.monotonic() + ANSWER
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return port
            except OSError:
                time.sleep(0.05)
        raise self._ended(log)


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes fewer and shorter blocks."""
    if util.find_spec("ray") is None:
        return [Row.skipped("Ray Serve", "Ray is not installed")]
    blocks, seconds = (3, 1.0) if quick else (8, 2.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "identity.py").write_text(HANDLER)
        model = Model("identity", handler=folder / "identity.py")
        return [row for size, delay in BATCHES for row in _batch(folder, model, size, delay, blocks, seconds)]


def _batch(folder: Path, model: Model, size: int, delay: int, blocks: int, seconds: float) -> Iterator[Row]:
    """The rows of batches of up to that size, which wait so many milliseconds."""
    asked = {"batch_size": size, "max_batch_delay": delay}
    with RayServe(model, ha_proxy=True, target="here", **asked) as ray:
        port = int(ray.url.rpartition(":")[2])
        time.sleep(SETTLES)
        with Server(model, token_auth=False, **asked) as server:
            yield from _beside("TorchServe", size, int(server.url.rpartition(":")[2]), port, blocks, seconds)
        try:
            with Identity(folder, size, delay) as peer:
                yield from _beside("LitServe", size, peer.start(), port, blocks, seconds)
        except SkippedError as problem:
            yield Row.skipped(f"Ray Serve beside LitServe, batch {size}", str(problem))


def _beside(other: str, size: int, its_port: int, port: int, blocks: int, seconds: float) -> Iterator[Row]:
    kinds = {"JSON": ("application/json", json.dumps([index / 7 for index in range(10)]).encode())}
    if other == "TorchServe":
        kinds["JPEG, 200 KB"] = ("image/jpeg", jpeg())
    path = "/predict" if other == "LitServe" else "/predictions/identity"
    for kind, (content_type, body) in kinds.items():
        messages = {port: post(content_type, body), its_port: post(content_type, body, path)}
        for connections in CONNECTIONS:
            loads = {one: Load() for one in messages}
            for block in range(blocks + 1):
                for one, message in messages.items():
                    loads[one].run(one, message, connections, seconds, counts=block > 0)
            where = f"Ray Serve beside {other}, batch {size}, {kind}, {connections} connection{'s' * (connections > 1)}"
            ours, theirs, least = loads[port], loads[its_port], LEAST[other]
            ratio = ours.rate / theirs.rate
            note = EARLIER if other == "LitServe" and connections < size else ""
            yield Row(
                f"{where}: rate", ours.rate, theirs.rate, "/s", ratio, f"at least {least} ×", ratio >= least, note
            )
            for percent in (50, 99):
                mine, its = ours.percentile(percent) * 1e3, theirs.percentile(percent) * 1e3
                yield Row(f"{where}: p{percent}", mine, its, "ms", its / mine, "", True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter blocks")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
