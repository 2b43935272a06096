"""The figures of a bench as plain data. Times are seconds, sizes bytes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from handlerkit.errors import HandlerkitError
from handlerkit.formatting import duration
from handlerkit.memory import Memory

#: Calls from which on a percentile is more than the slowest of them.
CALLS_FOR = {"p90": 10, "p99": 100}
Verdict = Literal["faster", "slower", "no difference seen"]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share (0 to 1) of `values` lies, linear between neighbors: definition 7 of Hyndman
    and Fan, Sample Quantiles in Statistical Packages (1996), which is numpy's too. Raises ValueError for no values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, no percentile")
    whole, part = divmod(share * (len(ordered) - 1), 1)
    low, high = ordered[int(whole)], ordered[min(int(whole) + 1, len(ordered) - 1)]
    return low + part * (high - low)


@dataclass(frozen=True)
class Measurement:
    """One case: one sample at one batch size.

    Attributes:
        sample: the request's label.
        batch: requests a batch holds.
        clients: how many sent at the same time.
        seconds: of each repeat, in their order. In a Worker, what its calls of the handler took together; elsewhere
            from sending one request to its answer.
        stages: seconds of each stage in each repeat, where calls are seen; a stage that did not run counts as 0.
        requests: how many were answered.
        elapsed: seconds in which they were, for the throughput.
        failed: how many were not answered with a success; these are in no other figure.
        answer: bytes of one answer.
        memory: of one more call, which is not timed.
        first_chunk: of streamed answers, seconds to the first chunk of each repeat; of a batch, of the last of its
            streams that begins.
        chunks: how many chunks came in all; a language model streams about one for each token.
        chunk_rates: of each stream, chunks a second behind its first.
        tokens: how many tokens were generated in all, where the answers say it.
    """

    sample: str
    batch: int
    clients: int = 1
    seconds: tuple[float, ...] = ()
    stages: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    requests: int = 0
    elapsed: float = 0.0
    failed: int = 0
    answer: int = 0
    memory: Memory = field(default_factory=Memory)
    first_chunk: tuple[float, ...] = ()
    chunks: int = 0
    chunk_rates: tuple[float, ...] = ()
    tokens: int = 0

    @property
    def median(self) -> float:
        """Half of the repeats took less."""
        return percentile(self.seconds, 0.5)

    @property
    def p90(self) -> float:
        """90 of 100 repeats took less."""
        return percentile(self.seconds, 0.9)

    @property
    def p99(self) -> float:
        """99 of 100 repeats took less; with fewer than 100 it is close to the slowest one."""
        return percentile(self.seconds, 0.99)

    @property
    def throughput(self) -> float:
        """Requests answered a second."""
        return self.requests / self.elapsed if self.elapsed else 0.0

    @property
    def time_to_first_chunk(self) -> float | None:
        """The median seconds to the first chunk; None if nothing was streamed."""
        return percentile(self.first_chunk, 0.5) if self.first_chunk else None

    @property
    def chunk_rate(self) -> float | None:
        """The median of the streams' chunks a second, as the display of a stream says them; None if nothing was
        streamed."""
        return percentile(self.chunk_rates, 0.5) if self.chunk_rates else None

    @property
    def token_rate(self) -> float | None:
        """Tokens a second, of all answers together; None if no answer says how many it has."""
        return self.tokens / self.elapsed if self.tokens and self.elapsed else None

    def says(self, name: str) -> bool:
        """Whether there are enough calls for that percentile to be more than the slowest of them."""
        return len(self.seconds) >= CALLS_FOR.get(name, 1)

    @property
    def shares(self) -> dict[str, float]:
        """The part of the whole time (0 to 1) that each stage took."""
        totals = {name: sum(seconds) for name, seconds in self.stages.items()}
        whole = sum(totals.values())
        return {name: total / whole if whole else 0.0 for name, total in totals.items()}

    def stage(self, name: str) -> float:
        """The median seconds of a stage; 0 for one that did not run."""
        return statistics.median(self.stages.get(name) or (0.0,))


@dataclass(frozen=True)
class Change:
    """How the time of a case changed from the other version to this one.

    `ratio` is this version's time over the other's, the median over `pairs` of calls side by side; with 95 %
    confidence it lies within `interval`, which is None for too few pairs.
    """

    sample: str
    batch: int
    ratio: float
    interval: tuple[float, float] | None
    pairs: int
    verdict: Verdict


@dataclass(frozen=True)
class Against:
    """The version that a handler was compared with: its figures, and a Change for each case."""

    name: str
    rows: tuple[Measurement, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Option:
    """One way to do a thing, measured: `seconds` it takes, the `size` in bytes of what comes out.

    `note` says how to write it, or what is lost; `now` marks the way it is done now, `lossy` one that gives less.
    """

    name: str
    seconds: float
    size: int | None = None
    note: str = ""
    now: bool = False
    lossy: bool = False


@dataclass(frozen=True)
class Advice:
    """Something that was measured, since it might save time.

    Attributes:
        name: encode, decode or batches.
        sample: the label of the sample it was measured on.
        about: what it was measured on, in a few words.
        seconds: what that takes now, of `whole`.
        options: ways to do it, each with its figures.
    """

    name: Literal["encode", "decode", "batches"]
    sample: str
    about: str
    seconds: float
    whole: float
    options: tuple[Option, ...]


@dataclass(frozen=True)
class LineTime:
    """One line of the handler's own code: how often it ran, and the seconds it took in all."""

    file: str
    function: str
    line: int
    hits: int
    seconds: float
    source: str


@dataclass(frozen=True)
class Profile:
    """What torch.profiler and line_profiler saw.

    `table` is torch.profiler's, as text; `trace` the file that chrome://tracing and Perfetto open. `lines` are the
    lines of the functions that ran; if there are none, `missing` says why.
    """

    calls: int
    table: str = field(repr=False)
    trace: Path
    lines: tuple[LineTime, ...] = field(default=(), repr=False)
    missing: str = ""


@dataclass(frozen=True)
class Bench:
    """The figures of a model at an endpoint, a Measurement for each case. `repeats` is how many were asked for; fewer
    are there if Ctrl-C ended it."""

    model: str
    endpoint: str
    rows: tuple[Measurement, ...]
    repeats: int
    warm_up: int
    interrupted: bool = False
    against: Against | None = None
    advice: tuple[Advice, ...] = ()
    profile: Profile | None = None

    def __repr__(self) -> str:
        cases = ", ".join(f"{row.sample} × {row.batch}: {duration(row.median)}" for row in self.rows[:4])
        more = ", ..." if len(self.rows) > 4 else ""
        return f"<Bench {self.model}: {cases}{more}>"

    def to_dict(self) -> dict[str, Any]:
        """Everything, in what JSON carries; each row with its median, p90, p99, throughput and shares too, and
        those of its streams."""
        figures = asdict(self)
        figures["rows"] = [_told(row) for row in self.rows]
        if self.against:
            figures["against"]["rows"] = [_told(row) for row in self.against.rows]
        if self.profile:
            figures["profile"]["trace"] = str(self.profile.trace)
        return figures

    def to_pandas(self) -> Any:
        """A pandas.DataFrame with a line for each row, and for each of the other version's, which `version` names.

        Columns: version, sample, batch, clients, requests, failed, median, p90, p99, throughput, time_to_first_chunk,
        chunk_rate, token_rate, answer, process, added, cuda, and the median of each stage under its name. Raises
        HandlerkitError if pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ModuleNotFoundError:
            raise HandlerkitError("to_pandas needs pandas, which is not installed: run %pip install pandas") from None
        sides = [("", self.rows), *([(self.against.name, self.against.rows)] if self.against else [])]
        return pandas.DataFrame([_flat(version, row) for version, rows in sides for row in rows])


_FIGURES = ("median", "p90", "p99", "throughput", "time_to_first_chunk", "chunk_rate", "token_rate")


def _told(row: Measurement) -> dict[str, Any]:
    figures = {name: getattr(row, name) for name in (*_FIGURES, "shares")}
    return {**asdict(row), "stages": dict(row.stages), **figures}


def _flat(version: str, row: Measurement) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in ("sample", "batch", "clients", "requests", "failed")}
    figures = {name: getattr(row, name) for name in _FIGURES}
    stages = {name: row.stage(name) for name in row.stages}
    return {"version": version, **plain, **figures, "answer": row.answer, **asdict(row.memory), **stages}
