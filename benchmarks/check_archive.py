"""How long reading an archive takes before anyone waits for a server: hk.check, without weights and with.

    python benchmarks/check_archive.py [--quick]

The archive holds a ready-made handler, the module it needs, its labels and, in the last row, zeros as weights. A check
in a process that has imported nothing yet is measured beside importing torch in such a process, which a check never
does; one in a process that has checked before beside reading the same files from the archive and parsing them. The
median counts.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from table import Row, render

from handlerkit import Archive, Model, check

LIMIT, LIMIT_OF_WEIGHTS = 0.5, 2.0
SIZE, SIZE_QUICK = 1 << 30, 64 << 20


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes fewer rounds and smaller weights."""
    rounds = 3 if quick else 9
    with tempfile.TemporaryDirectory() as folder:
        plain = _archive(Path(folder, "plain"), 0)
        large = _archive(Path(folder, "large"), SIZE_QUICK if quick else SIZE)
        fresh, torch = _alternate(
            rounds,
            lambda: _in_a_new_process(f"import handlerkit as hk; hk.check({str(plain)!r})"),
            lambda: _in_a_new_process("import torch"),
        )
        again, parsed = _alternate(rounds, lambda: check(plain), lambda: _parse(plain))
        weights, read = _alternate(rounds, lambda: check(large), lambda: large.read_bytes())
    return [
        _limited("check of an archive without weights, in a new process, beside import torch", fresh, torch, LIMIT),
        _limited("the same again, beside parsing its code", again, parsed, LIMIT),
        _limited("with weights, beside reading the file", weights, read, LIMIT_OF_WEIGHTS),
    ]


def _limited(what: str, ours: float, other: float, limit: float) -> Row:
    return Row(what, ours * 1e3, other * 1e3, "ms", ours / other, f"at most {limit} s", ours <= limit)


def _archive(folder: Path, weights: int) -> Path:
    folder.mkdir()
    (folder / "index_to_name.json").write_text('{"0": "background", "1": "coin"}')
    options = {}
    if weights:
        options["serialized_file"] = folder / "weights.pt"
        with open(options["serialized_file"], "wb") as file:
            file.truncate(weights)
    model = Model("coins", handler="handlerkit:detection_boxes", extra_files=folder / "index_to_name.json", **options)
    return Archive(model, "zip-store").save(folder)


def _parse(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                ast.parse(archive.read(name))


def _in_a_new_process(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def _alternate(rounds: int, *ways: Callable[[], object]) -> list[float]:
    """Seconds of each way: the median of so many, taken in turn; one more warms up."""
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for seconds, way in zip(taken, ways, strict=True):
            begun = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - begun)
    return [statistics.median(seconds[1:]) for seconds in taken]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller weights")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
