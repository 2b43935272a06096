"""Streamed answers: the time to their first chunk, and chunks a second."""

from __future__ import annotations

import pytest

from handlerkit import view
from handlerkit.bench import measure, measure_clients
from handlerkit.messages import Exchange, Request, Response, Run

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
    assert all(row.chunk_rate == pytest.approx(row.chunks / row.elapsed) for row in rows)


def test_clients_streams_too() -> None:
    from contextlib import nullcontext

    (row,) = measure_clients(lambda batch: nullcontext(Streaming()), ASKED, repeats=3).rows
    assert (row.time_to_first_chunk, row.chunks) == (0.1, 12)


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
