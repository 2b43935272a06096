"""From an edit of the request path to the first answer of a model with 1 GB of weights, and of one with a tokenizer.

    python benchmarks/edit_with_weights.py [--quick]

The edit changes `postprocess` alone, so the kit keeps the loaded weights. TorchServe's loop archives them again (with
torch-model-archiver's default format), unregisters, registers and asks; its server runs already. The model is an
embedding: a request reads few of its weights, so that the row shows the loop and not the model. "The handler's own
time" is that of the same request's stages, from preprocess to postprocess, in the call that answers the edit. The
tokenizer is a fast one of transformers, which the handler makes of a vocabulary of 30,000 words and uses in each call.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

from edit_to_answer import archive, save_net
from table import Row, render

from handlerkit import Model, Request, Run, Server, Worker

TORCHSERVE_LIMIT, OWN_LIMIT = 2000, 0.010
WIDTH = 1024  # of the embedding, in float32
WEIGHTS = """\
import torch
from ts.torch_handler.base_handler import BaseHandler


class Handler(BaseHandler):
    def preprocess(self, data):
        return torch.tensor([row["body"] for row in data])

    def postprocess(self, output):
        return [{"edit": NUMBER, "sum": total} for total in output.sum((1, 2)).tolist()]
"""
TOKENIZER = """\
import torch, transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from ts.torch_handler.base_handler import BaseHandler


class Handler(BaseHandler):
    def initialize(self, context):
        super().initialize(context)
        words = Tokenizer(models.WordLevel({"[UNK]": 0, **{f"w{n}": n for n in range(1, 30_000)}}, "[UNK]"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        self.tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")

    def preprocess(self, data):
        texts = [" ".join(f"w{number}" for number in row["body"]) for row in data]
        return torch.tensor(self.tokenizer(texts)["input_ids"])

    def postprocess(self, output):
        return [{"edit": NUMBER, "sum": total} for total in output.sum((1, 2)).tolist()]
"""


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes 100 MB and TorchServe's loop once, else it has two turns."""
    logging.basicConfig(level=logging.ERROR)  # torch-model-archiver warns of each archive it writes again
    size = 100 if quick else 1024
    return [
        *_rows(f"{size} MB of weights", WEIGHTS, size, quick),
        *_rows("a Hugging Face tokenizer", TOKENIZER, 120, quick),
    ]


def _rows(what: str, handler: str, size_mb: int, quick: bool) -> list[Row]:
    """Those of a handler with so large an embedding."""
    request, edits = Request.json([1, 2, 3, 4]), count(1)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        save_net(work / "net.pt", _embedding(size_mb))
        _write(work, handler, 0)
        model = Model("net", handler=work / "handler.py", serialized_file=work / "net.pt")
        kept, own, reasons = [], [], set()
        with Worker(model) as worker:
            worker.predict(request).raise_for_status()
            for _ in range(5 if quick else 20):
                edit = next(edits)
                begun = time.perf_counter()
                _write(work, handler, edit)
                reload = worker.reload()
                run = _answered(worker.predict(request), edit)
                kept.append(time.perf_counter() - begun)
                own.append(sum(run.timings[stage] for stage in ("preprocess", "inference", "postprocess")))
                if not reload.kept:
                    reasons.add(f"loaded again: {reload.reason}")
        theirs = []
        with Server([], target="here") as server:
            for _ in range(1 if quick else 2):
                edit = next(edits)
                begun = time.perf_counter()
                _write(work, handler, edit)
                server.register(archive(work))
                _answered(server.predict(request), edit)
                theirs.append(time.perf_counter() - begun)
    ours, stages, note = statistics.median(kept), statistics.median(own), "; ".join(sorted(reasons))
    what = f"edit of the request path to first answer, {what}"
    limit = f"at most {OWN_LIMIT * 1000:.0f} ms more"
    return [
        Row.cheaper(f"{what}, beside TorchServe", ours, statistics.median(theirs), "s", TORCHSERVE_LIMIT, note),
        Row(
            f"{what}, beside the handler's own time", ours * 1e3, stages * 1e3, "ms",
            ours / stages, limit, ours - stages <= OWN_LIMIT,
        ),
    ]  # fmt: skip


def _answered(run: Run, edit: int) -> Run:
    """`run`, whose answer is that edit's."""
    answer = run.raise_for_status().response.json()
    if answer["edit"] != edit:
        raise AssertionError(f"the answer does not come from edit {edit}: {answer}")
    return run


def _write(work: Path, handler: str, edit: int) -> None:
    (work / "handler.py").write_text(handler.replace("NUMBER", str(edit)))


def _embedding(size_mb: int) -> Any:
    """One of normally distributed weights."""
    import torch

    return torch.nn.Embedding(size_mb * 2**20 // (4 * WIDTH), WIDTH)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 MB, one turn of TorchServe")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
