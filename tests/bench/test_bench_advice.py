"""Advice: given where the figures ask for it, and only then."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handlerkit import Model, Request, Worker
from handlerkit.bench import Bench, Measurement, measure
from handlerkit.bench.advice import batches, dominating, pictures

ANSWERS_LISTS = """
import numpy as np
def handle(data, context):
    return [np.zeros((200, 200), np.uint8).tolist() for _ in data or ()]
"""
READS_PICTURES = """
import io, time
from PIL import Image
class Reads:
    def initialize(self, context):
        pass
    def handle(self, data, context):
        return self.preprocess(data)
    def preprocess(self, data):
        return [str(Image.open(io.BytesIO(row["body"])).convert("RGB").size) for row in data]
"""


@pytest.fixture
def bench_of(tmp_path: Path) -> Callable[..., Bench]:
    """Measures a handler, by its source."""

    def measured(source: str, request: Request) -> Bench:
        (tmp_path / "handler.py").write_text(source)
        with Worker(Model("coins", handler=tmp_path / "handler.py")) as worker:
            return measure(worker, request, repeats=3, warm_up=1)

    return measured


def photograph(kind: str = "JPEG") -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def row(batch: int, throughput: float, **stages: float) -> Measurement:
    parts = {name: (seconds,) for name, seconds in stages.items()}
    return Measurement("coins.png", batch, seconds=(1.0,), stages=parts, requests=1, elapsed=1 / throughput)


def test_where_encoding_dominates_the_forms_of_this_answer_are_measured(bench_of) -> None:
    (found,) = bench_of(ANSWERS_LISTS, Request()).advice
    assert (found.name, found.about) == ("encode", "array 200 × 200 of uint8 in JSON")
    seconds = {option.name: option.seconds for option in found.options}
    assert seconds["bytes"] < seconds["JSON, indented"]
    assert found.seconds <= found.whole


def test_where_preprocess_dominates_the_decoders_of_this_picture_are_measured(bench_of) -> None:
    (found,) = bench_of(READS_PICTURES, Request(body=photograph())).advice
    assert (found.name, found.about) == ("decode", "JPEG of 1200 × 900 pixels")


def test_a_handler_that_does_next_to_nothing_is_left_alone(bench_of) -> None:
    assert bench_of("def handle(data, context):\n    return ['a'] * len(data or ())", Request()).advice == ()


def test_batches_that_do_not_pay_are_told_with_their_figures() -> None:
    (found,) = batches([row(1, 100), row(4, 105), row(8, 90)])
    assert [(option.name, round(option.seconds, 4)) for option in found.options] == [
        ("1", 0.01), ("4", 0.0095), ("8", 0.0111),
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [[row(1, 100), row(8, 300)], [row(8, 100)]])
def test_batches_that_pay_or_were_not_compared_are_not_told(rows: list[Measurement]) -> None:
    assert list(batches(rows)) == []


@pytest.mark.parametrize(
    ("stages", "found"),
    [
        ({"preprocess": 3, "inference": 2, "encode": 1}, {"preprocess"}),
        ({"preprocess": 1, "inference": 3, "encode": 2}, {"inference"}),
        ({"inference": 3, "postprocess": 2, "encode": 2}, {"postprocess", "envelope out", "encode"}),
        ({"handle": 3, "encode": 2}, {"handle"}),
    ],
)
def test_dominating_stages(stages: dict[str, float], found: set[str]) -> None:
    assert dominating(row(1, 1, **stages)) == found


def test_pictures_are_found_where_handlers_find_them() -> None:
    picture = photograph("PNG")
    text = base64.b64encode(picture).decode()
    rows = [{"body": bytearray(picture)}, {"data": text}, {"body": {"instances": [f"data:image/png;base64,{text}"]}}]
    assert [next(pictures(one)) for one in rows] == [picture] * 3


def test_text_and_numbers_are_no_pictures() -> None:
    assert list(pictures({"body": [1, "text", "QUJD", None, bytearray(b"abc")]})) == []
