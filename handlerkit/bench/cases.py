"""The calls of a bench: sample by sample, batch size by batch size, and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from handlerkit.bench.results import Measurement
from handlerkit.errors import RequestError
from handlerkit.memory import Memory, peak_memory
from handlerkit.messages import Endpoint, Request, Response, Run
from handlerkit.messages.texts import name_of

#: Called with a few words on what is going on.
Progress = Callable[[str], object]


@dataclass
class Case:
    """One sample at one batch size on one endpoint, while it is measured. `last` is its last Run, `refused` the
    last one that was no success; `seconds` and `stages` are those of each repeat that was answered with one."""

    endpoint: Endpoint
    sample: Request
    batch: int
    label: str
    last: Run | None = None
    seconds: dict[int, float] = field(default_factory=dict)
    stages: dict[int, dict[str, float]] = field(default_factory=dict)
    first_chunk: dict[int, float] = field(default_factory=dict)
    chunks: int = 0
    failed: int = 0
    refused: Run | None = None
    memory: Memory = field(default_factory=Memory)

    def warm_up(self) -> None:
        """Call once. Raises ResponseError if the answer is no success: the time of a failure says nothing."""
        self.last = self._ask().raise_for_status()

    def call(self, repeat: int) -> None:
        """Call once, and note the time. A call that Ctrl-C ends leaves nothing."""
        begun = time.perf_counter()
        run = self._ask()
        seconds = time.perf_counter() - begun
        if not run.ok:
            self.failed += self.batch
            self.refused = run
            return
        stages: dict[str, float] = {}
        for call in run.calls:
            for name, part in call.timings:
                stages[name] = stages.get(name, 0.0) + part
        self.stages[repeat] = stages
        self.seconds[repeat] = sum(call.timings.total for call in run.calls) if run.calls else seconds
        self.last = run
        first, count = streamed(run.responses)
        self.chunks += count
        if first is not None:
            self.first_chunk[repeat] = first

    def row(self) -> Measurement:
        """The figures so far."""
        names = dict.fromkeys(name for stages in self.stages.values() for name in stages)
        answers = self.last.responses if self.last else ()
        return Measurement(
            self.label,
            self.batch,
            seconds=tuple(self.seconds.values()),
            stages={name: tuple(stages.get(name, 0.0) for stages in self.stages.values()) for name in names},
            requests=self.batch * len(self.seconds),
            elapsed=sum(self.seconds.values()),
            failed=self.failed,
            answer=len(answers[0].body) if answers else 0,
            memory=self.memory,
            first_chunk=tuple(self.first_chunk.values()),
            chunks=self.chunks,
        )

    def _ask(self) -> Run:
        return self.endpoint.predict(*[self.sample] * self.batch)


@dataclass(frozen=True)
class Measured:
    """What `run` leaves: each endpoint's cases, and whether Ctrl-C ended it."""

    sides: tuple[tuple[Case, ...], ...]
    interrupted: bool


def run(
    endpoints: Sequence[Endpoint],
    samples: Sequence[Request],
    batch_sizes: Sequence[int],
    repeats: int,
    warm_up: int,
    progress: Progress,
) -> Measured:
    """Call each endpoint with each case, round by round, so that what changes on the machine meanwhile falls on all of
    them alike. Within a case the endpoints take turns, and go first by turns. Arguments and errors are `measure`'s."""
    check(samples, batch_sizes, repeats, warm_up)
    sides = tuple(
        tuple(
            Case(endpoint, sample, batch, label(sample, number))
            for number, sample in enumerate(samples, start=1)
            for batch in batch_sizes
        )
        for endpoint in endpoints
    )
    pairs = list(zip(*sides, strict=True))
    total = repeats * len(pairs) * len(sides)
    try:
        for _ in range(max(1, warm_up)):
            for pair in pairs:
                for case in pair:
                    case.warm_up()
        done = counter(progress, total)
        for repeat in range(repeats):
            for pair in pairs:
                for case in pair if repeat % 2 == 0 else reversed(pair):
                    case.call(repeat)
                    done()
        for case in (case for side in sides for case in side):
            case.memory = peak_memory(case.warm_up)[1] if case.last and case.last.calls else Memory()
    except KeyboardInterrupt:
        if not any(case.seconds for case in sides[0]):
            raise
        return Measured(sides, True)
    return Measured(sides, False)


def counter(progress: Progress, total: int) -> Callable[[], None]:
    """To be called for each piece of work done: tells each tenth of the whole."""
    done, told = 0, 0

    def one_more() -> None:
        nonlocal done, told
        done += 1
        if (tenths := 10 * done // total) > told:
            told = tenths
            progress(f"{10 * told} %")

    return one_more


def streamed(responses: Sequence[Response]) -> tuple[float | None, int]:
    """Seconds until the last of the streams has begun, None if that is not known or nothing is streamed; and the chunks
    of all of them."""
    streams = [one for one in responses if one.chunks]
    begun = [one.arrivals[0] for one in streams if one.arrivals]
    return max(begun, default=None), sum(len(one.chunks or ()) for one in streams)


def label(sample: Request, number: int) -> str:
    """What a sample is called in tables."""
    return name_of(sample, number)


def check(samples: Sequence[Request], batch_sizes: Sequence[int], repeats: int, warm_up: int) -> None:
    """Raises RequestError in one sentence for what cannot be measured."""
    if not samples:
        raise RequestError("there is nothing to measure: name a file or a variable, or send a request first")
    if not batch_sizes or min(batch_sizes) < 1:
        raise RequestError("batch sizes say how many requests a call holds: 1 or more each")
    if repeats < 1 or warm_up < 0:
        raise RequestError("repeats says how many calls of each case are timed, 1 or more; warm_up how many come first")
