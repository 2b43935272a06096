"""What %bench measures: the session's worker, alone or beside an earlier version, or another endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handlerkit import bench
from handlerkit.bench import Bench
from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Endpoint, Request
from handlerkit.notebook.other_endpoints import serve as serve_model
from handlerkit.notebook.progress import step
from handlerkit.notebook.session_model import SessionModel


@dataclass(frozen=True)
class Plan:
    """What is measured, and how often; `options` are arguments of bench.measure."""

    samples: Sequence[Request]
    batch_sizes: Sequence[int]
    repeats: int
    warm_up: int

    @property
    def options(self) -> dict[str, Any]:
        return {"batch_sizes": self.batch_sizes, "repeats": self.repeats, "warm_up": self.warm_up}

    def load(self, concurrency: int | None) -> tuple[int, int]:
        """How many requests an endpoint is sent, and by how many clients."""
        clients = concurrency or max(self.batch_sizes, default=1)
        warm_up = max(1, self.warm_up) * clients * len(self.batch_sizes)
        return len(self.samples) * (self.repeats * sum(self.batch_sizes) + warm_up), clients


def measure_worker(plan: Plan, worker: Endpoint, against: tuple[str, AbstractContextManager[Endpoint]] | None) -> Bench:
    """The figures of `worker`; with `against`, the name of another one and what opens it, also its figures."""
    with step("measuring") as say:
        if against is None:
            return bench.measure(worker, *plan.samples, **plan.options, progress=say)
        name, opened = against
        say(f"loading {name}")
        with opened as other:
            return bench.compare(worker, other, *plan.samples, name=name, **plan.options, progress=say)


def measure_endpoint(
    plan: Plan, endpoint: Endpoint | str, model: SessionModel, envelope: str | None, concurrency: int | None
) -> Bench:
    """The figures of a running endpoint, or of what a word names that serves the model, with that envelope, with each
    batch size in turn.

    Raises as `places.named`.
    """
    with step("measuring") as say:

        def serve(batch: int) -> AbstractContextManager[Endpoint]:
            if not isinstance(endpoint, str):
                return nullcontext(endpoint)
            registered = model.served(envelope) | {"batch_size": batch}
            return serve_model(endpoint, model, registered, say)

        return bench.measure_clients(serve, *plan.samples, **plan.options, concurrency=concurrency, progress=say)


def add_profile(measured: Bench, plan: Plan, worker: Worker) -> Bench:
    """`measured` with a profile of the first case, whose trace is written into the current folder. Ctrl-C leaves the
    profile out."""
    if measured.interrupted:
        return measured
    with step("profiling"):
        try:
            trace = Path(f"{worker.model.name}-trace.json")
            found = bench.profile(worker, plan.samples[0], batch=plan.batch_sizes[0], trace=trace)
        except KeyboardInterrupt:
            return replace(measured, interrupted=True)
    return replace(measured, profile=found)
