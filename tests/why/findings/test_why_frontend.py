"""What the frontend answers by itself, and what it does with its queue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from why_cases import Case, body, check, start

from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Request

ANSWER = body("return ['x'] * len(data)")
SETTINGS = {"config_properties": {"max_request_size": 100}}


def rejected(name: str, message: str, request: Request) -> Case:
    return Case("", name, ANSWER, message, request=request, worker=SETTINGS)


REJECTED = [
    (
        404,
        rejected("unknown_model", "no model 'n'; this one is called 'm'", request=Request(path="/predictions/n")),
    ),
    (404, rejected("unknown_version", "the version served is 1.0", request=Request(path="/predictions/m/9"))),
    (404, rejected("unknown_route", "has no '/prediction/m'", request=Request(path="/prediction/m"))),
    (404, rejected("unknown_route", "has no '/predictions'", request=Request(path="/predictions"))),
    (404, rejected("unknown_route", "has no '/v2/models/m/predict'", request=Request(path="/v2/models/m/predict"))),
    (404, rejected("unknown_route", "has no '/nothing/of/this'", request=Request(path="/nothing/of/this"))),
    (405, rejected("method", "POST is not allowed at /", request=Request(path="/"))),
    (413, rejected("too_large", "has 101 bytes; max_request_size allows 100", request=Request(body=b"x" * 101))),
    (400, rejected("line_too_long", "4096 are allowed", request=Request(query="a=" + "x" * 4096))),
    (400, rejected("header_too_long", "8192 are allowed", request=Request(headers={"a": "x" * 8200}))),
    (400, rejected("not_http", "name of a header is not valid HTTP", request=Request(headers={"a b": "x"}))),
    (400, rejected("not_http", "'ten', which is no number", request=Request(headers={"Content-Length": "ten"}))),
    (400, rejected("model_name", "has no parameter model_name", request=Request(path="/invocations"))),
    (417, rejected("expect", "asks for something", request=Request(headers={"Expect": "the worst"}))),
    (
        500,
        rejected(
            "form",
            "cannot read the form",
            request=Request.multipart(headers={"Content-Type": "multipart/form-data; boundary"}),
        ),
    ),
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    case = Case("", "", ANSWER, "", worker=SETTINGS)
    with start(case, tmp_path_factory.mktemp("frontend")) as one:
        yield one


@pytest.mark.parametrize(("status", "case"), REJECTED, ids=str)
def test_frontend_answers_by_itself(status: int, case: Case, worker: Worker) -> None:
    run = worker.predict(case.request)
    assert run.response.status == status
    assert not run.calls
    (found,) = run.findings
    check(case, found)
    assert str(status) in found.effect
    assert found.fix
    assert worker.send(case.request).findings == run.findings


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/predictions/M", "Did you mean /predictions/m?"),
        ("/prediction/m", "Did you mean /predictions/m?"),
        ("/explanation/m", "Did you mean /explanations/m?"),
        ("/v2/models/m/predict", "Did you mean /v2/models/m/infer?"),
        ("/v1/models/m", "Did you mean /v1/models/m:predict?"),
        ("/predictions/m/9", "or to /predictions/m/1.0."),
        ("/xyz", "Send it to /predictions/m."),
    ],
)
def test_nearest_known_is_named(path: str, change: str, worker: Worker) -> None:
    assert worker.predict(Request(path=path)).findings[0].fix.endswith(change)


def test_queue_that_is_full(tmp_path: Path) -> None:
    slow = body("import time; time.sleep(0.1); return ['x']")
    case = Case("", "queue_full", slow, "it holds 1 request(s)", worker={"config_properties": {"job_queue_size": 1}})
    with start(case, tmp_path) as worker:
        run = worker.predict(*[Request.json(1)] * 4)
    assert 503 in [response.status for response in run.responses]
    check(case, run.findings[0])


def test_answer_later_than_the_client_timeout(tmp_path: Path) -> None:
    case = Case(
        "",
        "client_timeout",
        body("import time; time.sleep(0.02); return ['x']"),
        "clientTimeoutInMills (1)",
        model={"config_file": "model-config.yaml"},
        extra={"model-config.yaml": "clientTimeoutInMills: 1\n"},
    )
    with start(case, tmp_path) as worker:
        run = worker.predict(Request.json(1))
    assert run.response.status is None
    check(case, run.findings[0])


def test_worker_that_does_not_load_again(tmp_path: Path) -> None:
    source = "import os\n" + body("os._exit(1)")
    case = Case("", "no_worker", source, "fails to load each time", worker={"in_process": False})
    with start(case, tmp_path) as worker:
        worker.predict(Request())
        (tmp_path / "h.py").write_text("raise ValueError\n")
        run = worker.predict(Request())
    assert run.response.status is None
    assert [found.name for found in run.findings] == ["no_worker", "load"]
    check(case, run.findings[0])
