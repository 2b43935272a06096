"""What one call of a worker led to, and the ways in which a worker dies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from handlerkit.messages import LogLine, Seen
from handlerkit.timing import Timings
from handlerkit.why import Noted
from handlerkit.wire import Answer, ProtocolError


@dataclass
class Outcome:
    """What one predict message led to, while the objects are still alive.

    `reply` is the worker's answer, None where it died: `died` says how, as "kind: sentence". `before` holds the
    intermediate answers. `logged` is what the worker said of a returned value that it could not send, where that value
    is not at hand in `returned`. `result` is what the handler itself returned, inside an envelope; `noted` holds the
    calls of its context that `handlerkit.why` asks about, `seen` what it did beyond its own files.
    """

    timings: Timings
    reply: Answer | None = None
    before: list[Answer] = field(default_factory=list)
    logs: tuple[LogLine, ...] = ()
    error: BaseException | None = None
    returned: Any = None
    rows: list[Any] = field(default_factory=list)
    died: str = ""
    logged: str = ""
    result: Any = None
    noted: tuple[Noted, ...] = ()
    seen: tuple[Seen, ...] = ()


class WorkerDied(Exception):
    """The worker ended, or the frontend drops it for an answer that it cannot read or write. Text: "kind: sentence"."""


def late(seconds: int) -> str:
    return f"timeout: The handler took longer than the response_timeout of {seconds} s."


def unreadable(problem: ProtocolError | str) -> str:
    return f"header: The frontend cannot read the worker's answer ({problem})."


def unsendable(error: BaseException) -> str:
    return f"encode: The answer cannot be encoded: {type(error).__name__}: {error}."


def too_long(size: int, limit: int) -> str:
    return f"size: The answer has {size} bytes; max_response_size is {limit}."
