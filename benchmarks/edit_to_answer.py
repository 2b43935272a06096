"""From an edit of the handler to its first answer: in a notebook with the kit, and in the loops of other tools.

    python benchmarks/edit_to_answer.py [--quick]

Each begins with the handler's file rewritten and ends when a tiny TorchScript model has answered as the new file says.
In the kit that is `worker.reload()` and a request; the edit changes `postprocess` (the model is kept), or `initialize`
too (it is loaded again). With TorchServe it is torch-model-archiver, unregister, register and a request, on a server
that runs already and over connections that stay open; its archiver is called in this process, which spares it an
interpreter's start. What LitServe and Ray Serve do is told in peers.py. All take turns, and the median counts; a turn
of the kit is five edits in a row.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from peers import REQUEST, LitServe, Ray, SkippedError
from table import Row, render

from handlerkit import Model, Request, Server, Worker

TORCHSERVE_LIMIT, LITSERVE_LIMIT, RAY_LIMIT = 300, 500, 5
IN_A_ROW = 5  # edits in the kit at each of its turns: so short that the first one mostly shows how the processor wakes
HANDLER = """\
from ts.torch_handler.base_handler import BaseHandler
import torch


class Handler(BaseHandler):
    def initialize(self, context):
        super().initialize(context)
        self.loaded = {loaded}

    def preprocess(self, data):
        return torch.tensor([row["body"] for row in data])

    def postprocess(self, output):
        return [{{"edit": {edit}, "output": row}} for row in output.tolist()]
"""


@dataclass(frozen=True)
class Way:
    """From an edit of that number to its answer; `after` is not timed."""

    answer: Callable[[int], bytes]
    in_a_row: int = 1
    after: Callable[[], None] = lambda: None


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes 2 turns instead of 8."""
    logging.basicConfig(level=logging.ERROR)  # torch-model-archiver warns of each archive it writes again
    request = Request.json(REQUEST)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        work = Path(folder)
        save_net(work / "net.pt")
        write(work / "handler.py", 0)
        server = running.enter_context(Server(archive(work)))
        parts: dict[str, list[tuple[float, float, float]]] = {"kept": [], "loaded": []}

        def kit(file: Path, reloads: bool) -> Callable[[int], bytes]:
            """With a worker of its own; where it `reloads`, each edit changes `initialize` too."""
            write(file, 0)
            worker = running.enter_context(Worker(Model("net", handler=file, serialized_file=work / "net.pt")))

            def answer(edit: int) -> bytes:
                begun = time.perf_counter()
                write(file, edit, loaded=edit if reloads else 0)
                written = time.perf_counter()
                worker.reload()
                reloaded = time.perf_counter()
                body = worker.predict(request).raise_for_status().response.body
                parts[file.stem].append((written - begun, reloaded - written, time.perf_counter() - reloaded))
                return body

            return answer

        def torchserve(edit: int) -> bytes:
            write(work / "handler.py", edit)
            server.register(archive(work))  # unregisters the one before
            return server.predict(request).raise_for_status().response.body

        ways = {
            "kept": Way(kit(work / "kept.py", reloads=False), IN_A_ROW),
            "loaded": Way(kit(work / "loaded.py", reloads=True), IN_A_ROW),
            "TorchServe": Way(torchserve),
        }
        edits, skipped = count(1), {}
        for way in ways.values():
            _timed(way, edits)  # each imports what it needs once
        for kind in (LitServe, Ray):
            try:
                peer = running.enter_context(kind(work))
                way = Way(peer.edit_to_answer, *((1, peer.stop) if kind is LitServe else (IN_A_ROW,)))
                _timed(way, edits)
                ways[kind.__name__] = way
            except SkippedError as problem:
                skipped[kind.__name__] = str(problem)
                print(f"skipped: {problem}", flush=True)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(2 if quick else 8):
            for name, way in ways.items():
                taken[name] += [_timed(way, edits) for _ in range(way.in_a_row)]
    seconds = {name: statistics.median(figures) for name, figures in taken.items()}
    written, reloaded, asked = (statistics.median(part) * 1e3 for part in zip(*parts["kept"], strict=True))
    note = f"of the kit's time, {written:.1f} ms write the file, {reloaded:.1f} reload it, {asked:.1f} are the request"
    return list(_rows(seconds, skipped, note))


def _timed(way: Way, edits: Iterator[int]) -> float:
    """Seconds from a new edit to its answer."""
    edit = next(edits)
    begun = time.perf_counter()
    body = way.answer(edit)
    seconds = time.perf_counter() - begun
    if json.loads(body)["edit"] != edit:
        raise AssertionError(f"the answer does not come from edit {edit}: {body!r}")
    way.after()
    return seconds


def _rows(seconds: Mapping[str, float], skipped: Mapping[str, str], note: str) -> Iterator[Row]:
    what = "edit to first answer, tiny model"
    peers = {
        "TorchServe": ("TorchServe", TORCHSERVE_LIMIT),
        "LitServe": ("LitServe's restart", LITSERVE_LIMIT),
        "Ray": ("Ray Serve's local testing mode", RAY_LIMIT),
    }
    for name, (loop, limit) in peers.items():
        if name in skipped:
            yield Row.skipped(f"{what}, beside {loop}", skipped[name])
        else:
            yield Row.cheaper(
                f"{what}, beside {loop}", seconds["kept"], seconds[name], "s", limit, note if name == "Ray" else ""
            )
    loaded, theirs = seconds["loaded"], seconds["TorchServe"]
    yield Row(f"{what}, `initialize` changed, beside TorchServe", loaded, theirs, "s", theirs / loaded, "", True)


def write(file: Path, edit: int, loaded: int = 0) -> None:
    """An edit of a handler: its number is in `postprocess`, `loaded` in `initialize`."""
    file.write_text(HANDLER.format(edit=edit, loaded=loaded))


def archive(work: Path) -> Path:
    """What `torch-model-archiver --force` does once it has read its command line."""
    from model_archiver.model_archiver_config import ModelArchiverConfig
    from model_archiver.model_packaging import generate_model_archive

    generate_model_archive(
        ModelArchiverConfig(
            model_name="net",
            version="1.0",
            handler=str(work / "handler.py"),
            serialized_file=str(work / "net.pt"),
            export_path=str(work),
            force=True,
        )
    )
    return work / "net.mar"


def save_net(path: Path, net: Any = None) -> None:
    """`net`, or else a tiny one, as TorchScript."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has given TorchScript up; TorchServe's users have not
        torch.jit.script(net or torch.nn.Linear(4, 2)).save(str(path))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 turns")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
