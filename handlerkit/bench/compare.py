"""Two versions of a handler, call beside call: is the new one faster?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from handlerkit.bench.cases import BenchCase, Progress, run
from handlerkit.bench.measure import bench_of
from handlerkit.bench.results import Against, Bench, Change, Verdict, percentile
from handlerkit.messages import Endpoint, Request

#: Two loads of one and the same handler differ by about as much, from the places their code and data come to lie at
#: (Mytkowicz et al., Producing Wrong Data Without Doing Anything Obviously Wrong, 2009). Less is not called a change.
LEAST = 0.02


def compare(
    endpoint: Endpoint,
    other: Endpoint,
    *samples: Request,
    name: str = "other",
    batch_sizes: Sequence[int] = (1,),
    repeats: int = 50,
    warm_up: int = 3,
    advice: bool = True,
    progress: Progress = lambda words: None,
) -> Bench:
    """Measure `endpoint` as `measure` does, and `other` beside it: in pairs of calls, each first by turns.

    `name` is what the other is called. `Bench.against` holds a Change for each case, by `change`.
    """
    measured = run([endpoint, other], samples, batch_sizes, repeats, warm_up, progress)
    bench = bench_of(measured, repeats, warm_up, advice, progress)
    pairs = [(ours, theirs) for ours, theirs in zip(*measured.sides, strict=True) if _both(ours, theirs)]
    changes = tuple(_change(ours, theirs) for ours, theirs in pairs)
    return replace(bench, against=Against(name, tuple(theirs.row() for _, theirs in pairs), changes))


def _both(ours: BenchCase, theirs: BenchCase) -> list[int]:
    """The repeats in which both answered."""
    return [repeat for repeat in ours.seconds if repeat in theirs.seconds]


def _change(ours: BenchCase, theirs: BenchCase) -> Change:
    taken = [[side.seconds[repeat] for repeat in _both(ours, theirs)] for side in (ours, theirs)]
    return change(ours.label, ours.batch, *taken)


def change(sample: str, batch: int, ours: Sequence[float], theirs: Sequence[float]) -> Change:
    """How the time changed from `theirs` to `ours`, which were taken in pairs.

    The interval is the sign test turned round (Conover, Practical Nonparametric Statistics, 3.2): each pair's ratio
    lies above the true median ratio with probability 1/2, so the k-th smallest and k-th largest of n ratios enclose it
    with at least 95 % confidence if a binomial (n, 1/2) is below k with at most 2.5 %. All that this assumes is
    that pairs do not depend on each other. Fewer than six pairs enclose nothing: no interval, and no difference seen.
    """
    ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
    rank = _rank(len(ratios))
    interval = (ratios[rank - 1], ratios[-rank]) if rank else None
    verdict: Verdict = "no difference seen"
    if interval and interval[1] < 1 - LEAST:
        verdict = "faster"
    elif interval and interval[0] > 1 + LEAST:
        verdict = "slower"
    return Change(sample, batch, percentile(ratios, 0.5), interval, len(ratios), verdict)


def _rank(pairs: int, error: float = 0.05) -> int:
    """The largest k with P(binomial(pairs, 1/2) < k) at most error / 2; 0 if there is none."""
    below, k = 0, 0
    while k < pairs and (below := below + math.comb(pairs, k)) <= error / 2 * 2**pairs:
        k += 1
    return k
