"""What might save time, measured on the very requests and answers of a bench: never a guess."""

from __future__ import annotations

import base64
import binascii
import functools
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from handlerkit.bench.cases import Case
from handlerkit.bench.options import decodings, encodings, timed
from handlerkit.bench.results import Advice, Option, Row
from handlerkit.endpoints.guarded import shell_environment
from handlerkit.endpoints.worker import Worker

_PAYS = 1.1  # a batch that answers so many times as many requests a second is worth its delay
_WORTH = 1e-3  # seconds; what takes less is left alone
#: The stages in which a picture is read, and those in which the answer is made; Timings' names.
_READING, _ANSWERING = {"preprocess"}, {"postprocess", "envelope out", "encode"}
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def advise(cases: Sequence[Case], rows: Sequence[Row]) -> Iterator[Advice]:
    """All advice there is for the cases of a Worker and their rows. Each sample is looked at in its smallest batch."""
    smallest: dict[str, tuple[Case, Row]] = {}
    for case, row in zip(cases, rows, strict=True):
        if row.sample not in smallest or row.batch < smallest[row.sample][1].batch:
            smallest[row.sample] = case, row
    for case, row in smallest.values():
        stage = dominating(row)
        seconds = sum(row.stage(name) for name in stage)
        if case.last is None or seconds < _WORTH:
            continue
        if stage == _ANSWERING:
            yield from _encode(case, row, seconds)
        elif stage == _READING:
            yield from _decode(case, row, seconds)
    yield from batches(rows)
    if cases and isinstance(cases[0].endpoint, Worker) and not cases[0].endpoint.process:
        yield from _threads(cases[0], cases[0].endpoint, rows[0])


def dominating(row: Row) -> set[str]:
    """The stages that take most of the time, of reading, answering, and each other one."""
    alone = [{name} for name in row.shares if name not in _READING | _ANSWERING]
    return max([_READING, _ANSWERING, *alone], key=lambda group: sum(row.shares.get(name, 0.0) for name in group))


def batches(rows: Sequence[Row]) -> Iterator[Advice]:
    """Where larger batches do not answer more requests a second: seconds a request, batch size by batch size."""
    for sample in dict.fromkeys(row.sample for row in rows):
        own = sorted((row for row in rows if row.sample == sample), key=lambda row: row.batch)
        if len(own) > 1 and max(row.throughput for row in own[1:]) < _PAYS * own[0].throughput:
            options = tuple(
                Option(str(row.batch), 1 / row.throughput, now=row is own[0]) for row in own if row.throughput
            )
            yield Advice("batches", sample, "time a request", 1 / own[0].throughput, own[0].median, options)


def _encode(case: Case, row: Row, seconds: float) -> Iterator[Advice]:
    assert case.last is not None
    about, options = encodings(case.last.responses[0].body)
    if options:
        yield Advice("encode", row.sample, about, seconds, row.median, options)


def _decode(case: Case, row: Row, seconds: float) -> Iterator[Advice]:
    assert case.last is not None
    for data in pictures(case.last.calls[0].rows[0]):
        about, options = decodings(data)
        if options:
            yield Advice("decode", row.sample, about, seconds, row.median, options)
            return


def pictures(value: Any, depth: int = 0) -> Iterator[bytes]:
    """Image files in what a handler was given: bytes, base64 in text, and those in lists and dicts."""
    if isinstance(value, bytes | bytearray):
        if value.startswith(_PICTURES):
            yield bytes(value)
    elif isinstance(value, str):
        try:
            yield from pictures(base64.b64decode(re.sub(r"^data:[^,]*,", "", value), validate=True))
        except (binascii.Error, ValueError):
            return
    elif depth < 4 and isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value[:4]:
            yield from pictures(item, depth + 1)


def _threads(case: Case, worker: Worker, row: Row) -> Iterator[Advice]:
    """Where torch uses another number of threads here than in a worker of TorchServe: the time with both."""
    torch = sys.modules.get("torch")
    own = [entry.source for entry in worker.model.entries() if entry.name.endswith(".py")]
    if torch is None or any("set_num_threads" in path.read_text(errors="replace") for path in own):
        return  # a handler that chooses for itself does so in a worker too
    here, there = torch.get_num_threads(), worker_threads()
    if here == there:
        return
    options = []
    try:
        for threads in (here, there):
            torch.set_num_threads(threads)
            case.warm_up()
            where = "here" if threads == here else "in a TorchServe worker"
            options.append(Option(f"{threads} thread{'s' * (threads != 1)}, as {where}", timed(case.warm_up),
                                  now=threads == here))  # fmt: skip
    finally:
        torch.set_num_threads(here)
    yield Advice("threads", row.sample, "torch.get_num_threads()", options[0].seconds, row.median, tuple(options))


@functools.cache
def worker_threads() -> int:
    """torch.get_num_threads() of a new Python process with the environment that a worker of TorchServe starts with.
    Takes as long as importing torch, once."""
    program = "import torch; print(torch.get_num_threads())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=shell_environment(), capture_output=True, text=True, check=True
    )
    return int(done.stdout)
