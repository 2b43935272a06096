"""Bulk scoring of JPEGs beside a bare loop over the same handler, as whole commands, in turn.

    python benchmarks/bulk.py [--quick]

The handler decodes photographs of 300 KB and classifies batches of 8 with a MobileNet of random weights, on one
thread. The bare loop is what one writes by hand: it imports the handler, reads the files, calls it with the rows
TorchServe would give, and writes a line for each answer. Both times go from the command to its end, so that starting
Python, importing torch and loading the model count on both sides. Workers, and Ray's actors, are compared by their
images a second between the first and the last batch that the handler notes, for their start says nothing about how they
share the machine. Every other round goes through the ways backwards.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import numpy as np
from PIL import Image
from table import Row, render

from handlerkit import App, Model

LEAST, ACTORS = 0.95, 1.6
BATCH = 8
_HANDLER = """\
import io
import os
import time

import torch
from PIL import Image
from torchvision.models import mobilenet_v3_small
from torchvision.transforms.functional import pil_to_tensor

torch.set_num_threads(1)


class Classes:
    def initialize(self, context):
        torch.manual_seed(0)
        self.model = mobilenet_v3_small(weights=None).eval()
        self.initialized = True

    def handle(self, data, context):
        pictures = [Image.open(io.BytesIO(row.get("data") or row.get("body"))).resize((224, 224)) for row in data]
        with torch.inference_mode():
            scores = self.model(torch.stack([pil_to_tensor(one) for one in pictures]) / 255)
        with open(os.environ["BULK_TIMES"], "a") as times:
            times.write(f"{time.time()} {len(data)}\\n")
        return scores.argmax(1).tolist()
"""
_LOOP = """\
import json, sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from handler import Classes

service = Classes()
service.initialize(None)
files = sorted(Path(sys.argv[2]).iterdir())
with open(sys.argv[3], "w") as output:
    for start in range(0, len(files), int(sys.argv[4])):
        batch = files[start : start + int(sys.argv[4])]
        for file, answer in zip(batch, service.handle([{"body": file.read_bytes()} for file in batch], None)):
            print(json.dumps({"name": file.name, "json": answer}), file=output)
"""


@dataclass(frozen=True)
class Scored:
    """A run of a command: seconds from its start to its end, and rows a second from its first batch to its last."""

    seconds: float
    rate: float


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes fewer images, and no Ray."""
    count, rounds = (200, 2) if quick else (2000, 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "handler.py").write_text(_HANDLER)
        (folder / "loop.py").write_text(_LOOP)
        app = App(Model("classes", handler=folder / "handler.py"), batch_size=BATCH).save(folder / "app")
        images = folder / "images"
        images.mkdir()
        picture = _photograph()
        for number in range(count):
            (images / f"{number:04}.jpg").write_bytes(picture)
        loop = [str(folder / "loop.py"), str(folder), str(images), "OUTPUT", str(BATCH)]
        bulk = [str(app / "app.py"), "bulk", str(images), "OUTPUT"]
        ways: dict[str, list[str]] = {
            "loop": loop,
            "one": [*bulk, "--workers", "1"],
            "two": [*bulk, "--workers", "2"],
        }
        if with_ray := not quick and util.find_spec("ray") is not None:
            ways |= {"one actor": [*bulk, "--ray", "--workers", "1"], "two actors": [*bulk, "--ray", "--workers", "2"]}
        runs: dict[str, list[Scored]] = {way: [] for way in ways}
        for turn in range(rounds):
            for way, words in [*ways.items()][:: -1 if turn % 2 else 1]:
                runs[way].append(_run(words, folder / f"{way}-{turn}.jsonl", count))
    return _rows(runs, count, with_ray)


def _rows(runs: dict[str, list[Scored]], count: int, with_ray: bool) -> list[Row]:
    seconds = {way: min(run.seconds for run in made) for way, made in runs.items()}
    rate = {way: max(run.rate for run in made) for way, made in runs.items()}
    ratio = seconds["loop"] / seconds["one"]
    rows = [
        Row(
            f"bulk, {count} JPEGs, one worker, beside a bare loop", count / seconds["one"], count / seconds["loop"],
            "/s", ratio, f"at least {LEAST} ×", ratio >= LEAST,
        )
    ]  # fmt: skip
    for two, one in (("two", "one"), *((("two actors", "one actor"),) if with_ray else ())):
        words = "two workers beside one" if two == "two" else "on Ray Data, two actors beside one"
        ratio = rate[two] / rate[one]
        rows.append(Row(f"bulk, {words}", rate[two], rate[one], "/s", ratio, f"at least {ACTORS} ×", ratio >= ACTORS))
    return rows


def _photograph() -> bytes:
    """A JPEG of 1024 × 768, as large as a camera's of that size: noise that is coarse and fine."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (96, 128, 3), np.uint8)).resize((1024, 768))
    fine = random.normal(0, 8, (768, 1024, 1))
    file = io.BytesIO()
    Image.fromarray((np.asarray(coarse) + fine).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def _run(words: Sequence[str], output: Path, count: int) -> Scored:
    """Run the command. Raises RuntimeError for one that leaves a row out."""
    command = [sys.executable, *[str(output) if word == "OUTPUT" else word for word in words]]
    times = output.with_suffix(".times")
    variables = os.environ | {"OMP_NUM_THREADS": "1", "BULK_TIMES": str(times)}
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    seconds = time.perf_counter() - begun
    lines = output.read_text().splitlines() if output.exists() else []
    answered = [line for line in lines if json.loads(line).get("status", 200) == 200]
    if done.returncode or len(answered) != count:
        raise RuntimeError(f"{len(answered)} answers of {count}: {(done.stdout + done.stderr)[-2000:]}")
    noted = sorted((float(at), int(size)) for at, size in map(str.split, times.read_text().splitlines()))
    (first, size), (last, _) = noted[0], noted[-1]
    return Scored(seconds, (count - size) / (last - first))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images, and no Ray")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
