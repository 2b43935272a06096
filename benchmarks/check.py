"""How long a check of an archive takes.

    python benchmarks/check.py [--quick]

In processes of their own, as `handlerkit check` runs: an archive without weights; and one of 1 GB of weights, as this
kit writes it (stored) and as torch-model-archiver does (deflated), of a state_dict and of TorchScript, beside reading
their bytes once. The bytes are drawn at random, as trained weights look to a compression.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from table import Row, render

import handlerkit as hk

BASE = "from ts.torch_handler.base_handler import BaseHandler\n\n\nclass Handler(BaseHandler):\n    pass\n"
PLAIN = "def handle(data, context):\n    return [0] * len(data or ())\n"
NET = "from torch import nn\n\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__({0}, {0})\n"
TARGET = "torchserve-0.12.0-cpu"
#: Seconds that a check may take: without weights, and with 1 GB of them.
WITHOUT, WITH = 0.5, 2.0
_CHECK = """
import sys, time
import handlerkit as hk
begun = time.perf_counter()
assert hk.check(sys.argv[1], target=sys.argv[2]).ok
print(time.perf_counter() - begun)
"""


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes 64 MB instead of 1 GB, and 3 rounds instead of 7."""
    rounds, side = (3, 4096) if quick else (7, 16384)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.py").write_text(NET.format(side))
        small = _archive(folder, "small", PLAIN)
        took, empty = _median(rounds, lambda: _checked(small)), _median(rounds, lambda: _process("pass"))
        rows = [_row("check of an archive without weights, beside starting Python", took, empty, WITHOUT)]
        for what, save in (("state_dict", _state_dict), ("TorchScript", _script)):
            save(side, folder / "net.pt")
            files = {"serialized_file": "net.pt"} | ({"model_file": "net.py"} if save is _state_dict else {})
            stored = _archive(folder, "stored", BASE, **files)
            read = _median(rounds, lambda: _read(stored))  # noqa: B023 - called at once
            size = f"{stored.stat().st_size / 1e6:,.0f} MB of {what}"
            rows.append(_row(f"check of {size}, stored, beside reading it", _median(rounds, lambda: _checked(stored)),  # noqa: B023
                             read, WITH))  # fmt: skip
            deflated = _deflated(stored, folder / "deflated.mar")
            took = _median(1, lambda: _checked(deflated))  # noqa: B023
            rows.append(_row(f"check of {size}, deflated, beside reading it stored", took, read, 0))
    return rows


def _row(what: str, ours: float, other: float, most: float) -> Row:
    limit = f"at most {most} s" if most else ""
    return Row(what, ours, other, "s", ours / other, limit, not most or ours <= most)


def _median(rounds: int, once: Callable[[], float]) -> float:
    return statistics.median(once() for _ in range(rounds))


def _checked(archive: Path) -> float:
    """Seconds of a check in a process that has imported the kit and checked nothing yet."""
    command = [sys.executable, "-c", _CHECK, str(archive), TARGET]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _process(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


def _read(file: Path) -> float:
    begun = time.perf_counter()
    with open(file, "rb", buffering=0) as stream:
        while stream.read(1 << 20):
            pass
    return time.perf_counter() - begun


def _archive(folder: Path, name: str, handler: str, **files: str) -> Path:
    (folder / "handler.py").write_text(handler)
    model = hk.Model(name, handler=folder / "handler.py", **{key: folder / file for key, file in files.items()})
    return hk.Archive(model).save(folder, force=True)


def _deflated(stored: Path, place: Path) -> Path:
    """The same archive with everything deflated, as torch-model-archiver writes it."""
    with zipfile.ZipFile(stored) as old, zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            with old.open(name) as source, new.open(name, "w", force_zip64=True) as target:
                while block := source.read(1 << 20):
                    target.write(block)
    return place


def _net(side: int) -> torch.nn.Linear:
    net = torch.nn.Linear(side, side)
    torch.nn.init.normal_(net.weight)
    return net


def _state_dict(side: int, place: Path) -> None:
    torch.save(_net(side).state_dict(), place)


def _script(side: int, place: Path) -> None:
    torch.jit.save(torch.jit.trace(_net(side), torch.zeros(1, side)), place)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="64 MB, 3 rounds")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
