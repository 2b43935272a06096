"""One endpoint that answers in turn, measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from handlerkit.bench.advice import advise
from handlerkit.bench.cases import Measured, Progress, run
from handlerkit.bench.results import Advice, Bench
from handlerkit.messages import Endpoint, Request


def measure(
    endpoint: Endpoint,
    *samples: Request,
    batch_sizes: Sequence[int] = (1,),
    repeats: int = 50,
    warm_up: int = 3,
    advice: bool = True,
    progress: Progress = lambda words: None,
) -> Bench:
    """Call `endpoint` with each sample at each batch size, one call after the other.

    Args:
        endpoint: who answers, such as a Worker; its batch_size has to be as large as the largest batch.
        samples: a batch holds one of them several times.
        batch_sizes: requests a call holds.
        repeats: calls of each case that are timed.
        warm_up: calls of each case before; at least one.
        advice: measure what might save time, too.
        progress: called with a few words on what is going on.

    Ctrl-C ends it early: what was measured until then is returned, and it is raised only if there is nothing yet.
    Raises ResponseError if a sample's first answer, or every one, is no success, RequestError for nothing to send.
    """
    measured = run([endpoint], samples, batch_sizes, repeats, warm_up, progress)
    return bench_of(measured, repeats, warm_up, advice, progress)


def bench_of(measured: Measured, repeats: int, warm_up: int, advice: bool, progress: Progress) -> Bench:
    """The figures of the first endpoint, with advice from them if that is asked for and Ctrl-C was not pressed."""
    cases = [case for case in measured.sides[0] if case.seconds]
    if not cases and (refused := measured.sides[0][0].refused):
        refused.raise_for_status()
    rows = tuple(case.row() for case in cases)
    last = next((case.last for case in cases if case.last), None)
    model, endpoint = (last.model, last.endpoint) if last else ("", "")
    bench = Bench(model, endpoint, rows, repeats, warm_up, measured.interrupted)
    if not advice or bench.interrupted:
        return bench
    progress("measuring what might save time")
    found: list[Advice] = []
    try:
        found += advise(cases, rows)
    except KeyboardInterrupt:
        return replace(bench, interrupted=True)
    return replace(bench, advice=tuple(found))
