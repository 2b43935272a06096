"""Two endpoints, side by side: the same requests to both, one after the other."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from handlerkit.endpoints.capabilities import forced_head
from handlerkit.errors import RequestError
from handlerkit.formatting import tally
from handlerkit.messages import Endpoint, Request, Run
from handlerkit.verify.responses import ComparedResponse, compare_runs
from handlerkit.verify.tolerance import MayDiffer, names_of


@dataclass(frozen=True)
class ComparedEndpoints:
    """The answers of two endpoints to the same requests; true when no row differs.

    Attributes:
        run, other: what each answered.
        rows: the comparison of each request's two answers.
        seconds: how long each request took, at both, from sending it to the end of its answer.
    """

    run: Run
    other: Run
    rows: tuple[ComparedResponse, ...]
    seconds: tuple[tuple[float, float], ...]

    def __bool__(self) -> bool:
        return all(row.verdict != "different" for row in self.rows)

    def __repr__(self) -> str:
        names = f"{self.run.endpoint} and {self.other.endpoint}"
        return f"<ComparedEndpoints {names}: {tally([row.verdict for row in self.rows])}>"


def compare_endpoints(
    endpoint: Endpoint, other: Endpoint, requests: Sequence[Request], ignore: Collection[str] = (), rtol: float = 0
) -> ComparedEndpoints:
    """Send each request to both, one after the other, so that each has its own time, and compare the answers.

    `ignore`, `rtol` and what `other` forces on its heads are as of handlerkit.verify. Raises RequestError if there are
    no requests.
    """
    if not requests:
        raise RequestError("there is nothing to send to the two endpoints: name one request or more")
    pairs = [(_timed(endpoint, request), _timed(other, request)) for request in requests]
    ours, theirs = (_joined([pair[side][0] for pair in pairs]) for side in (0, 1))
    head = forced_head(other)
    seconds = tuple((one[1], other[1]) for one, other in pairs)
    return ComparedEndpoints(ours, theirs, compare_runs(ours, theirs, MayDiffer(names_of(ignore), rtol), head), seconds)


def _timed(endpoint: Endpoint, request: Request) -> tuple[Run, float]:
    begun = time.perf_counter()
    run = endpoint.predict(request)
    return run, time.perf_counter() - begun


def _joined(runs: Sequence[Run]) -> Run:
    """One Run with the exchanges of all of these."""
    return replace(
        runs[0],
        exchanges=tuple(exchange for run in runs for exchange in run.exchanges),
        calls=tuple(call for run in runs for call in run.calls),
        findings=tuple(dict.fromkeys(finding for run in runs for finding in run.findings)),
    )
