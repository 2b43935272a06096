"""TorchServe's console log read back: what the workers wrote, and the exception a worker died of while it loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from handlerkit.messages import ErrorInfo, Frame, LogLine
from handlerkit.serving.torchserve_facts import CALL_BEGINS
from handlerkit.worker_process.log_capture import PlainPaths

#: 2026-11-21T21:11:17,153 [INFO ] W-9000-echo_1.0-stdout MODEL_LOG - the line
_WORKER_LINE = re.compile(r"(\d[\d-]+T[\d:,.]+) \[(\w+) *\] (W-\S+-std(?:out|err)) MODEL_LOG - (.*)")
#: How a traceback begins.
TRACEBACK = "Traceback (most recent call last):"
#: How the line begins that says what a handler returned where a list with a value for each request is due.
RETURNED = "model: "
_BETWEEN = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
#: What ts.service logs, with the exception, when a call fails: the last that a call logs.
_FAILED = ("Invoking custom service failed.", "Prediction error", "System out of memory", "CUDA out of memory")
#: What the worker logs, with the exception, before a call whose request has JSON that is none.
_UNDECODED = "Failed json decoding of input data. Forwarding encoded payload"
#: A worker writes a record at once: its lines follow each other within some milliseconds, on a busy machine a dozen.
_PAUSE = timedelta(milliseconds=30)
_FRAME = re.compile(r'  File "(.+)", line (\d+), in (.+)')
#: ts.model_service_worker: logged before the exception that ends the process ...
DIED = "Backend worker process died."
#: ... which is one of these where the handler's own, a RuntimeError or MemoryError, was logged before.
_REPORTED = ("RuntimeError: 500 - Unknown exception", "RuntimeError: 507 - System out of memory")
#: ts.model_loader looks for a default handler of that name when importing the handler raises ImportError.
_FALLBACK = "No module named 'ts.torch_handler."


class _Line(NamedTuple):
    time: datetime
    level: str
    stream: str
    text: str


def worker_lines(log: str, folder: Path, url: str) -> tuple[LogLine, ...]:
    """The lines workers wrote to stdout (INFO) and stderr (WARN), with paths in the archive as their names alone.

    Archives are unpacked to `folder`/tmp/models/<32 hex digits>/, folders are linked there from `folder`/store/`url`.
    """
    return tuple(LogLine(line.level, line.text) for line in _lines(log, folder, url))


@dataclass
class _Call:
    """What a worker logged in a call.

    Attributes:
        waits: the worker has not begun it yet.
        failed: when the record of its failure had its last line.
    """

    waits: bool = False
    lines: list[LogLine] = field(default_factory=list)
    failed: datetime | None = None


def calls(log: str, folder: Path, url: str, model: str) -> list[tuple[LogLine, ...]]:
    """What the workers of a model, named as in NAME_VERSION, logged in each call, as `worker_lines` has it: from the
    line by which the worker begins it, or gives up decoding the request, to the next such line. What a thread of the
    handler logs after the record of a failure is left out: the text of the exception would seem to go on with it."""
    begun: list[_Call] = []
    current: dict[str, _Call] = {}
    elsewhere: set[str] = set()  # what is logged outside of such records, numbers apart
    for line in _lines(log, folder, url):
        worker = line.stream.rpartition("-std")[0]
        if not model.startswith(worker.split("-", 2)[-1]):  # TorchServe shortens long names
            continue
        begins, is_undecoded = line.text.startswith(CALL_BEGINS), line.text == _UNDECODED
        if worker not in current or ((begins or is_undecoded) and not current[worker].waits):
            current[worker] = _Call(is_undecoded)
            begun.append(current[worker])
        call = current[worker]
        call.waits &= not begins
        if line.level == "INFO" and (call.failed or line.text in _FAILED):
            is_late = call.failed is not None and line.time - call.failed > _PAUSE
            if is_late and line.text != DIED:
                elsewhere.add(_kind(line.text))
                continue
            call.failed = line.time
        elif not begins:
            elsewhere.add(_kind(line.text))
        if not begins:
            call.lines.append(LogLine(line.level, line.text))
    for call in begun:
        while call.failed is not None and call.lines and _kind(call.lines[-1].text) in elsewhere:
            call.lines.pop()
    return [tuple(call.lines) for call in begun if call.lines]


def _kind(text: str) -> str:
    """A line without its numbers, in which those that a loop logs differ."""
    return re.sub(r"\d+", "0", text)


def last_error(log: str, folder: Path, url: str) -> ErrorInfo | None:
    """The exception the last worker died of; its traceback holds the ones it came from. None if there is none."""
    lines = list(_lines(log, folder, url))
    stream = next((line.stream for line in reversed(lines) if line.text == TRACEBACK), None)
    return error_in([line.text for line in lines if line.stream == stream])


def error_in(texts: Sequence[str]) -> ErrorInfo | None:
    """The exception of the last traceback in what one worker wrote to one of its streams; what follows is its message.

    An ImportError's fallback is in the traceback, but it is not the error.
    """
    parts = "\n".join(texts).split("\n" + DIED + "\n")
    chains = [chain for part in parts if (chain := _last_chain(part.split("\n")))]
    if not chains:
        return None
    chain = chains[-2] if len(chains) > 1 and chains[-1][-1] in _REPORTED else chains[-1]
    errors = [list(error) for error in _split(chain)]
    error = errors[-2] if len(errors) > 1 and any(_FALLBACK in line for line in errors[-1]) else errors[-1]
    return _error(error, chain)


def errors_before(info: ErrorInfo) -> Iterator[ErrorInfo]:
    """The exceptions that were being handled when this one was raised, the last before it first."""
    chain = info.traceback.rstrip("\n").split("\n")
    errors = list(_split(chain)) if TRACEBACK in chain else []
    for error in reversed(errors[:-1]):
        yield _error(list(error), error)


def _error(error: list[str], chain: Sequence[str]) -> ErrorInfo:
    head = next((at for at, line in enumerate(error[1:], 1) if not line.startswith(" ")), len(error) - 1)
    kind, _, message = "\n".join(error[head:]).partition(":")
    return ErrorInfo(kind.rpartition(".")[2], message.strip(), tuple(_frames(error[:head])), "\n".join(chain) + "\n")


def _lines(log: str, folder: Path, url: str) -> Iterator[_Line]:
    name = re.escape(url)
    unpacked = re.compile(rf"{re.escape(str(folder))}/(?:tmp/models/\w{{32}}/(?:{name}/)?|store/{name}/)")
    plain = PlainPaths(folder).plain
    for line in log.splitlines():
        if match := _WORKER_LINE.match(line):
            time, level, stream, text = match.groups()
            yield _Line(
                datetime.fromisoformat(time),
                level,
                stream,
                plain(unpacked.sub("", text).replace(str(folder), "<server>")),
            )


def _last_chain(texts: Sequence[str]) -> Sequence[str]:
    """From the first traceback of the last chain of exceptions to the end."""
    begins = [at for at, text in enumerate(texts) if text == TRACEBACK]
    if not begins:
        return []
    while len(begins) > 1 and texts[begins[-1] - 2] in _BETWEEN:
        begins.pop()
    return texts[begins[-1] :]


def _split(chain: Sequence[str]) -> Iterator[Sequence[str]]:
    """The exceptions of a chain, without the sentences between them."""
    begins = [at for at, text in enumerate(chain) if text == TRACEBACK]
    for begin, following in zip(begins, [*begins[1:], len(chain) + 3], strict=True):
        yield chain[begin : following - 3]


def _frames(error: Sequence[str]) -> Iterator[Frame]:
    for at, line in enumerate(error):
        if match := _FRAME.match(line):
            source = error[at + 1] if at + 1 < len(error) and error[at + 1].startswith("    ") else ""
            yield Frame(match[1], int(match[2]), match[3], source.strip())
