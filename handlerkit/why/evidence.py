"""What a rule looks at."""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from handlerkit.messages import ErrorInfo, Finding, Frame, HttpRequest, LogLine, Response
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.wire import Job, WorkerResponse
from handlerkit.serving.worker_death import WorkerDeath
from handlerkit.why.effects import FAILED, LOAD, LOAD_OUT_OF_MEMORY

_UNNAMED = ("builtins", "__main__")  # whose classes tracebacks name without the module
#: Where the text of an exception goes on with the stack of its C++ code.
_CPP_TRACE = re.compile(r"\s*\n(?:Exception raised from .+ \(most recent call first\)|C\+\+ CapturedTraceback):", re.S)
_SCRIPT_TRACE = "failed in the TorchScript interpreter"
#: Folders of installed packages, and temporary ones.
_FOLDERS = re.compile(
    rf"(?<![\w.])/(?:[^\s'\"()/]+/)*(?:site-packages|lib/python3\.\d+)/|{re.escape(tempfile.gettempdir())}/(?:[^\s'\"()/]+/)*"
)


class Setup(NamedTuple):
    """How the model is registered. Delay in ms, timeouts in seconds, sizes in bytes.

    Attributes:
        overridden_timeout: the register call's response_timeout where a config file takes its place.
        declares_metrics: the server takes metrics that TorchServe's own metrics.yaml does not declare.
    """

    model: str = ""
    version: str = ""
    handler: str = ""
    batch_size: int = facts.DEFAULTS["batchSize"]
    max_batch_delay: int = facts.DEFAULTS["maxBatchDelay"]
    response_timeout: int = facts.RESPONSE_TIMEOUT
    overridden_timeout: int | None = None
    max_response_size: int = facts.MAX_RESPONSE_SIZE
    decode_input: bool = True
    declares_metrics: bool = False


class Notebook(NamedTuple):
    """What this process has and the worker may not have: its modules, by their top-level names, its variables, and the
    variables that its environment was given since it started. If a handler misses one of them, the finding says so.

    Attributes:
        undeclared: modules that are installed here and not where the handler runs, with their distribution's name.
    """

    modules: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    undeclared: Mapping[str, str] = {}
    environment: frozenset[str] = frozenset()


class Attempt(NamedTuple):
    """A load, or the call of a worker with a batch of requests, as the frontend knows it: plain data.

    The fields after `notebook` stay empty for a load.

    Attributes:
        death: why the worker is gone; None if it lives.
        requests, jobs, responses: one of each for every request of the batch; the jobs are as the frontend queued them.
        describe: the batch is a describe request.
        answer: the worker's last answer; None if it gave none.
        intermediate: those of a stream before it.
        seconds: how long the call took.
        raised: the handler raised.
        bodies: `kind_of_body` of each row.
        recorded: the handler made a call of its context that is in Evidence.calls.
        first: the first call since the load with one request, or with several.
        reported: the names of the findings that calls since the load have led to.
    """

    setup: Setup = Setup()
    loading: bool = False
    death: WorkerDeath | None = None
    notebook: Notebook = Notebook()
    envelope: str | None = None
    requests: Sequence[HttpRequest] = ()
    jobs: Sequence[Job] = ()
    describe: bool = False
    answer: WorkerResponse | None = None
    intermediate: Sequence[WorkerResponse] = ()
    responses: Sequence[Response] = ()
    logs: Sequence[LogLine] = ()
    seconds: float = 0.0
    raised: bool = False
    bodies: Sequence[str] = ()
    recorded: bool = False
    first: bool = False
    reported: frozenset[str] = frozenset()

    @property
    def failed(self) -> bool:
        """Whether the call failed as a whole; one request may have an error status of its own though it did not."""
        return self.raised or self.death is not None or self.answer is None or self.answer.code != 200


def kind_of_body(row: Any) -> str:
    """What a row holds as "body": "" for a plain value, "empty", or "bytes" for one that was not decoded."""
    value = row.get("body") if type(row) is dict else None
    if type(value) is bytearray:
        return "bytes" if value else "empty"
    try:
        return "" if value else "empty"
    except Exception:  # the handler put something else there: an array is neither true nor false
        return ""


class CodeFiles(NamedTuple):
    """The model's own code: the names of its Python files, the folder they are in, and the classes that TorchServe's
    loader found in the handler's file."""

    files: tuple[str, ...] = ()
    folder: Path | None = None
    classes: tuple[type, ...] = ()


class Returned(NamedTuple):
    """What came back from the entry point, and, inside an envelope, from the handler itself."""

    value: Any
    inner: Any = None


#: The index of a call of the context that is about every request.
ALL = "all"


class RecordedCall(NamedTuple):
    """A call of the context that a rule looks at, and the line that made it.

    Attributes:
        kind: what it did: read a header, asked for one that was sent in another casing, read `explain` or `describe`,
            set a status; asked whether DEBUG is logged; or wrote a file into model_dir.
        value: what it gave back; for "header_missed", the header's name as it was sent.
    """

    kind: Literal["header_found", "header_missed", "explain_or_describe", "set_response_status", "debug", "wrote"]
    arguments: tuple[Any, ...] = ()
    value: Any = None
    file: str = ""
    line: int = 0

    @property
    def file_name(self) -> str:
        """The name of that line's file."""
        return self.file.rpartition("/")[2]


@dataclass(slots=True, eq=False)
class Evidence:
    """What is known of a load or a call while its objects are still alive; never kept.

    Attributes:
        attempt: what the frontend knows.
        error, info: the exception, alive and as plain data.
        rows: what the handler was given; it may have changed them since.
        returned: None if that is not at hand, as it is not if a server ran the handler.
        calls: those of the context that `record_calls` kept.
        logged: what a server's worker logged of the returned value; "" elsewhere.
        earlier: the exceptions that were being handled when `error` was raised, the last before it first.
    """

    attempt: Attempt
    source: CodeFiles
    error: BaseException | None = None
    info: ErrorInfo | None = None
    rows: Sequence[Any] = ()
    returned: Returned | None = None
    calls: Sequence[RecordedCall] = ()
    logged: str = ""
    earlier: Sequence[tuple[BaseException, ErrorInfo]] = ()

    @property
    def frame(self) -> Frame | None:
        """The innermost line of the model's own files."""
        frames = self.info.frames if self.info else ()
        return next((frame for frame in reversed(frames) if frame.file in self.source.files), None)

    def raised_in(self, file: str, function: str = "") -> bool:
        """Whether the exception was raised in a file whose path ends so, and in this function of it."""
        inner = self.functions[-1] if self.functions else None
        return inner is not None and inner[0].endswith(file) and function in ("", inner[1])

    @property
    def raised_in_own(self) -> bool:
        """Whether the exception was raised in one of the model's own files."""
        return bool(self.functions) and self.functions[-1][0] in self.source.files

    @property
    def where(self) -> str:
        """That line, as a reader finds it."""
        frame = self.frame
        return place(frame.file, frame.line, frame.function, frame.source) if frame else ""

    def trace(self, frame: Frame) -> TracebackType | None:
        """That line of the live exception's traceback; None where the exception comes from a log."""
        trace, found = self.error.__traceback__ if self.error is not None else None, None
        while trace is not None:
            if trace.tb_lineno == frame.line and trace.tb_frame.f_code.co_name == frame.function:
                found = trace
            trace = trace.tb_next
        return found

    def row_names(self, frame: Frame) -> set[str]:
        """The variables of that line that are one of the rows themselves."""
        trace = self.trace(frame)
        rows = {id(row) for row in self.rows if isinstance(row, dict)}
        return {name for name, value in trace.tb_frame.f_locals.items() if id(value) in rows} if trace else set()

    @property
    def effect(self) -> str:
        """What TorchServe does about an exception."""
        if not self.attempt.loading:
            return FAILED
        is_cuda = isinstance(self.error, RuntimeError) and "CUDA" in self.text
        return LOAD_OUT_OF_MEMORY if is_cuda or isinstance(self.error, MemoryError) else LOAD

    @property
    def error_line(self) -> str:
        """The exception's class, named as in a traceback, and its text on one line."""
        kind = type(self.error)
        name = kind.__qualname__ if kind.__module__ in _UNNAMED else f"{kind.__module__}.{kind.__qualname__}"
        return f"{name}: {self.said}" if self.said else name

    @property
    def said(self) -> str:
        """The exception's text on one line, without addresses, stack traces of C++ and this machine's folders."""
        text = _CPP_TRACE.split(self.text, 1)[0]
        if _SCRIPT_TRACE in text:  # whose last line is the error itself
            text = text.rstrip().rpartition("\n")[2].partition("Error: ")[2] or text
        if self.source.folder is not None:
            text = text.replace(f"{self.source.folder}/", "").replace(str(self.source.folder), "model_dir")
        text = _FOLDERS.sub("", re.sub(r"\b0x[0-9a-f]{6,}\b", "0x…", " ".join(text.split())))
        return text.rstrip(".!") if len(text) <= 300 else text[:298].rpartition(" ")[0] + " …"

    @property
    def text(self) -> str:
        """The exception's text; empty if there is none."""
        return "" if self.error is None else str(self.error)

    @property
    def functions(self) -> tuple[tuple[str, str], ...]:
        """(file, function) of each frame of the traceback, outermost first."""
        return tuple((frame.file, frame.function) for frame in self.info.frames) if self.info else ()


def place(file: str, line: int, function: str, source: str) -> str:
    """`handler.py, line 4, in handle: return {'a': 1}`."""
    return f"{file}, line {line}, in {function}: {source}"


#: The finding, or None if the rule does not fit.
Rule = Callable[[Evidence], Finding | None]


def once_per_load(rule: Rule) -> Rule:
    """The rule, silent if a call since the load has led to its finding."""

    @functools.wraps(rule)
    def speak(evidence: Evidence) -> Finding | None:
        found = rule(evidence)
        return None if found is None or found.name in evidence.attempt.reported else found

    return speak
