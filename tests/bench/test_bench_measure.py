"""Calls of an endpoint that answers in turn, and their figures."""

from __future__ import annotations

import json
import random
import sys
from itertools import chain, repeat

import numpy as np
import pytest

from handlerkit.bench import Bench, Measurement, measure
from handlerkit.bench.results import percentile
from handlerkit.errors import HandlerkitError, RequestError, ResponseError
from handlerkit.messages import Request

COINS = Request(label="coins.png")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.99, 1])
@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_percentile_is_numpys(share: float, count: int) -> None:
    values = [random.Random(count).random() for _ in range(count)]
    assert percentile(values, share) == pytest.approx(np.percentile(values, 100 * share))


def test_every_sample_is_measured_at_every_batch_size(steady) -> None:
    bench = measure(steady, COINS, Request(), batch_sizes=(1, 4), repeats=5, warm_up=1)
    cases = [(row.sample, row.batch, len(row.seconds)) for row in bench.rows]
    assert cases == [("coins.png", 1, 5), ("coins.png", 4, 5), ("request 2", 1, 5), ("request 2", 4, 5)]


def test_rounds_go_over_all_cases_so_that_drift_falls_on_all(steady) -> None:
    measure(steady, COINS, batch_sizes=(1, 4), repeats=2, warm_up=1, advice=False)
    assert [size for _, size in steady.asked] == [1, 4] * 4  # warm-up, two repeats, memory


def test_times_are_the_workers_own(scripted) -> None:
    endpoint = scripted([9.0, 0.01, 0.02, 0.03, 9.0])
    (row,) = measure(endpoint, COINS, batch_sizes=(2,), repeats=3, warm_up=1).rows
    assert row.seconds == (0.01, 0.02, 0.03)
    assert row.median == 0.02
    assert row.throughput == pytest.approx(6 / 0.06)


def test_shares_add_up_to_the_whole(steady) -> None:
    (row,) = measure(steady, COINS, repeats=3).rows
    assert row.shares == pytest.approx({"preprocess": 0.25, "encode": 0.5, "other": 0.25})


def test_ctrl_c_keeps_what_was_measured(scripted) -> None:
    endpoint = scripted(chain(repeat(0.01, 7), [KeyboardInterrupt()]))
    bench = measure(endpoint, COINS, repeats=50, warm_up=1)
    assert bench.interrupted
    assert len(bench.rows[0].seconds) == 6


def test_ctrl_c_before_anything_was_measured_is_raised(scripted) -> None:
    with pytest.raises(KeyboardInterrupt):
        measure(scripted([0.01, KeyboardInterrupt()]), COINS, warm_up=1)


def test_a_failing_handler_is_not_measured(scripted) -> None:
    with pytest.raises(ResponseError, match="coins answered 503"):
        measure(scripted(repeat(0.01), [503]), COINS)


def test_failures_on_the_way_are_counted_and_left_out(scripted) -> None:
    endpoint = scripted([1, 0.01, 5, 0.02, 1], [200, 200, 503, 200])
    (row,) = measure(endpoint, COINS, repeats=3, warm_up=1, advice=False).rows
    assert (row.seconds, row.failed, row.requests) == ((0.01, 0.02), 1, 2)


def test_where_every_timed_call_fails_the_answer_is_raised(scripted) -> None:
    with pytest.raises(ResponseError, match="coins answered 503"):
        measure(scripted(repeat(0.01), chain([200], repeat(503, 3))), COINS, repeats=3, warm_up=1)


@pytest.mark.parametrize("options", [{"batch_sizes": ()}, {"batch_sizes": (0,)}, {"repeats": 0}, {"warm_up": -1}])
def test_what_cannot_be_measured_is_one_sentence(steady, options: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        measure(steady, COINS, **options)


def test_without_samples_it_says_what_to_do(steady) -> None:
    with pytest.raises(RequestError, match="name a file or a variable"):
        measure(steady)


def test_progress_tells_each_tenth_once(steady) -> None:
    told: list[str] = []
    measure(steady, COINS, repeats=30, advice=False, progress=told.append)
    assert told == [f"{percent} %" for percent in range(10, 101, 10)]


def test_to_dict_is_json_with_the_figures(steady) -> None:
    told = json.loads(json.dumps(measure(steady, COINS, repeats=3).to_dict()))
    assert told["rows"][0]["p90"] == 0.01
    assert told["rows"][0]["stages"]["encode"] == [0.005] * 3


def test_to_pandas_without_pandas_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(HandlerkitError, match="%pip install pandas"):
        Bench("coins", "here", (), 1, 1).to_pandas()


def test_to_pandas_has_a_line_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pandas:
        DataFrame = staticmethod(list)

    monkeypatch.setitem(sys.modules, "pandas", Pandas)
    row = Measurement("coins.png", 4, seconds=(0.01,), stages={"encode": (0.004,)}, requests=4, elapsed=0.01)
    (line,) = Bench("coins", "here", (row,), 1, 1).to_pandas()
    assert (line["sample"], line["batch"], line["throughput"], line["encode"]) == ("coins.png", 4, 400, 0.004)
