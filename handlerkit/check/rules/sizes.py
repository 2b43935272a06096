"""Requests and answers that were seen, against the limits of a server that is told nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.config import Config
from handlerkit.targets import Target

#: What a server takes without a word in its config.properties.
_LIMITS = Config()
#: The part of a limit from which on something larger may well come.
_NEAR = 0.8


def sizes(subject: Subject, target: Target) -> Iterator[Finding]:
    """The largest request, and the largest answer, of all runs."""
    answered = [exchange for run in subject.runs for exchange in run.exchanges if exchange.response.ok]
    answers = [len(part) for one in answered for part in one.response.chunks or (one.response.body,)]
    requests = [len(one.request.body) for one in answered]
    yield from _limited("max_response_size", _LIMITS.max_response_size, "An answer", answers, _ENDS)
    yield from _limited("max_request_size", _LIMITS.max_request_size, "A request", requests, _REFUSES)


_ENDS = f"A longer one ends the worker: 500 '{facts.DIED}' for its whole batch."
_REFUSES = "A longer one is answered 413, and the handler is not called."


def _limited(key: str, limit: int, what: str, seen: Sequence[int], effect: str) -> Iterator[Finding]:
    largest = max(seen, default=0)
    if largest <= _NEAR * limit:
        return
    message = f"{what} took {largest} bytes; a server takes {limit} unless {key} says otherwise."
    if largest > limit:
        fix = (
            f"Set {key} in the config.properties of the server it goes to: that file does not travel with the archive."
        )
        yield Finding(key, message, "", effect, fix, "warning")
    else:
        yield Finding(key, message, "", effect, f"Raise {key} in the server's config.properties, or send less.", "info")


#: In the order in which they are asked.
SIZE_RULES = (sizes,)
