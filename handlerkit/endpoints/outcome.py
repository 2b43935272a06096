"""What one call of a worker led to, and the ways in which a worker dies."""

from __future__ import annotations

from dataclasses import dataclass, field

from handlerkit import wire
from handlerkit.memory import Memory
from handlerkit.messages import ErrorInfo, LogLine, Seen
from handlerkit.timing import Timings
from handlerkit.wire import Answer, ProtocolError, TooLongError


@dataclass
class Outcome:
    """What one predict message led to.

    `reply` is the worker's answer, None where it died: `died` says how, as "kind: sentence". `before` holds the
    intermediate answers. `bodies` and `noted`: what rules ask of the rows and of the context, as `why.rules_for` takes
    them. `seen`: what the handler did beyond its own files.
    """

    timings: Timings
    reply: Answer | None = None
    before: list[Answer] = field(default_factory=list)
    logs: tuple[LogLine, ...] = ()
    error: ErrorInfo | None = None
    died: str = ""
    bodies: tuple[str, ...] = ()
    noted: bool = False
    memory: Memory | None = None
    seen: tuple[Seen, ...] = ()


class WorkerDied(Exception):
    """The worker ended, or the frontend drops it for an answer that it cannot read or write. Text: "kind: sentence"."""


class Answers:
    """The answers to one message as the frontend reads them, in the order in which they come.

    Attributes:
        before: the intermediate ones.
        reply: the last one; None until it came.
        unasked: one came after that, which belongs to no request.
    """

    def __init__(self, limit: int) -> None:
        self.before: list[Answer] = []
        self.reply: Answer | None = None
        self.unasked = False
        self._limit = limit

    def take(self, data: bytes | bytearray | memoryview, after: float) -> Answer:
        """The next answer, `after` seconds into the call. Raises WorkerDied for one that the frontend cannot read."""
        try:
            taken = wire.take_answer(data, self._limit)
        except TooLongError as problem:
            raise WorkerDied(too_long(problem.size, self._limit)) from None
        except ProtocolError as problem:
            raise WorkerDied(unreadable(problem)) from None
        if taken is None or taken[1] != len(data):
            raise WorkerDied(unreadable("it ends elsewhere than it says"))
        answer = taken[0]._replace(after=after) if after else taken[0]
        if self.reply is not None:
            self.unasked = True
        elif answer.code == 200 and has_more(answer):
            self.before.append(answer)
        else:
            self.reply = answer
        return answer


def has_more(answer: Answer) -> bool:
    """Whether it is an intermediate answer (ts.handler_utils.utils.send_intermediate_predict_response)."""
    return any(("ts_stream_next", "true") in row.headers for row in answer.predictions)


def late(seconds: int) -> str:
    return f"timeout: The handler took longer than the response_timeout of {seconds} s."


def unreadable(problem: ProtocolError | str) -> str:
    return f"header: The frontend cannot read the worker's answer ({problem})."


def unsendable(error: BaseException) -> str:
    return f"encode: The answer cannot be encoded: {type(error).__name__}: {error}."


def too_long(size: int, limit: int) -> str:
    return f"size: The answer has {size} bytes; max_response_size is {limit}."
