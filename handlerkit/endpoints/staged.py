"""What every worker is given, wherever it runs: the model's files in a folder of its own, and its environment."""

from __future__ import annotations

import shutil
import threading
import uuid
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace

from handlerkit import why
from handlerkit.endpoints.config import Config
from handlerkit.endpoints.guarded import make_folder
from handlerkit.endpoints.logs import Journal
from handlerkit.errors import LoadError
from handlerkit.messages import LogLine, Response
from handlerkit.model import Model
from handlerkit.wire import DECODE_INPUT

#: The answer of the management API to registering a model that does not load, by its status.
Refusal = Callable[[int], Response]


class Staged:
    """A model laid out as TorchServe unpacks it.

    Attributes:
        folder: a new temporary one; `remove()` removes it, and so does the interpreter's end.
        model_dir: where the model's files are, in it.
        files: the names of the model's own Python files.
        journal: what the worker logs, with this model_dir's paths told as the user knows them.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.folder = make_folder()
        self.remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.model_dir = model.stage(self.folder / uuid.uuid4().hex)
        self.files = tuple(entry.name for entry in model.entries() if entry.name.endswith(".py"))
        self.journal = Journal(self.model_dir)

    def discard(self) -> None:
        """Remove the folder without waiting for that, which on some file systems takes longer than a load."""
        threading.Thread(target=self.remove, name="handlerkit removes a folder").start()

    def refused(self, evidence: why.Evidence, logs: Sequence[LogLine], response: Response) -> LoadError:
        """Why the model does not load."""
        setup = why.Setup(self.model.name, self.model.version, self.model.handler)
        findings = why.explain(replace(evidence, loading=True, files=self.files, folder=self.model_dir, setup=setup))
        return LoadError(
            f"{self.model.name} does not load", response=response, error=evidence.info, findings=findings,
            logs=tuple(line.text for line in logs),
        )  # fmt: skip


def variables(config: Config) -> dict[str, str]:
    """What TorchServe adds to the environment of its workers."""
    return {
        DECODE_INPUT: str(config.decode_input_request).lower(),
        "TS_IPEX_ENABLE": "false",
        "TS_IPEX_GPU_ENABLE": "false",
    }
