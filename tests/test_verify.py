"""Comparing the answers of two endpoints; any object with `predict` is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Exchange, Request, Response, Run
from handlerkit.model import Model
from handlerkit.verify import Report, verify

ID = ("x-request-id", "one")


class Answers:
    """An endpoint that answers with what it was made of, and remembers what it was asked."""

    def __init__(self, *responses: Response) -> None:
        self._responses = responses
        self.asked: tuple[Request, ...] = ()

    def predict(self, *requests: Request) -> Run:
        self.asked = requests
        return Run(tuple(map(Exchange, requests, self._responses)), endpoint="the other", model="m")


def answer(body: object = b"", *headers: tuple[str, str], status: int = 200, **rest) -> Response:
    return Response(status, "", headers, body if isinstance(body, bytes) else json.dumps(body).encode(), **rest)


def compared(ours: Response, theirs: Response, **options) -> Report:
    run = Run((Exchange(Request(label="coins.png"), ours),), model="m")
    return verify(run, Answers(theirs), **options)


def told(ours: Response, theirs: Response, **options) -> list[str]:
    """The differences, as they are shown."""
    return [str(difference) for difference in compared(ours, theirs, **options).rows[0].differences]


def verdict(ours: Response, theirs: Response, **options) -> str:
    return compared(ours, theirs, **options).rows[0].verdict


def test_requests_are_replayed_in_order() -> None:
    requests = Request(body=b"a"), Request(body=b"b")
    endpoint = Answers(answer(b"1"), answer(b"2"))
    run = Run(tuple(map(Exchange, requests, (answer(b"1"), answer(b"2")))))
    report = verify(run, endpoint)
    assert endpoint.asked == requests
    assert [row.label for row in report.rows] == ["request 1", "request 2"]


def test_same_bytes_are_identical_but_for_the_request_s_id() -> None:
    report = compared(answer(b"x", ("A", "1"), ID), answer(b"x", ("A", "1"), ("x-request-id", "two")))
    assert (report.rows[0].verdict, bool(report)) == ("identical", True)
    assert repr(report) == "<Report the other: 1 identical>"


def test_label_names_the_row() -> None:
    assert compared(answer(), answer()).rows[0].label == "coins.png"


@pytest.mark.parametrize(
    ("ours", "theirs", "says"),
    [
        (answer(), answer(status=503), "status: 200 here, 503 there"),
        (Response(200, "Fine"), Response(200), "reason: 'Fine' here, '' there"),
        (answer(b"", ("A", "1")), answer(b"", ("a", "2")), "header a: 1 here, 2 there"),
        (answer(b"", ("A", "1"), ("A", "2")), answer(b"", ("A", "1")), "header a: 1, 2 here, 1 there"),
        (answer(b"", ("A", "1")), answer(), "header a: 1 here, nothing there"),
        (answer(b"", ("A", "")), answer(), "header a: empty here, nothing there"),
        (answer(), answer(complete=False), "end of the answer: whole here, broken off there"),
        (answer({"a": 1}), answer({"a": 2}), "body.a: 1 here, 2 there"),
        (answer({"a": 1}), answer({}), "body.a: 1 here, nothing there"),
        (answer({"a": [{"b": 1}]}), answer({"a": [{"b": True}]}), "body.a[0].b: 1 here, true there"),
        (answer([1, 2]), answer([1]), "body: 2 elements here, 1 elements there"),
        (answer(b"abc"), answer(b"abcd"), "body: 3 bytes here, 4 bytes there"),
        (
            answer(b"\x00abc"),
            answer(b"\x00xbc"),
            r"body from byte 1 (1 bytes differ, 4 and 4 in all): '\x00abc' here, '\x00xbc' there",
        ),
        (
            answer(b"[1]"),
            answer(b"[ 1]"),
            "body from byte 1 (3 bytes differ, 3 and 4 in all): '[1]' here, '[ 1]' there",
        ),
    ],
)
def test_difference_is_told_with_its_place(ours: Response, theirs: Response, says: str) -> None:
    assert told(ours, theirs) == [says]
    assert verdict(ours, theirs) == "different"
    assert not compared(ours, theirs)


def test_length_is_not_told_beside_the_body_that_makes_it() -> None:
    ours, theirs = answer([1], ("content-length", "3")), answer([10], ("content-length", "4"))
    assert told(ours, theirs) == ["body[0]: 1 here, 10 there"]


def test_id_in_the_body_is_named_as_volatile() -> None:
    ours = answer(b'{"id": "one"}', ID)
    theirs = answer(b'{"id": "two"}', ("x-request-id", "two"))
    (row,) = compared(ours, theirs).rows
    assert (row.verdict, row.volatile) == ("equal", ("the request's id in the body",))


def test_ignored_header_is_named_as_volatile() -> None:
    (row,) = compared(answer(b"", ("Date", "1")), answer(b"", ("date", "2")), ignore=["Date"]).rows
    assert (row.verdict, row.volatile) == ("equal", ("Date (ignored)",))


def test_ignored_header_that_is_the_same_leaves_the_row_identical() -> None:
    same = answer(b"", ("Date", "1"))
    assert verdict(same, same, ignore=["Date"]) == "identical"


@pytest.mark.parametrize(
    ("ignore", "verdict_", "differences"),
    [
        (["body.at"], "different", ["body.rows[0].id: 1 here, 2 there"]),
        (["body.at", "body.rows[0].id"], "equal", []),
        (["body.rows", "body.at"], "equal", []),
        (["body"], "equal", []),
    ],
)
def test_ignored_paths_of_a_json_body(ignore: list[str], verdict_: str, differences: list[str]) -> None:
    ours, theirs = answer({"at": 1, "rows": [{"id": 1}]}), answer({"rows": [{"id": 2}]})
    assert told(ours, theirs, ignore=ignore) == differences
    assert verdict(ours, theirs, ignore=ignore) == verdict_


def test_body_that_is_no_json_can_be_ignored_as_a_whole() -> None:
    assert verdict(answer(b"\xff1"), answer(b"\xff2"), ignore=["body"]) == "equal"


@pytest.mark.parametrize(
    ("here", "there", "rtol", "expected"),
    [
        (1.0, 1.0000001, 1e-6, "equal"),
        (1.0, 1.0000001, 1e-8, "different"),
        (1.0, 1.0000001, 0, "different"),
        (float("nan"), float("nan"), 1e-6, "identical"),
        (0, 1e-12, 1e-6, "different"),
        ("1.0", "1.0000001", 1e-6, "different"),
        (True, 1, 1e-6, "different"),
    ],
)
def test_numbers_within_rtol_are_equal(here: object, there: object, rtol: float, expected: str) -> None:
    assert verdict(answer([here]), answer([there]), rtol=rtol) == expected


def test_long_values_are_shortened_and_many_differences_cut() -> None:
    ours, theirs = answer(["a" * 200] * 50), answer(["b" * 200] * 50)
    differences = told(ours, theirs)
    assert len(differences) == 20
    assert max(map(len, differences)) < 200


def test_report_counts_verdicts() -> None:
    exchanges = [Exchange(Request(), answer(body)) for body in (b"1", b"2", b"3")]
    report = verify(Run(tuple(exchanges)), Answers(answer(b"1"), answer(b"x"), answer(b"3")))
    assert repr(report) == "<Report the other: 2 identical, 1 different>"


def test_worker_answers_as_another_worker_does(handlers: Path) -> None:
    model = Model("mirror", handler=handlers / "mirror.py")
    with Worker(model) as one, Worker(model) as other:
        run = one.predict(Request(headers={"X-Status": "418"}, body=b"tea"), Request(body=b"\xff"))
        report = verify(run, other)
    assert [row.verdict for row in report.rows] == ["identical", "identical"]


def test_worker_with_another_batch_size_is_found_out(handlers: Path) -> None:
    model = Model("mirror", handler=handlers / "mirror.py")
    with Worker(model) as one, Worker(model, batch_size=2) as other:
        report = verify(one.predict(Request(body=b"a"), Request(body=b"b")), other)
    assert [str(difference) for difference in report.rows[0].differences] == ["header x-rows: 1 here, 2 there"]
