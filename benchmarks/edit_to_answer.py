"""From an edit of the handler to its first answer: in a notebook with the kit, and with TorchServe's own loop.

    python benchmarks/edit_to_answer.py [--quick]

Both begin with the handler's file rewritten and end when a tiny TorchScript model has answered as the new file says.
In the kit that is a reload and a request. With TorchServe it is torch-model-archiver, unregister, register and a
request, on a server that runs already and over connections that stay open; its archiver is called in this process,
which spares it an interpreter's start. The two take turns, and the median counts; a turn of the kit is five edits in a
row.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from table import Row, render

from handlerkit import Model, Request, Server, Worker

LIMIT = 200
IN_A_ROW = 5  # edits in the kit at each of its turns: so short that the first one mostly shows how the processor wakes
REQUEST = Request.json([1.0, 2.0, 3.0, 4.0])
HANDLER = """\
import torch
from ts.torch_handler.base_handler import BaseHandler


class Handler(BaseHandler):
    def preprocess(self, data):
        return torch.tensor([row["body"] for row in data])

    def postprocess(self, output):
        return [{"edit": %d, "output": row} for row in output.tolist()]
"""


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes 3 turns instead of 10."""
    logging.basicConfig(level=logging.ERROR)  # torch-model-archiver warns of each archive it writes anew
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _save_net(work / "net.pt")
        (work / "handler.py").write_text(HANDLER % 0)
        archive = _archive(work)
        model = Model("net", handler=work / "handler.py", serialized_file=work / "net.pt")
        with Worker(model) as worker, Server(archive) as server:

            def kit() -> bytes:
                worker.reload()
                return worker.predict(REQUEST).raise_for_status().response.body

            def torchserve() -> bytes:
                server.register(_archive(work))  # unregisters the one before
                return server.predict(REQUEST).raise_for_status().response.body

            edits = partial(_edit_to_answer, work / "handler.py", count(1))
            edits(kit), edits(torchserve)  # both import what they need once
            turns = [([edits(kit) for _ in range(IN_A_ROW)], edits(torchserve)) for _ in range(3 if quick else 10)]
    ours = statistics.median(seconds for kits, _ in turns for seconds in kits)
    theirs = statistics.median(seconds for _, seconds in turns)
    what, faster = "edit to first answer, tiny model, beside TorchServe", theirs / ours
    return [Row(what, ours, theirs, "s", faster, f"at least {LIMIT} × faster", faster >= LIMIT)]


def _edit_to_answer(handler: Path, numbers: Iterator[int], way: Callable[[], bytes]) -> float:
    """Seconds from a new edit to its answer."""
    edit = next(numbers)
    begun = time.perf_counter()
    handler.write_text(HANDLER % edit)
    body = way()
    seconds = time.perf_counter() - begun
    if b'"edit": %d,' % edit not in body:
        raise AssertionError(f"the answer does not come from edit {edit}: {body!r}")
    return seconds


def _archive(work: Path) -> Path:
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


def _save_net(path: Path) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has given TorchScript up; TorchServe's users have not
        torch.jit.script(torch.nn.Linear(4, 2)).save(str(path))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 turns")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
