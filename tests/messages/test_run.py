"""Run: its shortcuts, its errors, and that it is plain data."""

from __future__ import annotations

import gc
import pickle
import weakref
from pathlib import Path

import pytest

from handlerkit.endpoints.worker import Worker
from handlerkit.errors import ResponseError
from handlerkit.messages import Call, ErrorInfo, Exchange, Finding, Frame, LogLine, Metric, Request, Response, Run
from handlerkit.model import Model
from handlerkit.serving import wire
from handlerkit.timing import Timings

SAMPLE = "[METRICS]Hits.Count:2.0|#ModelName:m,Level:Model|#type:COUNTER|#hostname:h,1,id"


def call(*logs: str, error: ErrorInfo | None = None, body: bytes = b"[1]") -> Call:
    job = wire.Job("id", [("X-A", "1")], [wire.Parameter("body", "application/json", body)])
    return Call(wire.encode_predict([job]), Timings(1.0), tuple(LogLine("INFO", text) for text in logs), error)


def run(*responses: Response, calls: tuple[Call, ...] = (), findings: tuple[Finding, ...] = ()) -> Run:
    return Run(tuple(Exchange(Request(), response) for response in responses), calls, findings, model="m")


def error(text: str = "Traceback:\nValueError: no\n") -> ErrorInfo:
    return ErrorInfo("ValueError", "no", (Frame("h.py", 3, "handle", "raise"),), text)


def test_shortcuts_of_a_single_exchange_and_call() -> None:
    one = run(Response(200), calls=(call("hello", SAMPLE),))
    assert (one.request, one.response) == (Request(), Response(200))
    assert one.rows == one.data == [{"body": [1]}]
    assert one.request_headers == [{"body": {"content-type": "application/json"}, "X-A": "1"}]
    assert one.timings.total == 1.0
    assert [str(line) for line in one.logs] == ["hello", SAMPLE]


@pytest.mark.parametrize(
    ("name", "words"),
    [("response", "2 exchanges; .* each of .exchanges"), ("request", "2 exchanges"), ("rows", "0 calls; .* .calls")],
)
def test_shortcut_says_where_to_look_when_there_is_not_one(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        getattr(run(Response(200), Response(200)), name)


def test_logs_metrics_and_error_go_over_all_calls() -> None:
    both = run(Response(503), calls=(call("a"), call(SAMPLE, error=error())))
    assert [line.text for line in both.logs] == ["a", SAMPLE]
    assert both.metrics == (Metric("Hits", "Count", 2.0, (("ModelName", "m"), ("Level", "Model")), "COUNTER"),)
    assert both.error is not None
    assert both.error.type == "ValueError"


def test_rows_are_decoded_anew_each_time() -> None:
    one = run(Response(200), calls=(call(),))
    one.rows[0]["body"].append(2)
    assert one.rows == [{"body": [1]}]


def test_success_is_returned() -> None:
    one = run(Response(200))
    assert one.raise_for_status() is one


def test_failure_is_told_with_cause_and_traceback() -> None:
    finding = Finding("x", "The handler raised it.", "h.py, line 3", fix="Correct it.")
    bad = run(Response(503, "Service Unavailable"), calls=(call(error=error()),), findings=(finding,))
    with pytest.raises(ResponseError) as raised:
        bad.raise_for_status()
    assert str(raised.value).splitlines() == [
        "m answered 503 Service Unavailable",
        "The handler raised it. (h.py, line 3) Correct it.",
        "Traceback:",
        "ValueError: no",
    ]
    assert raised.value.run is bad


def test_answers_that_are_alike_are_told_once() -> None:
    with pytest.raises(ResponseError, match=r"^m answered 404 a, 503 b$"):
        run(Response(503, "b"), Response(200), Response(404, "a"), Response(503, "b")).raise_for_status()


def test_repr_is_short() -> None:
    assert repr(run(*[Response(200)] * 6)) == "<Run m: 200, 200, 200, 200, ...>"


@pytest.mark.parametrize("header", ["200", "raise"])
def test_run_of_a_worker_pickles_and_keeps_no_handler(handlers: Path, header: str) -> None:
    worker = Worker(Model("m", handler=handlers / "keeps_itself.py"), in_process=True)
    run = worker.predict(Request.json({"a": 1}, headers={"X-Do": header}))
    handler = weakref.ref(worker._loaded._handler._handle.__self__)  # type: ignore[union-attr]
    assert handler() is not None
    worker.close()
    del worker
    gc.collect()
    assert handler() is None
    again = pickle.loads(pickle.dumps(run))
    assert again == run
    assert again.rows == [{"body": {"a": 1}}]
    assert run.rows == [{"body": {"a": 1}}]
