"""Streamed answers: the time to their first chunk, and chunks a second."""

from __future__ import annotations

import json

import pytest

from handlerkit import view
from handlerkit.bench import measure, measure_clients
from handlerkit.messages import Exchange, Request, Response, Run
from handlerkit.messages.response import chunk_rate

ASKED = Request.text("a story")


class Streaming:
    """Streams four chunks to each request; those of a batch begin one after the other."""

    def predict(self, *requests: Request) -> Run:
        chunks = (b"a", b"b", b"c", b"d")
        responses = [
            Response(200, body=b"abcd", chunks=chunks, arrivals=(0.1 * place, 1, 2, 3))
            for place, _ in enumerate(requests, 1)
        ]
        return Run(tuple(map(Exchange, requests, responses)), model="m", endpoint="here")


def test_first_chunk_is_that_of_the_last_stream_that_begins() -> None:
    rows = measure(Streaming(), ASKED, batch_sizes=(1, 3), repeats=2, advice=False).rows
    assert [row.time_to_first_chunk for row in rows] == pytest.approx([0.1, 0.3])
    assert [row.chunks for row in rows] == [8, 24]
    assert rows[0].chunk_rate == chunk_rate((0.1, 1, 2, 3))  # as the display of the stream says


class Generating:
    """Answers JSON that says how many tokens it has."""

    def __init__(self, answer: object) -> None:
        self.body = json.dumps(answer).encode()

    def predict(self, *requests: Request) -> Run:
        response = Response(200, body=self.body)
        return Run(tuple(Exchange(request, response) for request in requests), model="m", endpoint="here")


@pytest.mark.parametrize(
    "answer",
    [
        {"text": "a", "tokens": 8, "finish_reason": "eos"},
        [{"text": "a", "tokens": 5}, {"text": "b", "tokens": 3}],
        {"choices": [{"text": "a"}], "usage": {"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}},
    ],
    ids=["a text", "several texts", "OpenAI's"],
)
def test_tokens_a_second_where_the_answer_says_them(answer: object) -> None:
    bench = measure(Generating(answer), ASKED, batch_sizes=(2,), repeats=3, advice=False)
    (row,) = bench.rows
    assert row.tokens == 48
    assert row.token_rate == pytest.approx(48 / row.elapsed)
    assert "tokens a second" in view(bench).text
    assert "chunks a second" not in view(bench).text


@pytest.mark.parametrize("answer", [{"tokens": ["a", "b"]}, {"usage": None}, [1, 2], "tokens"])
def test_answers_that_say_no_tokens(answer: object) -> None:
    bench = measure(Generating(answer), ASKED, repeats=1, advice=False)
    assert (bench.rows[0].token_rate, "tokens" in view(bench).text) == (None, False)


def test_clients_streams_too() -> None:
    from contextlib import nullcontext

    (row,) = measure_clients(lambda batch: nullcontext(Streaming()), ASKED, repeats=3).rows
    assert (row.time_to_first_chunk, row.chunks) == (0.1, 12)
    assert row.chunk_rate == chunk_rate((0.1, 1, 2, 3))


def test_plain_answers_have_neither(steady) -> None:
    bench = measure(steady, ASKED, repeats=2, advice=False)
    assert (bench.rows[0].time_to_first_chunk, bench.rows[0].chunk_rate) == (None, None)
    assert "first chunk" not in view(bench).text


def test_display_tells_both() -> None:
    text = view(measure(Streaming(), ASKED, repeats=2, advice=False)).text
    head = next(line for line in text.splitlines() if line.startswith("sample"))
    assert "first chunk  chunks a second" in head
    assert "“a story”" in text
    assert "100 ms" in text
