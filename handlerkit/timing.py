"""Where the time of one call of a handler goes: a clock that stages report to, and the figures it leaves."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: The stages of one call, in the order in which a request passes them.
STAGES = (
    "decode",
    "envelope in",
    "preprocess",
    "inference",
    "postprocess",
    "envelope out",
    "encode",
)


@dataclass(frozen=True)
class Timings:
    """Seconds of one call: `total`, and the stages that ran (names from STAGES), in their order."""

    total: float
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def other(self) -> float:
        """Seconds that belong to no stage: the rest of `handle`, and TorchServe's own book-keeping."""
        return max(0.0, self.total - sum(self.stages.values()))

    def __iter__(self) -> Iterator[tuple[str, float]]:
        """(stage, seconds) in order, `other` last; they add up to `total`."""
        yield from self.stages.items()
        yield "other", self.other

    def __getitem__(self, stage: str) -> float:
        return self.other if stage == "other" else self.stages[stage]


class Stopwatch:
    """Collects the seconds of each stage of one call.

    A stage inside a stage counts for the outer one, so that the stages add up to the whole.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._running: str | None = None
        self._started = 0.0

    def start(self) -> None:
        """Forget the last call and begin the next."""
        self._seconds = {}
        self._running = None
        self._started = self._clock()

    def stop(self) -> Timings:
        """The figures since `start`."""
        total = self._clock() - self._started
        stages = {name: self._seconds[name] for name in STAGES if name in self._seconds}
        return Timings(total, stages)

    def time(self, stage: str, function: Callable[P, R]) -> Callable[P, R]:
        """`function`, reporting its seconds as `stage`."""

        @functools.wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            if self._running is not None:
                return function(*args, **kwargs)
            self._running = stage
            begun = self._clock()
            try:
                return function(*args, **kwargs)
            finally:
                self._running = None
                self._seconds[stage] = self._seconds.get(stage, 0.0) + self._clock() - begun

        return timed

    def watch(self, holder: Any, name: str, stage: str) -> None:
        """Replace the callable attribute `name` of `holder` (a class, a module) by its timed self."""
        setattr(holder, name, self.time(stage, getattr(holder, name)))
