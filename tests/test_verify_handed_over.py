"""What a handler gets on another endpoint, beside what it got in a Run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

import handlerkit as hk
from handlerkit.messages import ForcedHead, HeadersLike, Request, Run
from handlerkit.serving.torchserve_facts import REQUEST_ID
from handlerkit.serving.wire import Job, Parameter, encode_predict
from handlerkit.verify import Report, verify
from handlerkit.view import bundle

HOST, SIZE = ("Host", "elsewhere:1"), ("Content-Length", "1")
PROXY = ForcedHead("the proxy", frozenset({"x-request-id"}), lower_case=True)


class Recorded:
    """An endpoint that gives the answers of a Run again, and whose handler got these jobs in batches."""

    def __init__(self, run: Run, *batches: list[Job], forces: ForcedHead | None = None) -> None:
        self._run, self._batches = run, batches
        self.forces = forces

    def predict(self, *requests: Request) -> Run:
        return self._run

    @contextmanager
    def recording(self) -> Iterator[object]:
        yield SimpleNamespace(messages=[b"".join(encode_predict(batch)) for batch in self._batches])


def job(body: bytes = b"1", *headers: tuple[str, str], kind: str = "text/plain; charset=utf-8") -> Job:
    """A job that is called anything."""
    sent = (HOST, *(headers or (("Content-Type", kind), SIZE)), ("url_path", ""), ("explain", "False"))
    return Job("of the other", sent, [Parameter("body", kind.partition(";")[0], body)])


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hk.Worker]:
    file = tmp_path_factory.mktemp("handler") / "handler.py"
    file.write_text("def handle(data, context):\n    return ['same'] * len(data) if data else None\n")
    with hk.Worker(hk.Model("m", handler=file)) as running:
        yield running


@pytest.fixture
def run(worker: hk.Worker) -> Run:
    return worker.predict(Request.text("1"), Request.text("2"))


def told(report: Report) -> list[list[str]]:
    """The differences of each row."""
    return [list(map(str, row.differences)) for row in report.rows]


def test_the_same_requests_are_the_same_in_whatever_batches_and_order(run: Run) -> None:
    for batches in ([[job(b"1"), job(b"2")]], [[job(b"2")], [job(b"1")]]):
        report = verify(run, Recorded(run, *batches))
        assert (told(report), [row.verdict for row in report.rows]) == ([[], []], ["identical", "identical"])


def test_another_row_and_header_are_a_difference_of_their_request(run: Run) -> None:
    other = job(b"3", ("Content-Type", "text/plain; charset=utf-8"), SIZE, ("X-A", "b"))
    report = verify(run, Recorded(run, [other], [job(b"1")]))
    assert not report
    assert told(report) == [
        [],
        [
            "header X-A that the handler gets: nothing here, 'b' there",
            "data[i]['body'] that the handler gets: '2' here, '3' there",
        ],
    ]


def test_the_kind_of_a_part_is_a_difference(run: Run) -> None:
    report = verify(run, Recorded(run, [job(b"1")], [job(b"2", kind="image/png")]))
    assert told(report)[1] == [
        "header body that the handler gets: {'content-type': 'text/plain'} here, {'content-type': 'image/png'} there",
        "header Content-Type that the handler gets: 'text/plain; charset=utf-8' here, 'image/png' there",
        "data[i]['body'] that the handler gets: '2' here, bytearray(b'2') there",
    ]


def test_a_request_that_the_handler_does_not_get_is_a_difference(run: Run) -> None:
    assert told(verify(run, Recorded(run, [job(b"2")]))) == [
        ["what the handler gets: the request here, nothing there"],
        [],
    ]


def test_a_request_that_only_the_other_handler_gets_is_a_difference(worker: hk.Worker) -> None:
    run = worker.predict(Request.text("1"), Request("GET", "/predictions/unknown"))
    report = verify(run, Recorded(run, [job(b"1"), job(b"")]))
    assert told(report) == [[], ["what the handler gets: nothing here, the request there"]]


def test_a_request_that_no_handler_gets_takes_no_other_s_place(worker: hk.Worker) -> None:
    run = worker.predict(Request("GET", "/predictions/unknown"), Request.text("2"))
    report = verify(run, Recorded(run, [job(b"3")]))
    assert told(report) == [[], ["data[i]['body'] that the handler gets: '2' here, '3' there"]]


def test_casing_of_names_is_a_difference_unless_it_is_forced(run: Run) -> None:
    lower = [job(body, ("content-type", "text/plain; charset=utf-8"), ("content-length", "1")) for body in (b"1", b"2")]
    assert not verify(run, Recorded(run, lower))
    report = verify(run, Recorded(run, lower, forces=PROXY))
    assert report
    assert [row.verdict for row in report.rows] == ["equal", "equal"]
    assert (
        "names of headers that the handler gets: Content-Type, Content-Length here, content-type, content-length there"
        in (list(map(str, report.rows[0].forced)))
    )


def test_a_header_of_the_proxy_s_own_is_forced_and_a_client_s_is_not(worker: hk.Worker) -> None:
    def got(headers: HeadersLike, *added: tuple[str, str]) -> Report:
        run = worker.predict(Request.text("1", headers=headers))
        given = job(b"1", ("content-type", "text/plain; charset=utf-8"), ("content-length", "1"), *added)
        return verify(run, Recorded(run, [given], forces=PROXY))

    added = got({}, (REQUEST_ID, "of the proxy"))
    assert added
    assert f"header {REQUEST_ID} that the handler gets: nothing here, once there" in map(str, added.rows[0].forced)
    assert not got({REQUEST_ID: "of the client"}, (REQUEST_ID, "of the proxy"))
    assert not got({}, ("x-other", "of nobody"))


def test_a_run_without_calls_is_compared_by_its_answers_alone(run: Run) -> None:
    report = verify(replace(run, calls=()), Recorded(run))
    assert (bool(report), report.compares_handed_over) == (True, False)


def test_the_display_says_that_the_handler_gets_the_same(run: Run) -> None:
    said = bundle(verify(run, Recorded(run, [job(b"1"), job(b"2")])))
    head = "verified on : 2 identical, and the handler gets the same"
    assert said["text/plain"].splitlines()[0].replace(run.endpoint, "") == head
    assert "2 identical, and the handler gets the same" in said["text/html"]
