"""What a worker gets at its start, and what a load and a call return: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from handlerkit import why
from handlerkit.memory import Memory
from handlerkit.messages import ErrorInfo, Finding, Geometry, SideEffect
from handlerkit.model import Model
from handlerkit.serving.config import Config
from handlerkit.serving.worker_death import WorkerDeath
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
        path: what is in its sys.path before the installed packages.
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


class LoadReply(NamedTuple):
    """A handler that loaded: what TorchServe's loader found ("class Name"), what it does to an input image, and what it
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
        death: why the worker cannot send its answer; None if it can.
        bodies: what each row holds as "body" (why.kind_of_body).
        recorded: whether the handler made a call of its context that a rule may look at (why.record_calls).
        memory: the most it took, if that was measured.
        seen: what the handler did beyond its own files.
        holds_much: whether what is kept of the call for `explain` may be large, so that it is to be let go of at once.

    `plain` is what `of` makes one of: of classes in it there is none where the call went well, which are slow to read.
    """

    timings: Timings
    error: ErrorInfo | None = None
    death: WorkerDeath | None = None
    bodies: tuple[str, ...] = ()
    recorded: bool = False
    memory: Memory | None = None
    seen: tuple[SideEffect, ...] = ()
    holds_much: bool = False

    def plain(self) -> tuple[Any, ...]:
        return (self.timings.total, self.timings.stages, *self[1:])

    @classmethod
    def of(cls, plain: tuple[Any, ...]) -> Called:
        total, stages, *rest = plain
        return cls(Timings(total, stages), *rest)
