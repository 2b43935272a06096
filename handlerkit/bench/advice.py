"""What might save time, measured on the very requests and answers of a bench: never a guess."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any

from handlerkit.bench.cases import BenchCase
from handlerkit.bench.options import decodings, encodings
from handlerkit.bench.results import Advice, Measurement, Option

_PAYS = 1.1  # a batch is worth its delay if it answers so many times as many requests a second
_WORTH = 1e-3  # seconds; for less there is no advice
#: The stages in which a picture is read, and those in which the answer is made; Timings' names.
_READING, _ANSWERING = {"preprocess"}, {"postprocess", "envelope out", "encode"}
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def advise(cases: Sequence[BenchCase], rows: Sequence[Measurement]) -> Iterator[Advice]:
    """All advice there is for the cases of a Worker and their rows. Each sample is looked at in its smallest batch."""
    smallest: dict[str, tuple[BenchCase, Measurement]] = {}
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


def dominating(row: Measurement) -> set[str]:
    """The stages that take most of the time, of reading, answering, and each other one."""
    alone = [{name} for name in row.shares if name not in _READING | _ANSWERING]
    return max([_READING, _ANSWERING, *alone], key=lambda group: sum(row.shares.get(name, 0.0) for name in group))


def batches(rows: Sequence[Measurement]) -> Iterator[Advice]:
    """Where larger batches do not answer more requests a second: seconds a request, batch size by batch size."""
    for sample in dict.fromkeys(row.sample for row in rows):
        own = sorted((row for row in rows if row.sample == sample), key=lambda row: row.batch)
        if len(own) > 1 and max(row.throughput for row in own[1:]) < _PAYS * own[0].throughput:
            options = tuple(
                Option(str(row.batch), 1 / row.throughput, now=row is own[0]) for row in own if row.throughput
            )
            yield Advice("batches", sample, "time a request", 1 / own[0].throughput, own[0].median, options)


def _encode(case: BenchCase, row: Measurement, seconds: float) -> Iterator[Advice]:
    assert case.last is not None
    about, options = encodings(case.last.responses[0].body)
    if options:
        yield Advice("encode", row.sample, about, seconds, row.median, options)


def _decode(case: BenchCase, row: Measurement, seconds: float) -> Iterator[Advice]:
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
