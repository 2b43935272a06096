"""What every worker is given, wherever it runs: the model's files in a folder of its own, and its environment."""

from __future__ import annotations

import os
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path

from handlerkit import why
from handlerkit.endpoints.supervision.supervised_process import shell_environment
from handlerkit.errors import LoadError
from handlerkit.folders import OwnFolder
from handlerkit.messages import LogLine, Response
from handlerkit.model import READY_MADE_MODULE, Model
from handlerkit.serving.config import Config
from handlerkit.serving.torchserve_facts import DECODE_INPUT
from handlerkit.shell import UMASK
from handlerkit.worker_process.assignment import Assignment, Failed
from handlerkit.worker_process.log_capture import Journal, PlainPaths
from handlerkit.worker_process.model_files import ModelFiles
from handlerkit.worker_process.user_files import UserFiles

#: The answer of the management API to registering a model that does not load, by its status.
Refusal = Callable[[int], Response]


class StagedModel:
    """A model laid out as TorchServe unpacks it.

    Attributes:
        folder: a new temporary one; `remove()` removes it, and so does the interpreter's end.
        model_dir: where the model's files are, in it.
        given: what a worker is told of it.
        journal: what the worker logs, with this model_dir's paths told as the user knows them.
    """

    def __init__(self, model: Model, config: Config, batch_size: int, gpu_id: int | None) -> None:
        files = ModelFiles(model)
        self._own = OwnFolder()
        self.folder, self.remove = self._own.path, self._own.remove
        try:
            self.model_dir = model.stage(self.folder / uuid.uuid4().hex)
        except BaseException:
            self.remove()
            raise
        python = [entry for entry in model.entries() if entry.name.endswith(".py")]
        kit = str(READY_MADE_MODULE.parents[1]) + os.sep  # whose frames tracebacks leave out
        sources = {entry.name: str(entry.source) for entry in python if not str(entry.source).startswith(kit)}
        self.journal = Journal(PlainPaths(self.model_dir, UserFiles(str(self.model_dir), sources)))
        path = _python_path(model, self.model_dir)
        self.given = Assignment(
            model, files, self.model_dir, tuple(entry.name for entry in python), sources, config, batch_size, gpu_id,
            notebook(), shell_environment() | variables(config, self.folder) | {"PYTHONPATH": os.pathsep.join(path)},
            _command(self.folder, config), _absolute(path, self.model_dir), UMASK,
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

    def died(self, died: str, logs: Sequence[LogLine]) -> Failed:
        """The worker ended while it loaded the model."""
        model = self.given.model
        setup = why.Setup(model.name, model.version, model.handler)
        found = why.explain(why.Evidence(
            loading=True, died=died, files=self.given.own, folder=self.model_dir, setup=setup, logs=logs,
        ))  # fmt: skip
        return Failed(None, found, False, False)


def variables(config: Config, folder: Path) -> dict[str, str]:
    """What TorchServe adds to the environment of its workers; the folders of its logs are those that it makes up."""
    logs = str(folder / "logs")
    return {
        DECODE_INPUT: str(config.decode_input_request).lower(),
        "TS_IPEX_ENABLE": "false",
        "TS_IPEX_GPU_ENABLE": "false",
        "LOG_LOCATION": logs,
        "METRICS_LOCATION": logs,
    }


def notebook() -> why.Notebook:
    """This process's modules and variables."""
    modules = frozenset(name for name in sys.modules if "." not in name)
    return why.Notebook(modules, frozenset(vars(sys.modules["__main__"])))


def worker_script() -> Path:
    """TorchServe's worker script; ts itself need not be imported."""
    spec = util.find_spec("ts")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model_service_worker.py"


def _command(folder: Path, config: Config) -> tuple[str, ...]:
    """The worker's command line (org.pytorch.serve.wlm.WorkerLifeCycle)."""
    script = worker_script()
    metrics = config.metrics_config or str(script.parent / "configs" / "metrics.yaml")
    socket = str(folder / ".ts.sock.9000")
    return str(script), "--sock-type", "unix", "--sock-name", socket, "--metrics-config", metrics


def _python_path(model: Model, model_dir: Path) -> list[str]:
    """PYTHONPATH as org.pytorch.serve.util.messages.EnvironmentUtils writes it."""
    file, colon, _ = model.handler.partition(":")
    return [*([file] if colon else []), str(model_dir), ""]


def _absolute(path: Sequence[str], folder: Path) -> tuple[str, ...]:
    """What Python makes of it in that folder."""
    return tuple(dict.fromkeys(os.path.normpath(folder / entry) for entry in path))
