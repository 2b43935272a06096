"""One call of a handler as plain data: what went in, its times, logs and metrics, its error and the causes."""

from __future__ import annotations

import linecache
import re
import traceback
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from handlerkit.memory import Memory
from handlerkit.messages.geometry import Geometry
from handlerkit.messages.rows import HandedOver, decode_predict, unwrap
from handlerkit.messages.side_effect import SideEffect
from handlerkit.serving import wire
from handlerkit.timing import Timings


@dataclass(frozen=True)
class Frame:
    """One line of a traceback: the user's file, the line's number from 1, the function, the line itself."""

    file: str
    line: int
    function: str
    source: str


@dataclass(frozen=True)
class ErrorInfo:
    """An exception as plain data: its class's name, its text, its frames (outermost first), its traceback."""

    type: str
    message: str
    frames: tuple[Frame, ...]
    traceback: str = field(repr=False)

    @classmethod
    def of(cls, error: BaseException) -> ErrorInfo:
        """`error` with every frame its traceback holds; cut the traceback first to leave frames out."""
        frames = tuple(
            Frame(
                entry.filename,
                entry.lineno or 0,
                entry.name,
                linecache.getline(entry.filename, entry.lineno or 0).strip(),
            )
            for entry in traceback.extract_tb(error.__traceback__)
        )
        text = "".join(traceback.format_exception(error))
        return cls(type(error).__name__, str(error), frames, text)


class LogLine(NamedTuple):
    """One line a worker logged. TorchServe writes stdout to model_log.log as INFO and stderr as WARN."""

    level: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Metric:
    """One sample a handler emitted, as the worker's log line carries it."""

    name: str
    unit: str
    value: float
    dimensions: tuple[tuple[str, str], ...]
    type: str

    #: [METRICS]Name.Unit:value|#Dim:v,...|#type:COUNTER|#hostname:h,epoch[,request ids]
    PATTERN: ClassVar[re.Pattern[str]] = re.compile(
        r"\[METRICS\](.+)\.([^.:|]+):([^|]+)\|#([^|]*)\|#type:(\w+)\|#hostname:"
    )

    @classmethod
    def parse(cls, line: str) -> Metric | None:
        """The sample in a log line; None if the line holds none."""
        if (found := cls.PATTERN.match(line)) is None:
            return None
        name, unit, value, dims, kind = found.groups()
        pairs = tuple((key, rest) for key, _, rest in (pair.partition(":") for pair in dims.split(",") if pair))
        return cls(name, unit, float(value), pairs, kind)


@dataclass(frozen=True)
class Call:
    """One call of the handler: what went in, how long it took, what it logged, what it raised; and the most memory it
    took, if that was asked for (Worker.measures_memory). `seen` is what the handler did beyond its own files, in
    this call and while it was loaded; `geometry` what it does to an input image, where it says so as TorchServe's
    vision handlers do.

    Handlers change what they are given, so `handed_over`, `rows`, `data` and `request_headers` are decoded again from
    the worker message each time they are asked for.
    """

    message: wire.Buffers = field(repr=False)
    timings: Timings
    logs: tuple[LogLine, ...] = ()
    error: ErrorInfo | None = None
    envelope: str | None = None
    decode_input: bool = True
    memory: Memory | None = None
    seen: tuple[SideEffect, ...] = ()
    geometry: Geometry | None = field(default=None, repr=False)

    @property
    def handed_over(self) -> list[HandedOver]:
        """The requests, as the frontend handed them over."""
        return decode_predict(self.message, self.decode_input)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What the frontend handed over, one dict per request, before the envelope."""
        return [one.row for one in self.handed_over]

    @property
    def request_headers(self) -> list[dict[str, Any]]:
        """What `context.get_all_request_header(i)` gives, one dict per request."""
        return [one.headers for one in self.handed_over]

    @property
    def data(self) -> Any:
        """What the handler got as `data`: the rows, or what the envelope made of them.

        Raises whatever the envelope raises for rows it cannot read.
        """
        return unwrap(self.envelope, self.rows)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The samples among the log lines, in order."""
        return tuple(found for line in self.logs if (found := Metric.parse(line.text)))
