"""Inside one Worker: torch's operators, and the lines of the handler's own code."""

from __future__ import annotations

import gc
import linecache
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

from handlerkit.bench.results import LineTime, Profile
from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Request
from handlerkit.serving.torchserve_facts import ARCHIVE_FOLDER

_OPERATORS = 20  # rows of torch.profiler's table
_MISSING = "a line-by-line view needs line_profiler, which is not installed: run %pip install line_profiler"


def profile(worker: Worker, request: Request, *, batch: int = 1, calls: int = 5, trace: str | Path) -> Profile:
    """Call `worker` with `calls` batches of the request under torch.profiler, and as often under line_profiler.

    Args:
        worker: whose model is loaded once more, in this process, since neither looks into another one.
        trace: the chrome trace's file, which is overwritten.

    Both slow down what they look at: the figures tell where the time goes, not how much it is. Raises ResponseError
    if the first answer is no success.
    """
    batched = [request] * batch
    files = [str(entry.source) for entry in worker.model.entries() if entry.name.endswith(".py")]
    looked_into = worker.in_this_process()
    try:
        with _codes(files) as codes:
            looked_into.predict(*batched).raise_for_status()
        table = _torch(looked_into, batched, calls, path := Path(trace))
        return Profile(calls, table, path, *_lines(looked_into, batched, calls, codes))
    finally:
        if looked_into is not worker:
            looked_into.close()


def _torch(worker: Worker, batched: Sequence[Request], calls: int, trace: Path) -> str:
    """torch.profiler's table, the operators that took longest by themselves first."""
    before = os.environ.get("KINETO_LOG_LEVEL")
    os.environ["KINETO_LOG_LEVEL"] = "99"  # it writes of its start and end, and of missing GPUs, on stderr
    try:
        import torch
        from torch.profiler import ProfilerActivity

        activities, order = [ProfilerActivity.CPU], "self_cpu_time_total"
        if torch.cuda.is_available():
            activities, order = [*activities, ProfilerActivity.CUDA], "self_cuda_time_total"
        with torch.profiler.profile(activities=activities) as found:
            for _ in range(calls):
                worker.predict(*batched)
        found.export_chrome_trace(str(trace))
    finally:
        if before is None:
            del os.environ["KINETO_LOG_LEVEL"]
        else:
            os.environ["KINETO_LOG_LEVEL"] = before
    return str(found.key_averages().table(sort_by=order, row_limit=_OPERATORS))


def _lines(
    worker: Worker, batched: Sequence[Request], calls: int, codes: Collection[CodeType]
) -> tuple[tuple[LineTime, ...], str]:
    """The lines of the functions with these codes; or none, and why."""
    try:
        from line_profiler import LineProfiler
    except ModuleNotFoundError:
        return (), _MISSING
    functions = [one for one in gc.get_referrers(*codes) if isinstance(one, FunctionType)] if codes else []
    own = [(function, function.__code__) for function in functions if function.__code__ in codes]
    profiler = LineProfiler()
    try:
        for function, _ in own:
            profiler.add_function(function)  # gives it another code, which line_profiler recognizes
        profiler.enable_by_count()
        try:
            for _ in range(calls):
                worker.predict(*batched)
        finally:
            profiler.disable_by_count()
        stats = profiler.get_stats()
    finally:
        for function, code in own:
            function.__code__ = code
    return tuple(_told(stats.timings, stats.unit)), "" if own else "none of the handler's own code ran"


def _told(timings: Any, unit: float) -> Iterator[LineTime]:
    for (file, _, name), lines in timings.items():
        for number, hits, time in lines:
            source = linecache.getline(file, number).rstrip()
            yield LineTime(Path(file).name, name, number, hits, time * unit, source)


@contextmanager
def _codes(files: Collection[str]) -> Iterator[set[CodeType]]:
    """The codes of the model's own files that ran meanwhile."""
    codes: set[CodeType] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            codes.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield codes
    finally:
        sys.setprofile(before)
        codes.intersection_update([code for code in codes if _is_own(code.co_filename, files)])


def _is_own(path: str, files: Collection[str]) -> bool:
    """Whether it is one of these files; of those that come with the kit, a copy in a model_dir."""
    copied = Path(path).with_name(ARCHIVE_FOLDER).is_dir() and any(Path(file).name == Path(path).name for file in files)
    return path in files or copied
