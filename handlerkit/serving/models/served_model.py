"""What an application serves: models as they are registered with TorchServe, and their workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..config import Config, whole_number
from ..documents.describe_model import Registered
from ..http import HttpRequest, Response
from ..workers.any_worker import AnyWorker, Owner
from ..workers.processes import Supervisor
from ..workers.worker import LoadSpec, ProcessWorker
from .metrics import Metrics


@dataclass(frozen=True)
class Shared:
    """What the models of an application share.

    Attributes:
        rejected: called with each request that no worker gets, and its answer.
        numbers: those of the workers to come.
    """

    config: Config
    supervisor: Supervisor
    metrics: Metrics
    any_casing: bool
    rejected: Callable[[HttpRequest, Response], object]
    numbers: Iterator[int]


class AnyModel(Protocol):
    """A model that an application serves: a ServedModel, or one with other workers."""

    @property
    def name(self) -> str:
        """As requests name it."""

    def registered(self, config: Config) -> Registered:
        """How it is registered."""

    def workers(self, registered: Registered, shared: Shared, owner: Owner) -> Sequence[AnyWorker]:
        """Its workers, which are not started yet."""


@dataclass(frozen=True)
class ServedModel:
    """A model as it is registered with TorchServe, whose workers are processes of the application.

    Args:
        name, version: as requests name them.
        model_dir: the folder with its files, as an archive is unpacked.
        handler: the manifest's word for it.
        settings: model-config.yaml, read; None where the model has none.
        runtime: the manifest's.
        batch_size, max_batch_delay (milliseconds), response_timeout (seconds), initial_workers: what a register call
            may say; model-config.yaml's values count less than them, but its responseTimeout and workers more.
        gpu_ids: the devices that its workers are given in turn; empty on a CPU.
        python: the interpreter of its workers; the one that runs this where it is "".
        env: the environment of its workers; that of this process without one.
    """

    name: str
    version: str
    model_dir: str
    handler: str
    settings: Mapping[str, Any] | None = None
    runtime: str = "python"
    batch_size: int | None = None
    max_batch_delay: int | None = None
    response_timeout: int | None = None
    initial_workers: int = 1
    gpu_ids: Sequence[int] = ()
    python: str = ""
    env: Mapping[str, str] | None = None

    def registered(self, config: Config) -> Registered:
        """What follows from it."""
        settings = self.settings or {}
        least, most = whole_number(settings, "minWorkers"), whole_number(settings, "maxWorkers")
        if not least or most < least:
            least = most = self.initial_workers
        return Registered.now(
            self.name, self.version, self.runtime, self.settings, config, batch_size=self.batch_size,
            max_batch_delay=self.max_batch_delay, response_timeout=self.response_timeout, gpu=bool(self.gpu_ids),
            workers=(least, most),
        )  # fmt: skip

    def workers(self, registered: Registered, shared: Shared, owner: Owner) -> Sequence[AnyWorker]:
        """As many as it has at least."""
        given = LoadSpec(
            self.name, self.model_dir, self.handler, shared.config, registered.batch_size, registered.response_timeout,
            registered.startup_timeout, whole_number(registered.settings, "maxRetryTimeoutInSec"),
            self.python or sys.executable, shared.any_casing, self.env,
        )  # fmt: skip
        gpus = self.gpu_ids
        return [
            ProcessWorker(
                next(shared.numbers), given, shared.supervisor, owner, gpus[index % len(gpus)] if gpus else None
            )
            for index in range(registered.min_workers)
        ]
