"""What a rule looks at, and what TorchServe answers in each kind of failure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from handlerkit.messages import ErrorInfo, Finding, Frame, HttpRequest, LogLine, Response
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.wire import Job, WorkerResponse

LOAD = f"Registering the model answers 500 '{facts.NOT_STARTED}'; the cause stands only in the server's log."
FAILED = f"Every client of the batch gets 503 '{facts.FAILED}'; the exception stands only in the server's log."
DIED = f"Every client of the batch gets 500 '{facts.DIED}', and the worker is started again."
NOTHING = "Nothing is logged, and the client is told nothing of it."


class Setup(NamedTuple):
    """How the model is registered. Delay in ms, timeouts in seconds, sizes in bytes; `asked_timeout` is the
    response_timeout that was asked for where a config file sets it aside."""

    model: str = ""
    version: str = ""
    handler: str = ""
    batch_size: int = facts.DEFAULTS["batchSize"]
    max_batch_delay: int = facts.DEFAULTS["maxBatchDelay"]
    response_timeout: int = facts.RESPONSE_TIMEOUT
    asked_timeout: int | None = None
    max_response_size: int = facts.MAX_RESPONSE_SIZE
    decode_input: bool = True
    own_metrics: bool = False


_NO_SETUP = Setup()


class RecordedCall(NamedTuple):
    """A call of one of the context's methods that a rule may want to know of: which method, its arguments, what it
    gave back, and the line that called it."""

    method: str
    arguments: tuple[Any, ...]
    value: Any
    file: str
    line: int


class Notebook(NamedTuple):
    """What the notebook has and a worker has not: its modules, by their top-level names, and its variables. A handler
    that misses one of them is told so."""

    modules: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


_NO_NOTEBOOK = Notebook()


@dataclass(slots=True, eq=False)
class Evidence:
    """What is known of a load or a call while its objects are still alive; never kept.

    Attributes:
        error, info: the exception, live and as plain data.
        files: the names of the model's own Python files; `folder` is the model_dir they stand in.
        classes: those the loader found in the handler module.
        returned: what came back from the entry point; `result` what the handler itself returned, inside an envelope.
        rows: what the handler was given, perhaps changed by it since; `jobs` are as the frontend queued them.
        died: how the worker process ended, as "kind: sentence"; "" where it lives.
        logged: what a worker in another process said of the returned value, which is not at hand then.
        answer, intermediate: the worker's answer, and those of a stream before it.
        noted: the calls of the context that `watch` kept.
        remote: the call ran in a server; returned, result and noted are not at hand.
        undeclared: modules that are installed here, and not where the handler runs, with their distribution's name.
        notebook: what a notebook has that the worker has not.
    """

    error: BaseException | None = None
    info: ErrorInfo | None = None
    loading: bool = False
    files: tuple[str, ...] = ()
    classes: tuple[type, ...] = ()
    returned: Any = None
    rows: Sequence[Any] = ()
    died: str = ""
    logged: str = ""
    setup: Setup = _NO_SETUP
    folder: Path | None = None
    envelope: str | None = None
    requests: Sequence[HttpRequest] = ()
    jobs: Sequence[Job] = ()
    answer: WorkerResponse | None = None
    intermediate: Sequence[WorkerResponse] = ()
    responses: Sequence[Response] = ()
    result: Any = None
    noted: Sequence[RecordedCall] = ()
    logs: Sequence[LogLine] = ()
    seconds: float = 0.0
    describe: bool = False
    remote: bool = False
    notebook: Notebook = _NO_NOTEBOOK
    undeclared: Mapping[str, str] = field(default_factory=dict)

    @property
    def frame(self) -> Frame | None:
        """The innermost line of the model's own files."""
        frames = self.info.frames if self.info else ()
        return next((frame for frame in reversed(frames) if frame.file in self.files), None)

    @property
    def where(self) -> str:
        """That line, as a reader finds it."""
        frame = self.frame
        return place(frame.file, frame.line, frame.function, frame.source) if frame else ""

    @property
    def name(self) -> str:
        """The exception's class and text on one line."""
        text = re.sub(r"\b0x[0-9a-f]{6,}\b", "0x…", " ".join(self.text.split()))
        text = text.removesuffix(".") if len(text) <= 300 else text[:299] + "…"
        return f"{type(self.error).__name__}: {text}" if text else type(self.error).__name__

    @property
    def text(self) -> str:
        """The exception's text; empty where there is none."""
        return "" if self.error is None else str(self.error)

    @property
    def functions(self) -> tuple[tuple[str, str], ...]:
        """(file, function) of each frame of the traceback, outermost first."""
        return tuple((frame.file, frame.function) for frame in self.info.frames) if self.info else ()


def place(file: str, line: int, function: str, source: str) -> str:
    """`handler.py, line 4, in handle: return {'a': 1}`."""
    return f"{file}, line {line}, in {function}: {source}"


#: The finding, or None where the rule does not fit.
Rule = Callable[[Evidence], Finding | None]
