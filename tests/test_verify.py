"""Comparing the answers of two endpoints; any object with `predict` is one."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Exchange, ForcedHead, Request, Response, Run
from handlerkit.model import Model
from handlerkit.targets import Environment
from handlerkit.verify import ComparedResponse, Envelopes, Report, compare_envelopes, verify
from handlerkit.view import bundle

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


@pytest.fixture
def placed() -> Report:
    """Compared with an endpoint that tells where it answers: on a Python that stands in for another."""
    stands_in = "Python 3.10.13 stands in for Python 3.9, which is not installed here"
    packages = {"torch": "2.4.0", "numpy": "1.24.3"}
    endpoint = Answers(answer(b"x"))
    endpoint.environment = Environment("image.txt", Path("/x/python"), "3.10.13", packages, stands_in)  # type: ignore[attr-defined]
    return verify(Run((Exchange(Request(label="coins.png"), answer(b"x")),), model="m"), endpoint)


def test_the_variables_of_a_worker_are_no_environment_that_it_runs_in():
    endpoint = Answers(answer(b"x"))
    endpoint.environment = {"LEVEL": "3"}  # type: ignore[attr-defined]  # as a Worker has it
    report = verify(Run((Exchange(Request(label="coins.png"), answer(b"x")),), model="m"), endpoint)
    assert (report.environment, report.place) == (None, "the other")
    assert repr(report) == "<Report the other: 1 identical>"


def test_report_names_python_torch_and_target(placed: Report) -> None:
    place = "the other, Python 3.10.13, torch 2.4.0, target image.txt"
    assert repr(placed).startswith(f"<Report {place}: 1 identical; Python 3.10.13 stands in")
    shown = bundle(placed)
    assert shown["text/plain"].splitlines()[0] == f"verified on {place}: 1 identical"
    assert f"verified on {place}" in shown["text/html"]


def test_report_says_which_python_stands_in(placed: Report) -> None:
    shown = bundle(placed)
    for text in shown.values():
        assert "Python 3.10.13 stands in for Python 3.9, which is not installed here" in text


def test_report_of_an_endpoint_that_tells_no_environment_names_the_endpoint() -> None:
    report = compared(answer(b"x"), answer(b"x"))
    assert (report.environment, report.place) == (None, "the other")


def test_requests_are_replayed_in_order() -> None:
    requests = Request(body=b"a"), Request(body=b"b")
    endpoint = Answers(answer(b"1"), answer(b"2"))
    run = Run(tuple(map(Exchange, requests, (answer(b"1"), answer(b"2")))))
    report = verify(run, endpoint)
    assert endpoint.asked == requests
    assert [row.label for row in report.rows] == ["“a”", "“b”"]


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


HERE = {"/tmp/here/1": "<model_dir>", "/home/me/h.py": "<model_dir>/h.py"}
THERE = {"/tmp/there/store/m": "<model_dir>", "/tmp/there/models/2/m": "<model_dir>"}
DESCRIBE = Request("GET", "/models/m", query="customized=true")


def row(ours: Response, theirs: Response, request: Request = DESCRIBE) -> ComparedResponse:
    """The comparison of two answers whose endpoints tell their paths."""

    class Other(Answers):
        def predict(self, *requests: Request) -> Run:
            return replace(super().predict(*requests), paths=THERE)

    return verify(Run((Exchange(request, ours),), model="m", paths=HERE), Other(theirs)).rows[0]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ('File "/home/me/h.py", line 3', 'File "/tmp/there/store/m/h.py", line 3'),
        (["/tmp/here/1", "/tmp/here/1/labels.json"], ["/tmp/there/models/2/m", "/tmp/there/store/m/labels.json"]),
        (b"in /tmp/here/1/h.py", b"in /tmp/there/models/2/m/h.py"),
    ],
)
def test_paths_of_the_model_s_files_are_named_as_volatile(ours: object, theirs: object) -> None:
    found = row(answer(ours), answer(theirs), Request())
    assert (found.verdict, found.volatile) == ("equal", ("paths of <model_dir>",))


def test_path_in_a_header_is_named_as_volatile() -> None:
    found = row(answer(b"", ("X-At", "/tmp/here/1")), answer(b"", ("X-At", "/tmp/there/store/m")), Request())
    assert (found.verdict, found.volatile) == ("equal", ("paths of <model_dir>",))


@pytest.mark.parametrize(
    ("ours", "theirs", "where"),
    [
        ({"t": "/tmp/here/1/h.py", "n": 1}, {"t": "/tmp/there/store/m/h.py", "n": 2}, "body.n"),
        ({"t": "/tmp/here/1/h.py"}, {"t": "/tmp/there/store/m/other.py"}, "body.t"),
        ({"t": "/tmp/elsewhere"}, {"t": "/tmp/there/store/m"}, "body.t"),
        (b'["/tmp/here/1",1]', b'["/tmp/there/store/m", 1]', "body from byte"),
        (b'{"a": "/tmp/here/1", "b": 1}', b'{"b": 1, "a": "/tmp/there/store/m"}', "body from byte"),
    ],
)
def test_any_difference_beside_a_path_is_told(ours: object, theirs: object, where: str) -> None:
    found = row(answer(ours), answer(theirs), Request())
    assert found.verdict == "different"
    assert found.differences[0].where.startswith(where)


def described(**changes: object) -> Response:
    worker = {"id": "9000", "startTime": "1", "status": "READY", "memoryUsage": 0, "pid": 1, "gpu": False}
    queue = {"remainingCapacity": 100, "pendingRequests": 0}
    model = {"modelName": "m", "modelUrl": "m.mar", "workers": [worker], "jobQueueStatus": queue}
    for name, value in changes.items():
        next(one for one in (worker, queue, model) if name in one)[name] = value
    return answer([model])


def test_what_a_description_tells_of_one_worker_is_named_as_volatile() -> None:
    theirs = described(
        id="9001", startTime="2", memoryUsage=7, pid=2, modelUrl="m", remainingCapacity=98, pendingRequests=2
    )
    found = row(described(), theirs)
    assert (found.verdict, found.differences) == ("equal", ())
    assert found.volatile == (
        "modelUrl", "workers[0].id", "workers[0].startTime", "workers[0].memoryUsage", "workers[0].pid",
        "jobQueueStatus",
    )  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"status": "UNLOADING"}, {"gpu": True}, {"modelName": "n"}, {"remainingCapacity": 10}]
)
def test_anything_else_in_a_description_is_a_difference(change: dict[str, object]) -> None:
    assert row(described(), described(pid=2, **change)).verdict == "different"


def test_answer_of_a_handler_is_no_description() -> None:
    assert row(described(), described(pid=2), Request()).verdict == "different"


HEAD = ForcedHead(
    "the proxy", frozenset({"date", "connection"}), lower_case=True, http_reasons=True, highest_status=599
)


def through_a_proxy(ours: Response, theirs: Response) -> ComparedResponse:
    endpoint = Answers(theirs)
    endpoint.forces = HEAD  # type: ignore[attr-defined]
    (row,) = verify(Run((Exchange(Request(), ours),)), endpoint).rows
    return row


def test_what_a_proxy_forces_on_a_head_is_named_and_leaves_it_equal() -> None:
    ours = Response(418, "Mine", (("X-A", "1"), ("Connection", "close")), b"x")
    theirs = Response(418, "I'm a Teapot", (("date", "now"), ("x-a", "1")), b"x")
    row = through_a_proxy(ours, theirs)
    assert (row.verdict, row.differences) == ("equal", ())
    assert [one.where for one in row.forced] == ["reason", "header connection", "header date", "names of headers"]


@pytest.mark.parametrize(
    ("theirs", "where"),
    [
        (Response(200, "Fine", (("x-a", "1"), ("x-b", "2"))), "reason"),
        (Response(200, "OK", (("x-a", "1"), ("x-b", "2"), ("via", "p"))), "header via"),
        (Response(200, "OK", (("x-a", "2"), ("x-b", "2"))), "header x-a"),
        (Response(200, "OK", (("x-b", "2"), ("x-a", "1"))), "order of headers"),
        (Response(201, "Created", (("x-a", "1"), ("x-b", "2"))), "status"),
        (Response(200, "OK", (("x-a", "1"), ("x-b", "2")), b"y"), "body"),
    ],
)
def test_what_a_proxy_does_not_force_is_a_difference(theirs: Response, where: str) -> None:
    row = through_a_proxy(Response(200, "", (("X-A", "1"), ("X-B", "2"))), theirs)
    assert row.verdict == "different"
    assert [one.where for one in row.differences] == [where]


def test_a_status_that_a_proxy_cannot_send_is_told() -> None:
    (found,) = through_a_proxy(Response(700), Response(None)).differences
    assert found.theirs == "no answer: the proxy passes on no status above 599"


def test_the_reason_can_be_ignored() -> None:
    report = compared(Response(200, "", (), b"x"), Response(200, "OK", (), b"x"), ignore=["reason"])
    assert (report.rows[0].verdict, report.rows[0].volatile) == ("equal", ("reason (ignored)",))
    assert verdict(Response(200, "", (), b"x"), Response(200, "OK", (), b"x"), ignore=["x-a"]) == "different"


def test_a_proxy_s_differences_stand_in_the_report() -> None:
    endpoint = Answers(Response(200, "OK", (("date", "now"),)))
    endpoint.forces = HEAD  # type: ignore[attr-defined]
    shown = bundle(verify(Run((Exchange(Request(label="coins.png"), Response(200)),), model="m"), endpoint))
    assert "forced by the endpoint: reason, header date" in shown["text/plain"]
    assert "<th>forced by the endpoint</th>" in shown["text/html"]


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


# --- envelopes --------------------------------------------------------------------------------------------------------

#: What the worker of each envelope hands over, answered.
ECHOES = """
def handle(data, context):
    if data is None:
        return None
    row = data[0]
    return [row.get("body", row.get("data", row)) if isinstance(row, dict) else row]
"""
#: As handlers are written that know no envelope.
READS_ROWS = """
def handle(data, context):
    return [row.get("body") for row in data] if data else None
"""


@pytest.fixture
def in_each(tmp_path: Path):
    """Compares what a handler's source makes of requests in each envelope."""
    opened = []

    def compare(source: str, *requests: Request, **options) -> Envelopes:
        (tmp_path / "handler.py").write_text(source)
        opened.append(Worker(Model("m", handler=tmp_path / "handler.py")))
        return compare_envelopes(requests, opened[-1].with_envelope, **options)

    yield compare
    for worker in opened:
        worker.close()


def verdicts(compared: Envelopes) -> list[tuple[str, ...]]:
    return [tuple(found.verdict for found in sample.answers.values()) for sample in compared.samples]


def test_every_sample_is_answered_in_each_envelope(in_each) -> None:
    compared = in_each(ECHOES, Request.json([1.5, 2]), Request.text("x y", label="words.txt"))
    assert [sample.label for sample in compared.samples] == ["request 1", "words.txt"]
    assert list(compared.samples[0].answers) == ["none", "body", "json", "kserve", "kservev2"]
    assert verdicts(compared) == [("same",) * 5] * 2
    assert compared
    assert repr(compared) == "<Envelopes m: 8 same>"


@pytest.mark.parametrize("answer", ["3", "0.5", "'words'", "'ünï'", "[[1, 2]]", "[True]", "None"])
def test_an_answer_of_any_kind_is_known_again(in_each, answer: str) -> None:
    source = f"def handle(data, context):\n    return [{answer}] * len(data) if data else None\n"
    compared = in_each(source, Request.json([1]))
    assert verdicts(compared)[0][:4] == ("same",) * 4


def test_runs_are_kept(in_each) -> None:
    answers = in_each(ECHOES, Request.json([1])).samples[0].answers
    assert [found.run.call.envelope for found in answers.values()] == [None, "body", "json", "kserve", "kservev2"]


def test_shape_that_kservev2_loses(in_each) -> None:
    compared = in_each(ECHOES, Request.json([[1, 2], [3, 4]]))
    found = compared.samples[0].answers["kservev2"]
    assert not compared
    assert found.verdict == "different"
    assert found.why == "answer: 2 elements without an envelope, 4 elements in this one."


def test_number_alone_is_a_tensor_of_one_element(in_each) -> None:
    compared = in_each("def handle(data, context):\n    return [0.25] if data else None\n", Request.json([1]))
    assert compared.samples[0].answers["kservev2"].verdict == "same"


def test_first_place_that_differs_is_told(in_each) -> None:
    source = (
        "def handle(data, context):\n"
        "    return [{'scores': [1, 1 if isinstance(data[0], dict) else 2]}] if data else None\n"
    )
    found = in_each(source, Request.json([1])).samples[0].answers["json"]
    assert (found.verdict, found.why) == ("different", "answer.scores[1]: 1 without an envelope, 2 in this one.")


def test_failure_is_told_in_plain_words(in_each) -> None:
    found = in_each(READS_ROWS, Request.json([1])).samples[0].answers["json"]
    assert (found.verdict, found.run.response.status) == ("failed", 503)
    assert found.why
    assert found.why == found.run.findings[0].message


def test_handler_that_needs_its_envelope_differs_from_none(in_each) -> None:
    source = "def handle(data, context):\n    return [row + 1 for row in data] if data else None\n"
    answers = in_each(source, Request.json(1)).samples[0].answers
    assert (answers["none"].verdict, answers["json"].verdict) == ("failed", "different")
    assert answers["json"].why == "status: 503 Prediction failed without an envelope, 200 in this one."


def test_payload_that_an_envelope_cannot_carry(in_each) -> None:
    found = in_each(ECHOES, Request.json({"a": 1})).samples[0].answers["kservev2"]
    assert (found.verdict, found.run) == ("failed", None)
    assert found.why.startswith("It cannot be sent: kservev2 carries numbers")


def test_bytes_against_text(in_each) -> None:
    answers = in_each(ECHOES, Request(body=b"\x89PNG\xff")).samples[0].answers
    assert (answers["body"].verdict, answers["json"].verdict) == ("same", "failed")
    assert answers["kserve"].why == 'answer: 5 B without an envelope, "iVBOR/8=" in this one.'


def test_batch_is_sent_together(in_each) -> None:
    compared = in_each(ECHOES, Request.json([1]), batch=2)
    assert {len(found.run.exchanges) for found in compared.samples[0].answers.values()} == {2}


def test_pixels_go_to_every_envelope(in_each) -> None:
    file = io.BytesIO()
    Image.new("RGB", (2, 1), (1, 2, 3)).save(file, "PNG")
    answers = in_each(ECHOES, Request(body=file.getvalue()), as_tensor=True).samples[0].answers
    assert answers["none"].run.response.json() == [[[1, 2, 3], [1, 2, 3]]]
    assert answers["kservev2"].run.data[0]["shape"] == [1, 2, 3]


def test_no_sample_is_no_difference() -> None:
    assert compare_envelopes([], lambda name: Answers()).samples == ()
