"""How long an archive takes beside `cp` and torch-model-archiver, and what memory and disk it needs meanwhile.

    python benchmarks/archive.py [--size-mb 1024] [--quick]

The weights are normally distributed float32. Each save runs in a fresh process, turn by turn with the others, so that
all of them meet the same machine; of each the quickest round counts, as other work only ever adds time. The limit
supposes two free cores: without them the checksum of a zip cannot run beside the copying. torch-model-archiver takes
20 s a GB, so it has one round.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from table import Row, render

from handlerkit.archive import Archive
from handlerkit.model import Model

CP_LIMIT, THEIRS_LIMIT, MEMORY_LIMIT_MB = 2, 25, 16
MB = 1 << 20


@dataclass(frozen=True)
class Cost:
    """Seconds, and MB of memory and of disk beside the weights and what is left at the end."""

    seconds: float
    memory: float = 0.0
    disk: float = 0.0


def measure(quick: bool, size_mb: int = 1024) -> list[Row]:
    """The rows of this benchmark; `quick` takes 200 MB (torch-model-archiver: 50 MB) and fewer rounds."""
    size, theirs_size = (200, 50) if quick else (size_mb, size_mb)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "handler.py").write_text("def handle(data, context):\n    return data\n")
        jobs = {name: _ours(name) for name in ("default", "zip-store", "no-archive")}
        costs = _alternate(work, {"cp": _cp, **jobs}, size, rounds=5 if quick else 7)
        checksum = _checksum(work / "weights.pt")
        both = _alternate(work, {"theirs": _theirs, "ours": _ours("default")}, theirs_size, rounds=1)
    cp, default = costs["cp"].seconds, costs["default"]
    note = f"the checksum that a zip holds takes {checksum:.2f} s: beside the copying, where a core is free for it"
    rows = [
        Row.dearer(
            f"{name}, {size} MB, beside cp", costs[name].seconds, cp, "s", CP_LIMIT,
            note if name != "no-archive" and costs[name].seconds > CP_LIMIT * cp else "",
        )
        for name in jobs
    ]  # fmt: skip
    ours, theirs = both["ours"], both["theirs"]
    beside = f"{theirs_size} MB, beside torch-model-archiver"
    return [
        *rows,
        Row.cheaper(f"default, {beside}", ours.seconds, theirs.seconds, "s", THEIRS_LIMIT),
        Row(
            "memory, default, beside the weights", default.memory, size, "MB", default.memory / size,
            f"at most {MEMORY_LIMIT_MB} MB", default.memory <= MEMORY_LIMIT_MB,
        ),
        Row(
            f"temporary disk, default, {beside}", ours.disk, theirs.disk, "MB", ours.disk / max(theirs.disk, 0.1),
            "none", ours.disk < 1,
        ),
    ]  # fmt: skip


def _alternate(work: Path, jobs: dict[str, Callable[[Path], Cost]], size: int, rounds: int) -> dict[str, Cost]:
    """The quickest seconds of each job and its largest needs; the jobs take turns."""
    _make_weights(work / "weights.pt", size)
    found: dict[str, list[Cost]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            found[name].append(job(work))
            shutil.rmtree(work / "out")
    return {
        name: Cost(
            min(cost.seconds for cost in costs),
            max(cost.memory for cost in costs),
            max(cost.disk for cost in costs),
        )
        for name, costs in found.items()
    }


def _make_weights(path: Path, size_mb: int) -> None:
    generator = np.random.default_rng(0)
    with open(path, "wb") as file:
        for _ in range(size_mb):
            file.write(generator.standard_normal(MB // 4, dtype=np.float32).tobytes())


def _checksum(path: Path) -> float:
    """Seconds that zlib.crc32 takes for the file."""
    begun, checksum = time.perf_counter(), 0
    with open(path, "rb") as file:
        while piece := file.read(MB):
            checksum = zlib.crc32(piece, checksum)
    return time.perf_counter() - begun


def _cp(work: Path) -> Cost:
    (work / "out").mkdir()
    begun = time.perf_counter()
    subprocess.run(["cp", work / "weights.pt", work / "out"], check=True)
    return Cost(time.perf_counter() - begun)


def _ours(archive_format: str) -> Callable[[Path], Cost]:
    return lambda work: _in_process(work, _save, archive_format)


def _theirs(work: Path) -> Cost:
    (work / "out").mkdir()
    return _in_process(work, _generate)


def _save(work: Path, archive_format: str) -> None:
    model = Model("m", handler=work / "handler.py", serialized_file=work / "weights.pt")
    Archive(model, archive_format).save(work / "out")


def _generate(work: Path) -> None:
    from model_archiver.model_archiver_config import ModelArchiverConfig
    from model_archiver.model_packaging import generate_model_archive

    tempfile.tempdir = str(work / "tmp")
    generate_model_archive(
        ModelArchiverConfig(
            model_name="m",
            version="1.0",
            handler=str(work / "handler.py"),
            serialized_file=str(work / "weights.pt"),
            export_path=str(work / "out"),
        )
    )


def _in_process(work: Path, function: Callable[..., None], *arguments: str) -> Cost:
    """What `function(work, ...)` costs in a process of its own; the process's start is not counted."""
    (work / "tmp").mkdir(exist_ok=True)
    before = _used(work)
    peak, over = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.02):
            peak = max(peak, _used(work))

    watcher = threading.Thread(target=watch)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(_peak_memory).result()  # the process has started
        watcher.start()
        try:
            seconds, memory = pool.submit(_timed, work, function, *arguments).result()
        finally:
            over.set()
            watcher.join()
    return Cost(seconds, memory, max(0, peak - max(before, _used(work))) / MB)


def _timed(work: Path, function: Callable[..., None], *arguments: str) -> tuple[float, float]:
    before = _peak_memory()
    begun = time.perf_counter()
    function(work, *arguments)
    return time.perf_counter() - begun, _peak_memory() - before


def _peak_memory() -> float:
    """The most memory this process ever held, in MB. getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _used(folder: Path) -> int:
    """Bytes of all files; those that vanish meanwhile count nothing."""
    total = 0
    for root, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.stat(os.path.join(root, file)).st_size
            except FileNotFoundError:
                continue
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mb", type=int, default=1024, help="size of the weights")
    parser.add_argument("--quick", action="store_true", help="200 MB and fewer rounds")
    options = parser.parse_args()
    rows = measure(options.quick, options.size_mb)
    print(render(rows))
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
