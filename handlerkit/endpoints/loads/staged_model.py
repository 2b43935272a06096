"""What every worker is given, wherever it runs: the model's files in a folder of its own, and its environment."""

from __future__ import annotations

import os
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlerkit import shell, why
from handlerkit.errors import LoadError, WorkerError
from handlerkit.folders import OwnFolder
from handlerkit.messages import LogLine, Response
from handlerkit.model import READY_MADE_FOLDER, Model
from handlerkit.serving.config import Config
from handlerkit.serving.torchserve_facts import DECODE_INPUT
from handlerkit.serving.worker_death import WorkerDeath
from handlerkit.serving.workers import worker_command
from handlerkit.worker_process.assignment import Assignment, Failed
from handlerkit.worker_process.log_capture import Journal, PlainPaths
from handlerkit.worker_process.model_files import ModelFiles
from handlerkit.worker_process.user_files import UserFiles

#: The answer of the management API to registering a model that does not load, by its status.
Refusal = Callable[[int], Response]


@dataclass(frozen=True)
class WorkerSpec:
    """The worker that is asked for: what it loads, and how that is registered.

    Attributes:
        gpu_id: the device it gets; None on a CPU.
        environment: variables beside the shell's.
        response_timeout, startup_timeout: in seconds.
        refusal: what the management API answers if the model does not load.
    """

    model: Model
    config: Config
    batch_size: int
    gpu_id: int | None
    environment: Mapping[str, str]
    response_timeout: int
    startup_timeout: int
    refusal: Refusal


class StagedModel:
    """A model laid out as TorchServe unpacks it.

    Attributes:
        folder: a new temporary one; `remove()` removes it, and so does the interpreter's end.
        model_dir: where the model's files are, in it.
        borrowed: the variables of its environment that a worker in this process is given.
        given: the model as its worker gets it.
        journal: what the worker logs, with the paths in model_dir as the user knows them.

    Raises ModelError if a file of the model is gone or cannot be read, WorkerError if there is no place for it.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        model, config = spec.model, spec.config
        try:
            files = ModelFiles(model)
            self._own = OwnFolder()
            self.folder, self.remove = self._own.path, self._own.remove
            try:
                (self.folder / "logs").mkdir()
                self.model_dir = model.stage(self.folder / uuid.uuid4().hex)
            except BaseException:
                self.remove()
                raise
        except OSError as problem:
            raise WorkerError(f"the files of {model.name} cannot be staged: {problem.strerror or problem}") from problem
        python = [entry for entry in model.entries() if entry.name.endswith(".py")]
        kit = str(READY_MADE_FOLDER.parent) + os.sep  # whose frames tracebacks leave out
        sources = {entry.name: str(entry.source) for entry in python if not str(entry.source).startswith(kit)}
        self.journal = Journal(PlainPaths(self.model_dir, UserFiles(str(self.model_dir), sources)))
        outer = shell.environment() | dict(spec.environment)
        environment = worker_command.environment(
            outer, model.handler, str(self.model_dir), config, str(self.folder / "logs")
        )
        path = environment["PYTHONPATH"].split(os.pathsep)
        self.borrowed = {**spec.environment, DECODE_INPUT: environment[DECODE_INPUT]}
        self.given = Assignment(
            model, files, self.model_dir, tuple(entry.name for entry in python), sources, config,
            spec.batch_size, spec.gpu_id, notebook(spec.environment), environment,
            worker_command.command_line(str(self.folder / ".ts.sock.9000"), config), _absolute(path, self.model_dir),
            shell.UMASK,
        )  # fmt: skip

    def discard(self) -> None:
        """Remove the folder without waiting for that, which on some file systems takes longer than a load."""
        threading.Thread(target=self.remove, name="handlerkit removes a folder").start()

    def refused(self, failed: Failed, logs: Sequence[LogLine], response: Response) -> LoadError:
        """Why the model does not load."""
        return LoadError(
            f"{self.given.model.name} does not load", response=response, error=failed.error, findings=failed.findings,
            logs=tuple(line.text for line in logs), reported=failed.reported,
        )  # fmt: skip

    def died(self, death: WorkerDeath, logs: Sequence[LogLine]) -> Failed:
        """The worker ended while it loaded the model."""
        model = self.given.model
        setup = why.Setup(model.name, model.version, model.handler)
        attempt = why.Attempt(setup, loading=True, death=death, logs=logs)
        found = why.explain(why.Evidence(attempt, why.CodeFiles(self.given.own, self.model_dir)))
        return Failed(None, found, False, False)


def notebook(environment: Mapping[str, str]) -> why.Notebook:
    """What this process has and a worker with these variables beside the shell's has not."""
    modules = frozenset(name for name in sys.modules if "." not in name)
    names, variables_set = frozenset(vars(sys.modules["__main__"])), shell.set_here() - environment.keys()
    return why.Notebook(modules, names, environment=variables_set)


def _absolute(path: Sequence[str], folder: Path) -> tuple[str, ...]:
    """What Python makes of it in that folder."""
    return tuple(dict.fromkeys(os.path.normpath(folder / entry) for entry in path))
