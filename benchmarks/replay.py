"""1000 images through `worker.predict` in batches of 8, beside a bare loop that calls the handler.

    python benchmarks/replay.py [--quick]

The handler is TorchServe's image_classifier with a small network: it decodes JPEGs of 320 × 240, resizes them to 256,
crops to 224, normalizes, and answers the five best classes. The bare loop is what a script would do: it imports the
handler's file, initializes it with a context and hands it the rows that a worker would, without requests, a codec or
answers, in this process, whose root logger is at WARNING, as in a notebook. Both take turns, 40 images at a time and
each first in every second turn; the median turn counts, as other work on the machine only ever adds time.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from table import Row, render

from handlerkit import Model, Request, Run, Worker, mock_context

LIMIT = 1.05
BATCH, TURN, IMAGES = 8, 40, 1000
HANDLER = """\
import torch
from ts.torch_handler.image_classifier import ImageClassifier


class Photographs(ImageClassifier):
    def initialize(self, context):
        torch.manual_seed(0)
        self.context, self.mapping, self.device = context, None, torch.device("cpu")
        self.model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 5, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(), torch.nn.Linear(16, 10),
        ).eval()
        self.initialized = True
"""


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` replays the images once instead of 3 times."""
    import torch

    images = _photographs(50)
    requests = [Request(headers={"Content-Type": "image/jpeg"}, body=image) for image in images]
    torch.set_num_threads(1)  # as a TorchServe worker on few cores; two ways of waiting for threads are not compared
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "photographs.py")
        file.write_text(HANDLER)
        handle = _bare(file)
        with Worker(Model("photographs", handler=file), batch_size=BATCH) as worker:

            def kit(chosen: Sequence[int]) -> Run:
                return worker.predict(*[requests[one] for one in chosen]).raise_for_status()

            def bare(chosen: Sequence[int]) -> list[Any]:
                return handle([{"body": images[one]} for one in chosen])

            first = range(BATCH)
            if [response.json() for response in kit(first).responses] != bare(first):
                raise AssertionError("the worker answers something else than the handler")
            ours, theirs = _replayed(kit, bare, rounds=1 if quick else 3)
            codec = statistics.median(_around(kit(first)) for _ in range(20)) * 1e3
    note = (
        f"{codec:.2f} ms of a batch are TorchServe's own code around the handler, which reads and writes the worker's "
        "messages and counts metrics"
    )
    what = f"replay of {IMAGES} images in batches of {BATCH}, beside a bare loop"
    return [Row.dearer(what, ours, theirs, "s", LIMIT, note)]


def _around(run: Run) -> float:
    """Seconds of the only call that are not the handler's."""
    return sum(run.timings[stage] for stage in ("decode", "encode", "other"))


def _replayed(
    kit: Callable[[Sequence[int]], Any], bare: Callable[[Sequence[int]], Any], rounds: int
) -> tuple[float, float]:
    """Seconds of each way for all images, from its median turn."""
    seconds: dict[Callable[[Sequence[int]], Any], list[float]] = {kit: [], bare: []}
    for turn, begin in enumerate(range(0, rounds * IMAGES, TURN)):
        for way in (kit, bare) if turn % 2 else (bare, kit):
            begun = time.perf_counter()
            for at in range(begin, begin + TURN, BATCH):
                way([number % 50 for number in range(at, at + BATCH)])
            seconds[way].append(time.perf_counter() - begun)
    ours, theirs = (statistics.median(seconds[way]) * IMAGES / TURN for way in (kit, bare))
    return ours, theirs


def _bare(file: Path) -> Callable[[list[Any]], list[Any]]:
    """The handler's `handle` in the hands of a script, without the kit."""
    spec = importlib.util.spec_from_file_location("photographs", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler = module.Photographs()
    context = mock_context(file.parent, batch_size=BATCH, request_headers=[{}] * BATCH)
    handler.initialize(context)
    return lambda rows: handler.handle(rows, context)


def _photographs(count: int) -> list[bytes]:
    """JPEGs of 320 × 240: smooth noise, about 10 KB each."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    found = []
    for _ in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(file := io.BytesIO(), "JPEG", quality=85)
        found.append(file.getvalue())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the images once")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
