"""Two endpoints side by side: what is asked, and the table of what differs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

import handlerkit as hk
from handlerkit.errors import RequestError
from handlerkit.messages import Exchange, Finding, Request, Response, Run

ONE, TWO = Request(body=b"1", label="one"), Request(body=b"2", label="two")


@dataclass
class Says:
    """Answers by the request's body, and remembers what it was asked."""

    name: str
    answers: dict[bytes, Response]
    findings: tuple[Finding, ...] = ()
    asked: list[tuple[bytes, ...]] = field(default_factory=list)

    def predict(self, *requests: Request) -> Run:
        self.asked.append(tuple(request.body for request in requests))
        answered = tuple(Exchange(one, self.answers[one.body]) for one in requests)
        return Run(answered, findings=self.findings, endpoint=self.name, model="m")


def answer(body: bytes = b"ok", status: int | None = 200, **headers: str) -> Response:
    return Response(status, "", tuple({"content-type": "text/plain", **headers}.items()), body)


@pytest.fixture
def same() -> tuple[Says, Says]:
    return tuple(Says(name, {b"1": answer(), b"2": answer(b"more")}) for name in ("http://a", "https://b"))


def text_of(shown: object) -> list[str]:
    """The lines of its text, with times as T."""
    return re.sub(r"\d+(\.\d+)? (µs|ms|s)\b", "T", hk.view(shown).text).splitlines()


def test_each_request_is_sent_to_one_and_then_to_the_other_by_itself(same: tuple[Says, Says]) -> None:
    hk.compare(*same, ONE, TWO)
    assert [one.asked for one in same] == [[(b"1",), (b"2",)]] * 2


def test_requests_may_come_as_a_list(same: tuple[Says, Says]) -> None:
    assert [row.label for row in hk.compare(*same, [ONE, TWO]).rows] == ["one", "two"]


def test_the_same_answers(same: tuple[Says, Says]) -> None:
    compared = hk.compare(*same, ONE, TWO)
    assert compared
    assert [len(run.exchanges) for run in (compared.run, compared.other)] == [2, 2]
    assert text_of(compared) == [
        "2 answers, all the same",
        "  http://a -> https://b",
        "one  identical",
        "  answer: 200 text/plain, 2 B in T -> 200 text/plain, 2 B in T",
        "two  identical",
        "  answer: 200 text/plain, 4 B in T -> 200 text/plain, 4 B in T",
    ]


def test_each_difference_is_a_row(same: tuple[Says, Says]) -> None:
    same[1].answers[b"2"] = Response(503, "Slow", (("x-a", "1"),), b"mire")
    compared = hk.compare(*same, ONE, TWO)
    assert not compared
    lines = text_of(compared)
    assert lines[0] == "1 of 2 answers differ"
    assert lines[4:] == [
        "two  different",
        "  answer: 200 text/plain, 4 B in T -> 503 Slow, no content type, 4 B in T",
        "  status: 200 -> 503",
        "  reason: '' -> 'Slow'",
        "  header content-type: text/plain -> nothing",
        "  header x-a: nothing -> 1",
        "  body from byte 1 (1 bytes differ, 4 and 4 in all): 'more' -> 'mire'",
    ]
    html = hk.view(compared).html
    assert html.count("<tr>") == 1 + len(lines[2:]) - 2
    assert "<th>http://a</th><th>https://b</th>" in html


def test_what_may_differ_is_named(same: tuple[Says, Says]) -> None:
    same[1].answers[b"1"] = answer(date="today")
    compared = hk.compare(*same, ONE, ignore=["date"])
    assert compared
    assert "one  equal  left out: date (ignored)" in text_of(compared)


def test_why_one_gave_no_answer_is_told_once(same: tuple[Says, Says]) -> None:
    same[1].answers = dict.fromkeys((b"1", b"2"), Response(None, complete=False))
    same[1].findings = (Finding("connection", "Nothing listens at b:443."),)
    compared = hk.compare(*same, ONE, TWO)
    assert hk.view(compared).text.count("Nothing listens at b:443.") == 1
    assert hk.view(compared).html.count("Nothing listens at b:443.") == 1


def test_endpoints_of_one_name_are_numbered(same: tuple[Says, Says]) -> None:
    assert text_of(hk.compare(same[0], same[0], ONE))[1] == "  http://a (1) -> http://a (2)"


def test_names_of_endpoints_are_escaped() -> None:
    one = Says("<b>", {b"1": answer()})
    assert "<th>&lt;b&gt; (1)</th>" in hk.view(hk.compare(one, one, ONE)).html


def test_two_endpoints_need_a_request(same: tuple[Says, Says]) -> None:
    with pytest.raises(RequestError, match="nothing to send to the two endpoints"):
        hk.compare(*same)


@pytest.mark.parametrize(
    "given",
    [
        lambda run, endpoint: (run, endpoint),
        lambda run, endpoint: (endpoint, 1),
        lambda run, endpoint: (Says, endpoint),
        lambda run, endpoint: (run, run, ONE),
    ],
)
def test_what_cannot_be_compared(same: tuple[Says, Says], given: Callable[..., tuple[object, ...]]) -> None:
    with pytest.raises(TypeError, match="compare takes two Runs"):
        hk.compare(*given(same[0].predict(ONE), same[1]))
