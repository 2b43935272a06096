"""Is the new version faster?"""

from __future__ import annotations

import random
from itertools import chain, repeat

import pytest

from handlerkit.bench import compare
from handlerkit.bench.compare import _rank, change
from handlerkit.messages import Request

COINS = Request(label="coins.png")


def times(median: float, spread: float, seed: int, count: int = 50) -> list[float]:
    chance = random.Random(seed)
    return [median * (1 + spread * chance.random()) for _ in range(count)]


@pytest.mark.parametrize(("ours", "verdict"), [(0.010, "no difference seen"), (0.013, "slower"), (0.007, "faster")])
def test_verdict(ours: float, verdict: str) -> None:
    found = change("coins.png", 1, times(ours, 0.2, 1), times(0.010, 0.2, 2))
    assert found.verdict == verdict
    assert found.interval[0] <= found.ratio <= found.interval[1]


def test_the_same_handler_is_seldom_called_changed() -> None:
    changes = [change("", 1, times(1, 0.5, seed), times(1, 0.5, seed + 1000)) for seed in range(200)]
    assert sum(one.verdict != "no difference seen" for one in changes) <= 10  # 5 % at most


def test_the_interval_covers_the_true_ratio() -> None:
    within = 0
    for seed in range(200):
        low, high = change("", 1, times(0.8, 0.5, seed), times(1, 0.5, seed + 1000)).interval
        within += low <= 0.8 <= high
    assert within >= 190


def test_a_difference_too_small_to_mean_anything_is_none() -> None:
    assert change("", 1, [1.01] * 50, [1.0] * 50).verdict == "no difference seen"


def test_five_pairs_cannot_tell() -> None:
    found = change("", 1, [1.0] * 5, [9.0] * 5)
    assert (found.interval, found.verdict) == (None, "no difference seen")


@pytest.mark.parametrize(("pairs", "rank"), [(5, 0), (6, 1), (10, 2), (25, 8), (100, 40)])
def test_rank_is_that_of_the_sign_tests_table(pairs: int, rank: int) -> None:
    """Conover, Practical Nonparametric Statistics, table A3."""
    assert _rank(pairs) == rank


def test_versions_take_turns_and_go_first_by_turns(scripted) -> None:
    asked: list[tuple[str, int]] = []
    ours, theirs = scripted(repeat(0.01), name="ours"), scripted(repeat(0.02), name="theirs")
    ours.asked = theirs.asked = asked
    compare(ours, theirs, COINS, repeats=4, warm_up=1, advice=False)
    timed = [name for name, _ in asked][2:-2]  # the first are warm-up, the last memory
    assert timed == ["ours", "theirs", "theirs", "ours"] * 2


def test_against_holds_the_others_figures_and_a_change(scripted) -> None:
    bench = compare(scripted(repeat(0.01)), scripted(repeat(0.02)), COINS, name="previous", repeats=10)
    assert bench.against.name == "previous"
    assert bench.against.rows[0].median == 0.02
    assert (bench.against.changes[0].ratio, bench.against.changes[0].verdict) == (0.5, "faster")


def test_a_pair_that_ctrl_c_broke_is_left_out(scripted) -> None:
    ours = scripted(repeat(0.01))
    theirs = scripted(chain(repeat(0.02, 8), [KeyboardInterrupt()]))
    bench = compare(ours, theirs, COINS, repeats=50, warm_up=1)
    assert bench.interrupted
    assert bench.against.changes[0].pairs == 7
