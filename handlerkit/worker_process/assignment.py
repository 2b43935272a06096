"""What a worker is told at its start, what it is asked of a call, and what comes back: plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from handlerkit import why
from handlerkit.memory import Memory
from handlerkit.messages import ErrorInfo, Finding, Geometry, HttpRequest, LogLine, Response, SideEffect
from handlerkit.model import Model
from handlerkit.serving.config import Config
from handlerkit.serving.wire import Job, WorkerResponse
from handlerkit.timing import Timings
from handlerkit.worker_process.model_files import ModelFiles


@dataclass(frozen=True)
class Assignment:
    """The model that a worker loads, and what TorchServe starts it with.

    Attributes:
        files: the model's files, as they were before they were staged.
        model_dir: where they are staged; the worker's working directory.
        own: the names of the model's own Python files.
        sources: the user's file of each of them, where its code is to carry that file's name.
        environment: every variable of the process.
        command: its sys.argv.
        path: what stands in its sys.path before the installed packages.
        umask: the shell's.
    """

    model: Model
    files: ModelFiles
    model_dir: Path
    own: tuple[str, ...]
    sources: Mapping[str, str]
    config: Config
    batch_size: int
    gpu_id: int | None
    notebook: why.Notebook
    environment: Mapping[str, str]
    command: tuple[str, ...]
    path: tuple[str, ...]
    umask: int


class Loaded(NamedTuple):
    """A handler that loaded: what TorchServe's loader found ("class Name"), what it does to a photograph, and what it
    did beyond its own files."""

    entry_point: str
    geometry: Geometry | None
    seen: tuple[SideEffect, ...]


class Failed(NamedTuple):
    """A handler that did not load. `memory`: for lack of it; `reported`: the worker tells the frontend, as of a
    RuntimeError and a MemoryError, and dies of any other exception."""

    error: ErrorInfo | None
    findings: tuple[Finding, ...]
    memory: bool
    reported: bool


class Called(NamedTuple):
    """What one call led to.

    Attributes:
        timings: where its time went.
        error: what was raised.
        died: why the worker cannot send its answer, as "kind: sentence"; "" where it can.
        bodies: what each row holds as "body" (why.kind_of_body).
        noted: whether the handler asked its context for something that a rule may want to know of.
        memory: the most it took, where that was asked for.
        seen: what the handler did beyond its own files.
    """

    timings: Timings
    error: ErrorInfo | None
    died: str
    bodies: tuple[str, ...]
    noted: bool
    memory: Memory | None
    seen: tuple[SideEffect, ...]


@dataclass(frozen=True)
class Question:
    """Why the last call went as it did: what the frontend knows of it."""

    setup: why.Setup
    envelope: str | None
    requests: Sequence[HttpRequest]
    jobs: Sequence[Job]
    responses: Sequence[Response]
    answer: WorkerResponse | None
    intermediate: Sequence[WorkerResponse]
    logs: Sequence[LogLine]
    died: str
    seconds: float
    describe: bool
    notebook: why.Notebook
