"""What one call of a worker led to, and the ways in which a worker dies."""

from __future__ import annotations

from dataclasses import dataclass, field

from handlerkit.memory import Memory
from handlerkit.messages import ErrorInfo, LogLine, SideEffect
from handlerkit.serving import wire
from handlerkit.serving.wire import ProtocolError, TooLongError, WorkerResponse
from handlerkit.serving.worker_death import WorkerDied, too_long
from handlerkit.timing import Timings


@dataclass
class Outcome:
    """What one predict message led to.

    `reply` is the worker's answer, None where it died: `died` says how, as "kind: sentence". `intermediate` holds those
    of a stream before it. `bodies` and `noted`: what rules ask of the rows and of the context, as `why.rules_for` takes
    them. `seen`: what the handler did beyond its own files.
    """

    timings: Timings
    reply: WorkerResponse | None = None
    intermediate: list[WorkerResponse] = field(default_factory=list)
    logs: tuple[LogLine, ...] = ()
    error: ErrorInfo | None = None
    died: str = ""
    bodies: tuple[str, ...] = ()
    noted: bool = False
    memory: Memory | None = None
    seen: tuple[SideEffect, ...] = ()


class Answers:
    """The answers to one message as the frontend reads them, in the order in which they come.

    Attributes:
        intermediate: those of a stream, but for the last.
        reply: the last one; None until it came.
        unasked: one came after that, which belongs to no request.
    """

    def __init__(self, limit: int) -> None:
        self.intermediate: list[WorkerResponse] = []
        self.reply: WorkerResponse | None = None
        self.unasked = False
        self._limit = limit

    def take(self, data: bytes | bytearray, elapsed: float) -> WorkerResponse:
        """The next answer, `elapsed` seconds into the call. Raises WorkerDied for one that the frontend cannot read."""
        try:
            taken = wire.take_answer(data, self._limit)
        except TooLongError as problem:
            raise WorkerDied(too_long(problem.size, self._limit)) from None
        except ProtocolError as problem:
            raise WorkerDied(unreadable(problem)) from None
        if taken is None or taken[1] != len(data):
            raise WorkerDied(unreadable("it ends elsewhere than it says"))
        answer = taken[0]._replace(elapsed=elapsed)
        if self.reply is not None:
            self.unasked = True
        elif answer.code == 200 and answer.is_intermediate:
            self.intermediate.append(answer)
        else:
            self.reply = answer
        return answer


def late(seconds: int) -> str:
    return f"timeout: The handler took longer than the response_timeout of {seconds} s."


def unreadable(problem: ProtocolError | str) -> str:
    return f"header: The frontend cannot read the worker's answer ({problem})."


def unsendable(error: BaseException) -> str:
    return f"encode: The answer cannot be encoded: {type(error).__name__}: {error}."
