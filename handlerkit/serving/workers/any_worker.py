"""A worker as the model that it serves sees it, and that model as the worker sees it.

worker.Worker is a process of the application; whoever makes an application may bring a worker of another kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ..documents.describe_model import Registered
from ..frontend import QueuedRequest
from ..http import Response
from ..wire import WorkerResponse
from ..worker_death import WorkerDeath


class LoadFailed(Exception):
    """A worker that does not come to serve; the text says at which step, `log` what it wrote. `code`: its own answer,
    0 where it gave none."""

    def __init__(self, text: str, log: tuple[str, ...], code: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.log = log
        self.code = code

    def __reduce__(self) -> tuple[type[LoadFailed], tuple[str, tuple[str, ...], int]]:
        return LoadFailed, (self.text, self.log, self.code)  # Ray sends it between processes


class AnyWorker(Protocol):
    """Who answers batches: a Worker here, or one that whoever makes the application brings along.

    Attributes:
        number: 9000 for the first one of an app, as TorchServe numbers them.
        since: when it was started.
        gpu_id: the device it is given; None on a CPU.
        load_seconds: how long it took to load the model.
    """

    number: int
    since: datetime
    gpu_id: int | None
    load_seconds: float

    @property
    def pid(self) -> int:
        """The process's id; 0 while there is none."""

    @property
    def serves(self) -> bool:
        """Whether the model is loaded."""

    async def run(self) -> None:
        """Serve until this is cancelled, or for as long as it can."""

    def send(self, batch: Sequence[QueuedRequest]) -> None:
        """Hand over a batch, which it begins when it has answered those before; the owner gets the answers."""

    def expect(self) -> None:
        """One more answer comes."""

    def rest(self) -> None:
        """The first batch is answered."""

    def drain(self) -> None:
        """The owner hears what it has written until now."""


class Owner(Protocol):
    """Whose worker it is."""

    def loaded(self, worker: AnyWorker) -> None:
        """The model is loaded: `send` may be called."""

    def answered(self, worker: AnyWorker, answer: WorkerResponse) -> None:
        """An answer to what was sent: either `expect` another one, or let it `rest`. Raises WorkerDied."""

    def responded(self, worker: AnyWorker, responses: Sequence[Response]) -> None:
        """What the clients of its first batch get, in place of the last answer, from one that has a frontend itself."""

    def registered_again(self, worker: AnyWorker, registered: Registered) -> None:
        """The model is registered otherwise from the next request on."""

    def died(self, worker: AnyWorker, death: WorkerDeath) -> None:
        """It is gone, and will be back after a pause."""

    def not_loaded(self, worker: AnyWorker, failed: LoadFailed) -> None:
        """It did not come to serve, and will be tried again after a pause."""

    def gone(self, worker: AnyWorker) -> None:
        """It is not tried any more."""

    def hear(self, worker: AnyWorker, stream: str, line: str) -> None:
        """It wrote a line, to "stdout" or "stderr"."""
