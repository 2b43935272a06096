"""Answers for batches of several requests."""

from __future__ import annotations

import pytest
from findings_of import only

BASE = """
from ts.torch_handler.base_handler import BaseHandler

class Handler(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        {preprocess}

    def inference(self, data):
        return data

    def postprocess(self, data):
        {postprocess}
"""
PRE, POST = "return [len(row) for row in data]", "return list(data)"


@pytest.fixture
def batched(checked, tmp_path):
    """What is found with a batch size."""

    def found(source: str, size: int = 4):
        config = tmp_path / "c.yaml"
        config.write_text(f"batchSize: {size}\nmaxBatchDelay: 50\n")
        return checked(source, config_file=config)

    return found


@pytest.mark.parametrize(
    "line", ["return [data[0]]", "return [{'n': len(data)}]", "return [1 for row in data[:1]]", "return [sum(data)]"]
)
def test_one_answer(batched, line: str) -> None:
    found = only(batched(BASE.format(preprocess=PRE, postprocess=line)), "batch_answer")
    assert found.severity == "error"
    assert found.where == "handler.py, line 15"
    assert "batch response mismatched" in found.effect


@pytest.mark.parametrize("row", ["data[0]", "data[0].get('body')"])
def test_the_first_request_alone(batched, row: str) -> None:
    found = only(batched(BASE.format(preprocess=f"return {row}", postprocess=POST)), "batch_answer")
    assert found.severity == "warning"


def test_a_function(batched) -> None:
    only(batched("def handle(data, context):\n    return [str(data)]\n"), "batch_answer")


@pytest.mark.parametrize(
    "line",
    [
        "return [len(row) for row in data]",
        "return [1] * len(data)",
        "return [*data]",
        "if len(data) == 1:\n            return [1]\n        return list(data)",
        "return [data[0] for _ in data]",
    ],
)
def test_an_answer_for_each(batched, line: str) -> None:
    assert batched(BASE.format(preprocess=PRE, postprocess=line)) == []


def test_without_batches(batched) -> None:
    assert batched(BASE.format(preprocess="return data[0]", postprocess="return [data]"), 1) == []
