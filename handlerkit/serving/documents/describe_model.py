"""The management API's description of a model, with a handler's answer to a describe request in it.

GET /models/<model>?customized=true calls the handler with one empty row and the header describe: True. If its answer is
a JSON object, it becomes the description's customizedMetadata.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ..config import Config, whole_number
from ..torchserve_facts import DEFAULTS, FIRST_WORKER
from ..worker_death import WorkerDied, no_description
from . import gson

#: Keys that the description repeats from model-config.yaml, with their defaults.
_DEFAULTS: dict[str, Any] = {
    "maxRetryTimeoutInSec": DEFAULTS["maxRetryTimeoutInSec"],
    "clientTimeoutInMills": 0,
    "parallelType": "",
    "parallelLevel": 0,
    "deviceType": "cpu",
    "continuousBatching": False,
    "useJobTicket": False,
    "useVenv": False,
    "stateful": False,
    "sequenceMaxIdleMSec": 0,
    "sequenceTimeoutMSec": 0,
    "maxNumSequence": 0,
    "maxSequenceJobQueueSize": 0,
}


class WorkerState(NamedTuple):
    """A worker as the description has it."""

    number: int
    since: datetime
    serves: bool
    pid: int
    gpu: bool

    def described(self) -> dict[str, Any]:
        """Its entry."""
        return {
            "id": str(self.number),
            "startTime": f"{self.since:%Y-%m-%dT%H:%M:%S}.{self.since.microsecond // 1000:03}Z",
            "status": "READY" if self.serves else "UNLOADING",
            "memoryUsage": 0,
            "pid": self.pid,
            "gpu": self.gpu,
            "gpuUsage": "N/A",
        }


@dataclass(frozen=True)
class Registered:
    """A registered model. Delay in milliseconds, time-outs in seconds."""

    name: str
    version: str
    runtime: str
    batch_size: int
    max_batch_delay: int
    response_timeout: int
    startup_timeout: int
    job_queue_size: int
    settings: Mapping[str, Any]
    gpu: bool
    since: datetime
    min_workers: int = 1
    max_workers: int = 1

    @classmethod
    def now(
        cls,
        name: str,
        version: str,
        runtime: str,
        settings: Mapping[str, Any] | None,
        config: Config,
        *,
        batch_size: int | None,
        max_batch_delay: int | None,
        response_timeout: int | None,
        gpu: bool,
        workers: tuple[int, int] = (1, 1),
    ) -> Registered:
        """A model that is registered now.

        Args:
            settings: model-config.yaml, read; None where the model has none. One sets the register call's time-out and
                the defaults of config.properties aside, and counts less than its batch size and delay.
            batch_size, max_batch_delay, response_timeout: of the register call, None for what it does not say.
            workers: the least and the most.
        """
        known = settings or {}
        batch = batch_size or whole_number(known, "batchSize")
        delay = whole_number(known, "maxBatchDelay") if max_batch_delay is None else max_batch_delay
        queue = whole_number(known, "jobQueueSize") or config.job_queue_size
        if settings is None:
            timeout = config.default_response_timeout if response_timeout is None else response_timeout
            startup = config.default_startup_timeout
        else:
            timeout, startup = whole_number(known, "responseTimeout"), whole_number(known, "startupTimeout")
        return cls(
            name, version, runtime, batch, delay, timeout, startup, queue, known, gpu, datetime.now(timezone.utc),
            *workers,
        )  # fmt: skip

    @property
    def client_timeout(self) -> float:
        """Seconds after which a client gets no answer any more; 0 for no limit."""
        return whole_number(self.settings, "clientTimeoutInMills") / 1000

    @property
    def has_sequences(self) -> bool:
        """Whether its requests belong to sequences."""
        return bool(self.settings.get("sequenceBatching"))

    def describe(self, answered: bytes, workers: Sequence[WorkerState] = (), pending: int = 0) -> bytes:
        """The management API's answer, with the handler's in it. Raises WorkerDied for one that Gson cannot read or
        write.

        Without `workers`, this process stands for the one; `pending` requests wait.
        """
        workers = workers or [WorkerState(FIRST_WORKER, self.since, True, os.getpid(), self.gpu)]
        known = {key: self.settings.get(key, default) for key, default in _DEFAULTS.items()}
        known["stateful"] = self.has_sequences
        description = {
            "modelName": self.name,
            "modelVersion": self.version,
            "modelUrl": f"{self.name}.mar",
            "runtime": self.runtime,
            "minWorkers": self.min_workers,
            "maxWorkers": self.max_workers,
            "batchSize": self.batch_size,
            "maxBatchDelay": self.max_batch_delay,
            "responseTimeout": self.response_timeout,
            "startupTimeout": self.startup_timeout,
            **known,
            "loadedAtStartup": False,
            "workers": [worker.described() for worker in workers],
            "jobQueueStatus": {"remainingCapacity": self.job_queue_size - pending, "pendingRequests": pending},
        }
        with suppress(EOFError):
            description["customizedMetadata"] = _object(gson.from_utf8(answered))
        try:
            return gson.to_utf8(gson.write([description]) + "\n")
        except gson.DepthError as problem:
            raise WorkerDied(no_description(problem)) from None


def _object(answered: str) -> Any:
    """The object in an answer, {} for anything else. Raises EOFError for an empty answer, and WorkerDied."""
    try:
        read = gson.read(answered)
    except gson.JsonError:
        return {}
    except gson.EscapeError as problem:
        raise WorkerDied(no_description(problem)) from None
    return read if isinstance(read, dict) else {}
