"""What proving an archive in a target's environment costs beside proving it in this one.

    python benchmarks/targets.py [--quick]

Whole checks (`session.verify`) of one small archive: the first one, which starts TorchServe in the target's
environment, and the next, on the TorchServe that is kept up. Targets take turns, and medians are compared. Then the
environments themselves: made in an empty cache (the official image's from what uv has in its own), beside finding them
there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edit_to_answer import save_net, write
from peers import REQUEST
from table import Row, render

from handlerkit.errors import TargetError
from handlerkit.messages import Request
from handlerkit.notebook.session import Session
from handlerkit.targets import find

OFFICIAL = "torchserve-0.12.0-cpu"
#: Seconds that the first check in a target's environment may take beyond one in this environment.
MORE = {"declared": 1, OFFICIAL: 5}
#: Seconds that making the official image's environment may take where uv has all in its cache.
BUILD = 10


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes 2 rounds instead of 5."""
    targets = ["here", "declared", OFFICIAL]
    try:
        find(OFFICIAL).build()
    except TargetError as problem:
        targets.remove(OFFICIAL)
        missing = [Row.skipped(f"check on {OFFICIAL}", str(problem))]
    else:
        missing = []
    first: dict[str, list[float]] = {name: [] for name in targets}
    following: dict[str, list[float]] = {name: [] for name in targets}
    for _ in range(2 if quick else 5):
        for name in targets:
            for times, took in zip((first, following), _checks(name), strict=True):
                times[name].append(took)
    rows = [_check("first", name, first, f"at most {MORE[name]} s more") for name in targets if name != "here"]
    rows += [_check("next", name, following, "") for name in targets if name != "here"]
    return [*rows, *missing, *(_built(name) for name in targets if name != "here")]


def _checks(target: str) -> tuple[float, float]:
    """Seconds of the first check there, and of the next."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the session's files are named from here
        save_net(Path("net.pt"))
        write(Path("handler.py"), 0)
        session = Session()
        try:
            session.model("net", serialized_file="net.pt", target=target)
            session.use("handler.py")
            session.request(Request.json(REQUEST))
            session.export()
            return _seconds(session.verify), _seconds(session.verify)
        finally:
            session.close()
            os.chdir("/")


def _check(which: str, name: str, times: dict[str, list[float]], limit: str) -> Row:
    ours, here = statistics.median(times[name]), statistics.median(times["here"])
    what = f"{which} check of an exported archive on {name}, beside one on here"
    return Row(what, ours, here, "s", ours / here, limit, not limit or ours - here <= MORE[name])


def _built(name: str) -> Row:
    """Making an environment in an empty cache, beside finding it there."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("HANDLERKIT_CACHE")
        os.environ["HANDLERKIT_CACHE"] = folder
        try:
            build, again = _seconds(lambda: find(name).build()), _seconds(lambda: find(name).build())
        finally:
            del os.environ["HANDLERKIT_CACHE"]
            if before is not None:
                os.environ["HANDLERKIT_CACHE"] = before
    limit = BUILD if name == OFFICIAL else MORE[name]
    what = f"environment of {name} made, beside finding it"
    return Row(what, build, again, "s", build / again, f"at most {limit} s", build <= limit)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    if not call():
        raise AssertionError("the archive answers other bytes than the worker")
    return time.perf_counter() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
