"""The machine's metrics (CPU, memory, disk, GPUs), which TorchServe's own script collects every minute
(org.pytorch.serve.metrics.MetricManager)."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from ..workers.processes import Process, Supervisor
from .metrics import Metrics

_SCRIPT = "ts.metrics.metric_collector"
_LOGGER = logging.getLogger("serving")


class MachineMetrics:
    """Runs the script between `start` and `stop`.

    Args:
        interval: seconds from one run to the next.
        gpus: how many GPUs the machine has; without one the script asks for none.
    """

    def __init__(self, metrics: Metrics, supervisor: Supervisor, interval: float, gpus: int) -> None:
        self._metrics = metrics
        self._supervisor = supervisor
        self._interval = interval
        self._gpus = gpus
        self._process: Process | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Collect now, and again and again; a run that has not ended is waited for."""
        self._timer = asyncio.get_running_loop().call_later(self._interval, self.start)
        if self._process is None or self._process.ended.done():
            command = [sys.executable, "-m", _SCRIPT, "--gpu", str(self._gpus)]
            try:
                self._process = self._supervisor.start(command, self._supervisor.folder, os.environ, self._hear)
            except OSError as problem:  # no file is left to open: the next run may find one
                _LOGGER.warning("the machine's metrics: %s", problem)

    def stop(self) -> None:
        """Collect no more; the supervisor ends a run."""
        if self._timer is not None:
            self._timer.cancel()

    def _hear(self, stream: str, line: str) -> None:
        if stream == "stdout":
            self._metrics.parse(line)
        else:
            _LOGGER.info("the machine's metrics: %s", line)
