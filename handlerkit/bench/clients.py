"""Several clients that send at the same time, as a served model is used."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from typing import NamedTuple

from handlerkit.bench.advice import batches
from handlerkit.bench.cases import Produced, Progress, check, counter, figures, label
from handlerkit.bench.results import Bench, Measurement
from handlerkit.errors import RequestError
from handlerkit.messages import Endpoint, Request, Run


class _Answered(NamedTuple):
    """One request's answer, and when it was sent and answered."""

    run: Run
    begun: float
    ended: float


def measure_clients(
    serve: Callable[[int], AbstractContextManager[Endpoint]],
    *samples: Request,
    batch_sizes: Sequence[int] = (1,),
    repeats: int = 50,
    warm_up: int = 3,
    concurrency: int | None = None,
    progress: Progress = lambda words: None,
) -> Bench:
    """Have clients send each sample at each batch size, each client its next request when it has its answer.

    Args:
        serve: gives who answers, such as a Server, registered with this batch size.
        samples, batch_sizes: as of `measure`. The requests of a batch come from as many clients.
        repeats: batches of each case that are timed: with a batch size of 8, 50 of them are 400 requests.
        warm_up: batches of each case before; at least one.
        concurrency: clients, the same for every batch size; as many as the largest batch holds.
        progress: called with a few words on what is going on.

    Ctrl-C and errors as of `measure`; RequestError too for fewer clients than a batch holds, which would have to wait
    for its delay each time.
    """
    check(samples, batch_sizes, repeats, warm_up)
    clients = max(batch_sizes) if concurrency is None else concurrency
    if clients < max(batch_sizes):
        raise RequestError(
            f"a batch of {max(batch_sizes)} is filled by as many clients: concurrency is {max(batch_sizes)} or more, "
            f"not {clients}"
        )
    rows: dict[tuple[int, int], Measurement] = {}
    last: Run | None = None
    interrupted = False
    done = counter(progress, repeats * sum(batch_sizes) * len(samples))
    try:
        for batch in batch_sizes:
            with serve(batch) as endpoint:
                for number, sample in enumerate(samples, start=1):
                    _send(endpoint, sample, clients, max(1, warm_up) * clients, [], lambda: None)
                    answered: list[_Answered] = []
                    try:
                        _send(endpoint, sample, clients, repeats * batch, answered, done)
                    finally:
                        if good := [one.run for one in answered if one.run.ok]:
                            rows[number, batch] = _row(label(sample, number), batch, clients, answered)
                            last = good[-1]
    except KeyboardInterrupt:
        if not rows:
            raise
        interrupted = True
    model, where = (last.model, last.endpoint) if last else ("", "")
    measured = tuple(rows[case] for case in sorted(rows))
    advice = () if interrupted else tuple(batches(measured))
    return Bench(model, where, measured, repeats, warm_up, interrupted, advice=advice)


def _send(
    endpoint: Endpoint,
    sample: Request,
    clients: int,
    requests: int,
    answered: list[_Answered],
    tell: Callable[[], None],
) -> None:
    """Send that many from so many threads. Those under way when Ctrl-C comes are waited for, and none is begun.

    Raises ResponseError if none is answered with a success.
    """

    def ask() -> _Answered:
        begun = time.perf_counter()
        run = endpoint.predict(sample)
        return _Answered(run, begun, time.perf_counter())

    with ThreadPoolExecutor(clients, "handlerkit client") as pool:
        sent: list[Future[_Answered]] = [pool.submit(ask) for _ in range(requests)]
        try:
            for one in as_completed(sent):
                answered.append(one.result())
                tell()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    if not any(one.run.ok for one in answered):
        answered[0].run.raise_for_status()


def _row(sample: str, batch: int, clients: int, answered: Sequence[_Answered]) -> Measurement:
    good = [one for one in answered if one.run.ok]
    return Measurement(
        sample,
        batch,
        clients,
        seconds=tuple(one.ended - one.begun for one in good),
        requests=len(good),
        elapsed=max(one.ended for one in answered) - min(one.begun for one in answered),
        failed=len(answered) - len(good),
        answer=len(good[-1].run.response.body),
        **figures(Produced.of(one.run.responses) for one in good),
    )
