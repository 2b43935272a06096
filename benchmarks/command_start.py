"""What a person waits for who types `handlerkit`: the version, the help, and Tab.

    python benchmarks/command_start.py [--quick]

Each round starts every process in turn, beside a bare interpreter of the same kind (`python -c pass`), so that a busy
machine costs both the same. A first round that does not count writes compiled files.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from table import Row, render

LIMIT = 0.1
SCRIPT = str(Path(sys.executable).with_name("handlerkit"))
LINE = "handlerkit request --env"
#: What is typed: the words, and variables of the environment.
TYPED: dict[str, tuple[list[str], dict[str, str]]] = {
    "python -c pass": ([sys.executable, "-c", "pass"], {}),
    "handlerkit --version": ([SCRIPT, "--version"], {}),
    "handlerkit request --help": ([SCRIPT, "request", "--help"], {}),
    "Tab behind `handlerkit request --env`": (
        [SCRIPT],
        {
            "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": LINE, "COMP_POINT": str(len(LINE)),
            "_ARGCOMPLETE_STDOUT_FILENAME": os.devnull,
        },
    ),
}  # fmt: skip


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes 5 rounds instead of 20."""
    rounds = [{name: _seconds(*typed) for name, typed in TYPED.items()} for _ in range(6 if quick else 21)]
    median = {name: statistics.median(one[name] for one in rounds[1:]) for name in TYPED}
    bare = median.pop("python -c pass")
    rows = []
    for name, seconds in median.items():
        limit = LIMIT if name.endswith("--version") else None
        said = f"at most {limit} s" if limit else ""
        rows.append(Row(f"{name}, beside `python -c pass`", seconds, bare, "s", seconds / bare, said,
            limit is None or seconds <= limit))  # fmt: skip
    return rows


def _seconds(command: list[str], variables: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 rounds")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
