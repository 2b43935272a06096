"""The worker protocol: what we encode, TorchServe's own code reads, and the other way round."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlerkit.messages.rows import decode_predict
from handlerkit.serving.wire import (
    Job,
    MessageReader,
    Parameter,
    ProtocolError,
    TooLongError,
    WorkerResponse,
    encode_batch,
    encode_job,
    encode_predict,
    take_answer,
)

words = st.text(st.characters(codec="utf-8"), max_size=12)
plain = st.text(st.characters(codec="ascii"), max_size=12)
jobs = st.lists(
    st.builds(
        Job,
        st.uuids().map(str),
        st.lists(st.tuples(words, words), max_size=4),
        st.lists(st.builds(Parameter, words, plain, st.binary(max_size=40)), max_size=4),
    ),
    max_size=4,
)


class AnyContext:
    """The part of ts.context.Context that an answer is made of."""

    stopping_criteria = None

    def __init__(self, heads: list[tuple[int, str, str | None, Mapping[str, str]]]) -> None:
        self.heads = heads

    def get_response_headers(self, row: int) -> dict[str, str]:
        return dict(self.heads[row][3])

    def get_response_content_type(self, row: int) -> str | None:
        return self.heads[row][2]

    def get_response_status(self, row: int) -> tuple[int, str]:
        return self.heads[row][0], self.heads[row][1]


heads = st.tuples(
    st.integers(0, 999), plain, st.none() | plain, st.dictionaries(words.filter(lambda k: k != "ts_stream_next"), words)
)
rows = st.lists(st.tuples(heads, st.binary(max_size=60) | words), min_size=1, max_size=4)


def answer(rows: list[tuple[Any, bytes | str]], message: str = "Prediction success") -> bytearray:
    """As TorchServe's worker encodes it."""
    from ts.protocol.otf_message_handler import create_predict_response

    ids = {row: f"id-{row}" for row in range(len(rows))}
    context = AnyContext([head for head, _ in rows])
    made = create_predict_response([body for _, body in rows], ids, message, 200, context=context)
    assert isinstance(made, bytearray)
    return made


@settings(max_examples=60, deadline=None)
@given(jobs)
def test_worker_reads_the_jobs_that_were_encoded(batch: list[Job]) -> None:
    from ts.protocol.otf_message_handler import retrieve_msg

    command, read = retrieve_msg(MessageReader(encode_predict(batch)))
    assert command == b"I"
    assert [job["requestId"].decode() for job in read] == [job.request_id for job in batch]
    assert [[(h["name"].decode(), h["value"].decode()) for h in job["headers"]] for job in read] == [
        list(job.headers) for job in batch
    ]
    assert [[(p["name"], p["contentType"]) for p in job["parameters"]] for job in read] == [
        [(p.name, p.content_type) for p in job.parameters] for job in batch
    ]


@settings(max_examples=60, deadline=None)
@given(jobs)
def test_values_arrive_byte_for_byte_where_nothing_is_decoded(batch: list[Job]) -> None:
    read = [one.row for one in decode_predict(encode_predict(batch), decode_input=False)]
    assert read == [{p.name: bytearray(p.value) for p in job.parameters} for job in batch]


@pytest.mark.parametrize("body", [b"x" * 100_000, memoryview(b"y" * 100_000)], ids=["bytes", "memoryview"])
def test_body_itself_is_in_the_message(body: bytes | memoryview) -> None:
    message = encode_predict([Job("id", [], [Parameter("body", "", body)])])
    assert any(piece is body for piece in message)


def test_several_bodies_stand_between_their_heads() -> None:
    first, second = b"one", b"two"
    message = encode_predict([Job("a", [], [Parameter("body", "", first)]), Job("b", [], [Parameter("x", "", second)])])
    assert [piece for piece in message if piece in (first, second)] == [first, second]


def test_a_batch_is_the_jobs_that_were_encoded_one_by_one() -> None:
    jobs = [Job(name, [("X", name)], [Parameter("body", "", name.encode())]) for name in "abc"]
    assert encode_batch(map(encode_job, jobs)) == encode_predict(jobs)


def test_reader_gives_views_not_copies() -> None:
    body = bytearray(b"abcdef")
    reader = MessageReader((memoryview(body),))
    piece = reader.recv(4)
    body[0] = ord("z")
    assert bytes(piece) == b"zbcd"


def test_reader_is_empty_at_the_end() -> None:
    reader = MessageReader((b"ab", b"", b"c"))
    assert [bytes(reader.recv(9)) for _ in range(3)] == [b"ab", b"c", b""]


def read_answer(message: bytes | bytearray) -> WorkerResponse:
    """An answer that is there as a whole."""
    taken = take_answer(message, 2**31 - 1)
    assert taken is not None
    assert taken[1] == len(message)
    return taken[0]


@settings(max_examples=80, deadline=None)
@given(rows, words)
def test_answer_is_read_as_the_worker_wrote_it(made: list[tuple[Any, bytes | str]], message: str) -> None:
    read = read_answer(answer(made, message))
    assert (read.code, read.message) == (200, message)
    for (head, body), row in zip(made, read.predictions, strict=True):
        status, reason, content_type, headers = head
        assert (row.status, row.reason, row.content_type) == (status, reason, content_type or "")
        assert dict(row.headers) == headers
        assert row.body == (body.encode() if isinstance(body, str) else body)


def test_tensors_and_json_are_read_as_bytes() -> None:
    import torch
    from ts.protocol.otf_message_handler import create_predict_response

    made = create_predict_response(
        [{"a": 1}, torch.ones(2)], {0: "a", 1: "b"}, "ok", 200, AnyContext([(200, "", None, {})] * 2)
    )
    text, tensor = read_answer(made).predictions
    assert text.body == b'{\n  "a": 1\n}'
    assert tensor.body.startswith(b"PK")


@settings(max_examples=200, deadline=None)
@given(rows, st.data())
def test_damaged_answer_is_read_or_a_protocol_error(made: list[tuple[Any, bytes | str]], data: st.DataObject) -> None:
    whole = bytes(answer(made))
    at = data.draw(st.integers(0, len(whole)))
    junk = data.draw(st.binary(min_size=1, max_size=6))
    keep = data.draw(st.booleans())
    with suppress(ProtocolError):
        take_answer(whole[:at] + junk + whole[at if keep else at + len(junk) :], 10_000)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_a_protocol_error(junk: bytes) -> None:
    with suppress(ProtocolError):
        take_answer(junk, 10_000)


def test_phrase_that_is_not_ascii_shifts_all_that_follows() -> None:
    with pytest.raises(ProtocolError):
        take_answer(answer([((200, "für", None, {}), b"x")]), 10_000)


def test_negative_status_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="status -1"):
        take_answer(answer([((-1, "", None, {}), b"x")]), 10_000)


def test_negative_length_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="does not fit"):
        take_answer(struct.pack("!ii", 200, -1), 10_000)


@settings(max_examples=60, deadline=None)
@given(rows, st.binary(max_size=9), st.data())
def test_answer_is_taken_once_all_of_it_is_there(made: list[tuple[Any, bytes | str]], more: bytes, data: Any) -> None:
    whole = bytes(answer(made))
    assert take_answer(whole[: data.draw(st.integers(0, len(whole) - 1))], 10_000) is None
    assert take_answer(whole + more, 10_000) == (read_answer(whole), len(whole))


def test_body_above_the_limit_is_told_before_it_is_there() -> None:
    whole = answer([((200, "", None, {}), b"x" * 50)])
    with pytest.raises(TooLongError) as raised:
        take_answer(whole[:-50], 49)
    assert raised.value.size == 50
    assert take_answer(whole, 50) is not None


def test_other_length_above_the_limit_is_not_taken_for_a_body() -> None:
    with pytest.raises(ProtocolError, match="does not fit") as raised:
        take_answer(answer([((200, "a" * 50, None, {}), b"x")]), 49)
    assert not isinstance(raised.value, TooLongError)
