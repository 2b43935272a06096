"""The calls of a bench: sample by sample, batch size by batch size, and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from handlerkit.bench.results import Measurement
from handlerkit.errors import RequestError
from handlerkit.memory import Memory, peak_memory
from handlerkit.messages import Endpoint, Request, Response, Run
from handlerkit.messages.response import chunk_rate
from handlerkit.messages.texts import name_of

#: Called with a few words on what is going on.
Progress = Callable[[str], object]
_TOKENS = ("tokens", "completion_tokens", "generated_tokens")


class Produced(NamedTuple):
    """What the answers of one call hold piece by piece.

    Attributes:
        first: seconds until the last of the streams has begun, None if that is not known or nothing is streamed.
        chunks: those of all streams.
        rates: chunks a second of each stream.
        tokens: as many as the answers' JSON says were generated.
    """

    first: float | None
    chunks: int
    rates: tuple[float, ...]
    tokens: int

    @classmethod
    def of(cls, responses: Sequence[Response]) -> Produced:
        streams = [one for one in responses if one.chunks]
        arrivals = [one.arrivals for one in streams if one.arrivals]
        return cls(
            max((times[0] for times in arrivals), default=None),
            sum(len(one.chunks or ()) for one in streams),
            tuple(rate for times in arrivals if (rate := chunk_rate(times)) is not None),
            sum(map(_tokens, responses)),
        )


def figures(produced: Iterable[Produced]) -> dict[str, Any]:
    """Those of a Measurement that several calls' answers have together."""
    each = list(produced)
    return {
        "first_chunk": tuple(one.first for one in each if one.first is not None),
        "chunks": sum(one.chunks for one in each),
        "chunk_rates": tuple(rate for one in each for rate in one.rates),
        "tokens": sum(one.tokens for one in each),
    }


def _tokens(response: Response) -> int:
    """The tokens that an answer says it has: text_generator's (handlerkit/handlers/), or OpenAI's usage."""
    if response.body.lstrip()[:1] not in (b"{", b"["):
        return 0
    try:
        value = response.json()
    except (ValueError, RecursionError):
        return 0
    answers = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]
    said = [one["usage"] if isinstance(one.get("usage"), dict) else one for one in answers]
    return sum(next((one[name] for name in _TOKENS if type(one.get(name)) is int), 0) for one in said)


@dataclass
class BenchCase:
    """One sample at one batch size on one endpoint, while it is measured. `last` is its last Run, `refused` the
    last one that was no success; `seconds` and `stages` are those of each repeat that was answered with one."""

    endpoint: Endpoint
    sample: Request
    batch: int
    label: str
    last: Run | None = None
    seconds: dict[int, float] = field(default_factory=dict)
    stages: dict[int, dict[str, float]] = field(default_factory=dict)
    produced: dict[int, Produced] = field(default_factory=dict)
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
        self.produced[repeat] = Produced.of(run.responses)

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
            **figures(self.produced.values()),
        )

    def _ask(self) -> Run:
        return self.endpoint.predict(*[self.sample] * self.batch)


@dataclass(frozen=True)
class Measured:
    """What `run` leaves: each endpoint's cases, and whether Ctrl-C ended it."""

    sides: tuple[tuple[BenchCase, ...], ...]
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
            BenchCase(endpoint, sample, batch, label(sample, number))
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
    done, shown = 0, 0

    def one_more() -> None:
        nonlocal done, shown
        done += 1
        if (tenths := 10 * done // total) > shown:
            shown = tenths
            progress(f"{10 * shown} %")

    return one_more


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
