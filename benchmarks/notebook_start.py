"""What a notebook waits for: `%load_ext handlerkit`, and the first `%%handler` cell.

    python benchmarks/notebook_start.py [--quick]

Each round is three interpreters in turn, started for it. One makes an IPython shell, counted from the start of its
process, and then loads the extension. One has done both, and runs a `%%handler` cell with a subclass of BaseHandler and
no weights: the process that makes workers imports torch and TorchServe, the handler is loaded, and what it did is
shown. One only imports torch. All keep compiled files, as Python does unless it is told otherwise; a first round that
does not count writes them.
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

EXTENSION_LIMIT, HANDLER_LIMIT = 0.1, 1.1
SHELL = """
import json, os, sys, time
import psutil
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
started = time.time() - psutil.Process().create_time()
begun = time.perf_counter()
problem = shell.extension_manager.load_extension("handlerkit")
seconds = time.perf_counter() - begun
assert problem is None, problem
assert "request" in shell.magics_manager.magics["line"], "the extension registered no %request"
assert "torch" not in sys.modules, "%load_ext handlerkit imported torch"
"""
EXTENSION = SHELL + "print(json.dumps([seconds, started]))"
HANDLER = f"""{SHELL}
cell = '''%%handler first.py
from ts.torch_handler.base_handler import BaseHandler

class First(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def handle(self, data, context):
        return data
'''
os.chdir(os.environ["IPYTHONDIR"])
begun = time.perf_counter()
ran = shell.run_cell(cell)
seconds = time.perf_counter() - begun
ran.raise_error()
assert "torch" not in sys.modules and ran.result is not None
print(json.dumps([seconds]))
"""
TORCH = """
import json, time

begun = time.perf_counter()
import torch
print(json.dumps([time.perf_counter() - begun]))
"""


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes 3 rounds instead of 9. Raises where the extension imports torch."""
    rounds = [(*_seconds(EXTENSION), *_seconds(HANDLER), *_seconds(TORCH)) for _ in range(4 if quick else 10)]
    extension, shell, handler, torch = (statistics.median(seconds) for seconds in zip(*rounds[1:], strict=True))
    limit = f"at most {EXTENSION_LIMIT} s"
    return [
        Row(
            "%load_ext handlerkit, beside a bare IPython start", extension, shell, "s",
            extension / shell, limit, extension <= EXTENSION_LIMIT,
        ),
        Row.dearer("first %%handler, beside `import torch` alone", handler, torch, "s", HANDLER_LIMIT),
    ]  # fmt: skip


def _seconds(code: str) -> list[float]:
    """What `code` prints last, in a fresh interpreter with a fresh IPython profile."""
    with tempfile.TemporaryDirectory() as profile:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment = {**plain, "IPYTHONDIR": profile}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    told: list[float] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
