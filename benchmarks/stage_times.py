"""Do the kit's figures agree with the server's own? A handler whose three stages sleep for 20 ms each, in both.

    python benchmarks/stage_times.py [--quick]

TorchServe's BaseHandler tells HandlerTime, the time of its `handle`, and its worker PredictionTime, that of the whole
call, as metrics in the log, in ms. The kit runs the same Python code, so both metrics come from it too: its own figures
of the stages are held against those of the same call, and those against what a real TorchServe logs.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from table import Row, render

from handlerkit import Model, Request, Run, Server, Worker

LIMIT = 0.03
#: The stages that HandlerTime spans. PredictionTime spans the whole call.
HANDLER_TIME = ("preprocess", "inference", "postprocess", "handle")
HANDLER = """\
import time

from ts.torch_handler.base_handler import BaseHandler


class Sleeps(BaseHandler):
    def initialize(self, context):
        self.context = context
        self.initialized = True

    def preprocess(self, data):
        time.sleep(0.020)
        return data

    def inference(self, data):
        time.sleep(0.020)
        return data

    def postprocess(self, data):
        time.sleep(0.020)
        return ["done" for _ in data]
"""


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes 10 calls instead of 40."""
    calls = 10 if quick else 40
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sleeps.py")
        file.write_text(HANDLER)
        model = Model("sleeps", handler=file)
        with Worker(model) as worker, Server(model) as server:
            runs = []
            for _ in range(calls + 1):  # the two take turns; the first is a warm-up
                runs.append(worker.predict(Request(body=b"x")).raise_for_status())
                server.predict(Request(body=b"x")).raise_for_status()
            log = server.log()
    runs = runs[1:]
    handle = statistics.median(sum(run.timings[stage] for stage in HANDLER_TIME) for run in runs) * 1e3
    total = statistics.median(run.timings.total for run in runs) * 1e3
    stages = statistics.median(sum(seconds for _, seconds in run.timings) / run.timings.total for run in runs)
    if abs(stages - 1) > 0.02:
        raise AssertionError(f"the stages add up to {stages:.3f} of the call")
    rows = []
    for name, ours in (("HandlerTime", handle), ("PredictionTime", total)):
        for where, told in (("the same call's", _told(runs, name)), ("TorchServe's", _logged(log, name)[1:])):
            rows.append(_row(name, where, ours, told))
    return rows


def _row(name: str, where: str, ours: float, told: Sequence[float]) -> Row:
    theirs = statistics.median(told)
    spanned = "preprocess to postprocess" if name == "HandlerTime" else "decode to encode"
    what = f"three stages of 20 ms, {spanned}, beside {where} {name}"
    within = abs(ours / theirs - 1) <= LIMIT
    return Row(what, ours, theirs, "ms", ours / theirs, f"within {LIMIT * 100:.0f} %", within)


def _told(runs: Sequence[Run], name: str) -> list[float]:
    """The metric of that name in the kit's own runs, in ms."""
    return [metric.value for run in runs for metric in run.call.metrics if metric.name == name]


def _logged(log: str, name: str) -> list[float]:
    """The metric of that name in the server's log, in ms."""
    return [float(value) for value in re.findall(rf"\[METRICS\]{name}\.\w+:([\d.]+)\|", log)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 calls")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
