"""How a worker dies: what ends its process, and the answers for which the frontend drops it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from . import torchserve_facts as facts

#: "exit": the process ended; "timeout": it took too long; "size": its answer is too long; "header": the frontend cannot
#: read or pass on its answer; "encode": the worker cannot encode its answer; "stale": it answered a request that was
#: over; "describe": its answer to a describe request is no description.
DeathKind = Literal["exit", "timeout", "size", "header", "encode", "stale", "describe"]


class WorkerDeath(NamedTuple):
    """Why a worker is gone: the kind of its death, and what happened, in one sentence."""

    kind: DeathKind
    message: str


class WorkerDied(Exception):
    """The worker ended, or the frontend drops it; `death` says why."""

    def __init__(self, death: WorkerDeath) -> None:
        super().__init__(death.message)
        self.death = death


def back_off(deaths: int) -> int:
    """Seconds before a worker is started again that died so often in a row before."""
    return facts.BACK_OFF[min(deaths, len(facts.BACK_OFF) - 1)]


def exited(message: str) -> WorkerDeath:
    """The process ended, or never began."""
    return WorkerDeath("exit", message)


def timed_out(message: str) -> WorkerDeath:
    """The process did not do something in time."""
    return WorkerDeath("timeout", message)


def too_slow(seconds: int) -> WorkerDeath:
    """A call took longer than the response_timeout of so many seconds."""
    return timed_out(f"The handler took longer than the response_timeout of {seconds} s.")


def too_long(size: int, limit: int) -> WorkerDeath:
    """The answer has more bytes than max_response_size allows."""
    return WorkerDeath("size", f"The answer has {size} bytes; max_response_size is {limit}.")


def unreadable(problem: object) -> WorkerDeath:
    """The answer is no message of a worker."""
    return WorkerDeath("header", f"The frontend cannot read the worker's answer ({problem}).")


def unsendable_reason(reason: str) -> WorkerDeath:
    """The reason phrase cannot be in a status line."""
    return WorkerDeath("header", f"The reason phrase {reason!r} is not one line of ASCII.")


def unsendable_header(name: str, value: str) -> WorkerDeath:
    """A response header cannot be written."""
    return WorkerDeath("header", f"{name!r}: {value!r} is not an HTTP header.")


def not_encoded(error: BaseException) -> WorkerDeath:
    """Encoding the answer raised, which ends the worker."""
    return WorkerDeath("encode", f"The answer cannot be encoded: {type(error).__name__}: {error}.")


def stale() -> WorkerDeath:
    """An answer is left over from an earlier request."""
    return WorkerDeath("stale", "The worker's last answer belongs to no request: its stream was over.")


def no_description(problem: object) -> WorkerDeath:
    """The answer to a describe request is not what the frontend puts into the description."""
    return WorkerDeath("describe", f"The frontend cannot read {problem} in the answer to describe.")
