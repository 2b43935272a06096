"""What a worker takes to start, and what the notebook's process takes for it.

    python benchmarks/worker_start.py [--quick]

A Worker of a function handler is made, and a TorchServe registers the same archive; the process that makes workers is
up, as the server is. The memory is the resident size of an interpreter that has loaded the extension in an IPython
shell and sent ten requests, beside one that has only made the shell.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from table import Row, render

from handlerkit import Archive, Model, Server, Worker

START_LIMIT, REGISTER_LIMIT, MEMORY_LIMIT = 0.06, 20, 60
HANDLER = "def handle(data, context):\n    return [row['body'] for row in data or ()]\n"
SHELL = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
"""
REQUESTS = """
shell.run_line_magic("load_ext", "handlerkit")
shell.run_line_magic("model", "m --handler " + sys.argv[1])
for number in range(10):
    assert shell.run_line_magic("request", sys.argv[2]).ok
assert "torch" not in sys.modules
"""
RESIDENT = """
import psutil
print(psutil.Process().memory_info().rss / 1e6)
"""


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes fewer rounds."""
    rounds = 5 if quick else 20
    with tempfile.TemporaryDirectory() as folder:
        handler, sent = Path(folder, "identity.py"), Path(folder, "sent.json")
        handler.write_text(HANDLER)
        sent.write_text("[1, 2]")
        model = Model("identity", handler=handler)
        archive = Archive(model).save(folder)
        Worker(model).close()
        time.sleep(5)  # what many handlers import besides is imported by then
        started = _median(rounds, lambda: Worker(model))
        with Server(archive) as server:
            registered = _median(rounds // 4, lambda: server.register(archive))
        memory = [_resident(SHELL + RESIDENT), _resident(SHELL + REQUESTS + RESIDENT, str(handler), str(sent))]
    return [
        Row("a fresh Worker", started, registered, "s", started, f"at most {START_LIMIT} s", started <= START_LIMIT),
        Row.cheaper("a fresh Worker, beside registering on TorchServe", started, registered, "s", REGISTER_LIMIT),
        Row(
            "memory of the notebook's process after ten requests, beside a bare one", memory[1], memory[0], "MB",
            memory[1] - memory[0], f"at most {MEMORY_LIMIT} MB more", memory[1] - memory[0] <= MEMORY_LIMIT,
        ),
    ]  # fmt: skip


def _median(rounds: int, work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        made = work()
        seconds.append(time.perf_counter() - begun)
        if isinstance(made, Worker):
            made.close()
    return statistics.median(seconds)


def _resident(code: str, *arguments: str) -> float:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
