"""Rows as TorchServe's own code makes them of a message."""

from __future__ import annotations

import logging
import os

import pytest

from handlerkit.messages.rows import HandedOver, decode_predict, unwrap
from handlerkit.serving.torchserve_facts import DECODE_INPUT
from handlerkit.serving.wire import Job, Parameter, encode_predict


@pytest.mark.parametrize(
    ("content_type", "decode", "value"),
    [
        ("application/json", True, {"a": 1}),
        ("application/json", False, bytearray(b'{"a": 1}')),
        ("text/plain", True, '{"a": 1}'),
        ("image/png", True, bytearray(b'{"a": 1}')),
    ],
)
def test_content_type_decides_the_value(content_type: str, decode: bool, value: object) -> None:
    message = encode_predict([Job("id", [], [Parameter("body", content_type, b'{"a": 1}')])])
    assert [one.row for one in decode_predict(message, decode)] == [{"body": value}]


def test_each_request_has_its_id_and_headers() -> None:
    jobs = [Job("a", [("X-A", "1")], [Parameter("body", "text/plain", b"x")]), Job("b", [], [])]
    assert decode_predict(encode_predict(jobs)) == [
        HandedOver("a", {"body": {"content-type": "text/plain"}, "X-A": "1"}, {"body": "x"}),
        HandedOver("b", {}, {}),
    ]


def test_decoding_leaves_logging_and_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DECODE_INPUT, "mine")
    before = list(logging.root.handlers), logging.root.manager.disable
    decode_predict(encode_predict([Job("id", [], [Parameter("body", "application/json", b"{")])]))
    assert (list(logging.root.handlers), logging.root.manager.disable) == before
    assert os.environ[DECODE_INPUT] == "mine"


def test_unwrap_gives_what_the_envelope_makes_of_the_rows() -> None:
    assert unwrap("json", [{"body": {"instances": [1, 2]}}]) == [1, 2]


def test_unwrap_without_an_envelope_gives_the_rows() -> None:
    rows = [{"body": 1}]
    assert unwrap(None, rows) is rows
