"""The display of a Bench."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from handlerkit import view
from handlerkit.bench import Advice, Against, Bench, Change, LineTime, Measurement, Memory, Option, Profile
from handlerkit.view.benchmark.plot import plot

CONFIG = Path(__file__).parents[3] / "notebooks" / "sanitize.cfg"
#: What nbval leaves out when it compares a notebook's outputs.
RULES = re.findall(r"^regex: (.*)$", CONFIG.read_text(), re.MULTILINE)


def row(factor: float = 1.0, sample: str = "coins.png", batch: int = 1) -> Measurement:
    seconds = tuple(factor * one for one in (0.010, 0.011, 0.012))
    stages = {"preprocess": tuple(0.2 * one for one in seconds), "encode": tuple(0.8 * one for one in seconds)}
    memory = Memory(int(812e6 * factor), int(45e6 * factor))
    return Measurement(sample, batch, 1, seconds, stages, 3 * batch, sum(seconds), 0, 465408, memory)


def bench(factor: float = 1.0, **rest: object) -> Bench:
    rows = (row(factor), row(4 * factor, batch=8))
    return Bench("coins", "TorchServe's worker in this process", rows, 3, 1, **rest)


def compared(factor: float = 1.0, verdict: str = "faster") -> Bench:
    change = Change("coins.png", 1, 0.25 * factor, (0.2 * factor, 0.31 * factor), 50, verdict)
    return bench(factor, against=Against("previous", (row(4 * factor),), (change,)))


def encode(factor: float = 1.0) -> Advice:
    options = (
        Option("JSON, indented", 0.484 * factor, 6_200_000, "a list", now=True),
        Option("bytes", 11.8e-6 * factor, 465408, "array.tobytes() of uint8"),
        Option("JPEG, quality 85", 1e-6 * factor, 1000, "values differ by up to 9", lossy=True),
    )
    return Advice("encode", "coins.png", "array 303 × 384 × 4 of uint8 in JSON", 0.4 * factor, 0.5 * factor, options)


def sanitised(text: str) -> str:
    for rule in RULES:
        text = re.sub(rule, "#", text)
    return text


def test_table_of_figures() -> None:
    text = view(bench()).text.splitlines()
    assert text[0] == "coins on TorchServe's worker in this process: 3 repeats after 1 warm-up"
    assert text[2].split("  ")[0] == "coins.png"
    assert text[2].endswith("≈90.9  465.4 KB  ≈812 MB (≈45 MB of it added by the call)")
    assert "preprocess 2.2 ms (≈20.0 %)  encode 8.8 ms (≈80.0 %)" in view(bench()).text


def test_html_says_what_the_text_says() -> None:
    html = view(compared()).html
    assert all(said in html for said in ("11 ms", "465.4 KB", "previous", "faster", "data:image/png"))


@pytest.mark.parametrize("make", [bench, compared, lambda factor: bench(factor, advice=(encode(factor),))])
def test_only_what_the_rules_of_nbval_cover_differs(make) -> None:
    one, other = view(make(1.0)), view(make(7.3))
    assert one.text != other.text
    assert sanitised(one.text) == sanitised(other.text)
    assert sanitised(one.html) == sanitised(other.html)


def test_a_faster_version_is_told_with_its_interval_and_stage() -> None:
    assert "≈4 × as fast (≈3.23 to ≈5), most of it in encode: 35.2 ms → 8.8 ms" in view(compared()).text


def test_no_difference_is_told_as_that() -> None:
    text = view(compared(verdict="no difference seen")).text
    assert "no difference seen  ≈0.25 × the time (≈0.2 to ≈0.31)\n" in text
    assert "most of it" not in text


def test_ctrl_c_and_failures_are_told() -> None:
    found = bench(interrupted=True)
    found = replace(found, rows=(replace(found.rows[0], failed=2), found.rows[1]))
    told = "stopped by Ctrl-C: these are the figures so far; 2 requests failed and are not counted"
    assert told in view(found).text
    assert told in view(found).html


def test_encoding_advice_names_the_fastest_form_without_loss() -> None:
    told = (
        "Making the answer to coins.png takes 400 ms of 500 ms. Measured on it (array 303 × 384 × 4 of uint8 in JSON), "
        "as bytes: 11.8 µs and 465.4 KB instead of 484 ms and 6.2 MB."
    )
    assert told in view(bench(advice=(encode(),))).text


def test_encoding_advice_where_nothing_is_faster() -> None:
    best = replace(encode(), options=(replace(encode().options[1], now=True), *encode().options[2:]))
    assert "No lossless form" in view(bench(advice=(best,))).text


def test_decoding_advice_knows_when_decoding_is_not_the_matter() -> None:
    options = (Option("PIL", 0.001, now=True), Option("cv2", 0.0005))
    found = Advice("decode", "coins.png", "JPEG of 10 × 10 pixels", 0.1, 0.15, options)
    assert "another decoder saves little" in view(bench(advice=(found,))).text
    slow = replace(found, options=(replace(options[0], seconds=0.08), options[1]))
    assert (
        "cv2 decodes the picture (JPEG of 10 × 10 pixels) in 500 µs, PIL in 80 ms." in view(bench(advice=(slow,))).text
    )
    same = replace(found, options=(replace(options[0], seconds=0.08), replace(options[1], seconds=0.079)))
    assert "no other decoder is much faster" in view(bench(advice=(same,))).text


def test_batches_that_do_not_pay() -> None:
    batches = Advice("batches", "coins.png", "", 0.01, 0.01, (Option("1", 0.01), Option("8", 0.012)))
    text = view(bench(advice=(batches,))).text
    assert "Batching does not help coins.png: a request takes 10 ms in a batch of 1 and 12 ms in a batch of 8." in text


def test_profile_shows_lines_and_operators() -> None:
    lines = (
        LineTime("coins.py", "handle", 3, 5, 0.02, "    x = 1 < 2"),
        LineTime("coins.py", "handle", 4, 5, 0.001, "    y"),
    )
    shown = view(bench(profile=Profile(5, "aten::mm", Path("coins-trace.json"), lines)))
    assert "handle in coins.py" in shown.text
    assert '<pre class="hk-source hk-hot">    x = 1 &lt; 2</pre>' in shown.html
    assert "aten::mm" in shown.html
    assert "coins-trace.json" in shown.text


def test_plot_draws_each_case_beside_the_other_version() -> None:
    labels = [tick.get_text() for tick in plot(compared()).axes[0].get_yticklabels()]
    assert labels == ["coins.png, batch 1", "previous", "coins.png, batch 8"]


def test_plot_of_an_endpoint_without_stages_has_times_alone() -> None:
    served = replace(bench(), rows=(replace(row(), stages={}),))
    assert len(plot(served).axes) == 1


def test_plot_of_far_times_is_logarithmic() -> None:
    assert [plot(one).axes[0].get_xscale() for one in (bench(), replace(bench(), rows=(row(), row(100, batch=2))))] == [
        "linear",
        "log",
    ]


def test_the_picture_is_the_plot() -> None:
    assert view(bench()).image.format == "PNG"
    assert len(view(bench()).html) < 300_000


@pytest.mark.parametrize(
    ("calls", "marks"), [(4, ["median"]), (10, ["median", "p90"]), (100, ["median", "p90", "p99"])]
)
def test_percentiles_of_enough_calls_alone(calls, marks) -> None:
    many = replace(row(), seconds=tuple(0.01 + 1e-5 * i for i in range(calls)), stages={})
    drawn = plot(replace(bench(), rows=(many,)))
    head = next(line for line in view(replace(bench(), rows=(many,))).text.splitlines() if line.startswith("sample"))
    assert [name for name in head.split() if name in ("median", "p90", "p99")] == marks
    assert [text.get_text() for text in drawn.axes[0].get_legend().get_texts()] == marks
