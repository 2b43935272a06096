"""What one call of a worker led to."""

from __future__ import annotations

from dataclasses import dataclass, field

from handlerkit.messages import LogLine
from handlerkit.serving import wire
from handlerkit.serving.wire import ProtocolError, TooLongError, WorkerResponse
from handlerkit.serving.worker_death import WorkerDeath, WorkerDied, too_long, unreadable
from handlerkit.worker_process.assignment import Called


@dataclass
class Outcome:
    """What one predict message led to.

    Attributes:
        called: what the handler did.
        reply: the worker's last answer; None if it gave none.
        intermediate: those of a stream before it.
        death: why the worker is gone; None if it lives.
    """

    called: Called
    reply: WorkerResponse | None = None
    intermediate: list[WorkerResponse] = field(default_factory=list)
    logs: tuple[LogLine, ...] = ()
    death: WorkerDeath | None = None


class Answers:
    """The answers to one message as the frontend reads them, in the order in which they come.

    Attributes:
        intermediate: those of a stream, except for the last.
        reply: the last one; None until it came.
        unasked: one came after that, which belongs to no request.
    """

    def __init__(self, limit: int) -> None:
        self.intermediate: list[WorkerResponse] = []
        self.reply: WorkerResponse | None = None
        self.unasked = False
        self._limit = limit

    def take(self, data: bytes | bytearray | memoryview, elapsed: float) -> WorkerResponse:
        """The next answer, `elapsed` seconds into the call. Raises WorkerDied for one that the frontend cannot read."""
        try:
            taken = wire.take_answer(data, self._limit)
        except TooLongError as problem:
            raise WorkerDied(too_long(problem.size, self._limit)) from None
        except ProtocolError as problem:
            raise WorkerDied(unreadable(problem)) from None
        if taken is None or taken[1] != len(data):
            raise WorkerDied(unreadable("it ends elsewhere than it says"))
        answer = taken[0]._replace(elapsed=elapsed) if elapsed else taken[0]
        if self.reply is not None:
            self.unasked = True
        elif answer.code == 200 and answer.is_intermediate:
            self.intermediate.append(answer)
        else:
            self.reply = answer
        return answer
