"""How long `%load_ext handlerkit` takes in a fresh IPython, beside the import of torch that it puts off.

    python benchmarks/load_ext.py [--quick]

Each round is an interpreter of its own, with IPython imported and its shell made before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

from table import Row, render

LIMIT = 0.15
ROUND = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
begun = time.perf_counter()
problem = shell.extension_manager.load_extension("handlerkit")
ours = time.perf_counter() - begun
assert problem is None, problem
assert "request" in shell.magics_manager.magics["line"], "the extension registered no %request"
assert "torch" not in sys.modules, "%load_ext handlerkit imported torch"
begun = time.perf_counter()
import torch
print(json.dumps([ours, time.perf_counter() - begun]))
"""


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes 3 rounds instead of 9. Raises where the extension imports torch."""
    rounds = [_round() for _ in range(3 if quick else 9)]
    ours, torch = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
    limit = f"at most {LIMIT} s"
    return [Row("%load_ext handlerkit, beside `import torch`", ours, torch, "s", torch / ours, limit, ours <= LIMIT)]


def _round() -> tuple[float, float]:
    """Seconds of the extension and of torch, in a fresh interpreter with a fresh IPython profile."""
    with tempfile.TemporaryDirectory() as profile:
        environment = {**os.environ, "IPYTHONDIR": profile}
        command = [sys.executable, "-c", ROUND]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    ours, torch = json.loads(done.stdout.splitlines()[-1])
    return ours, torch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
