"""Why a real TorchServe answered with an error, out of its answers and its log."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from handlerkit import why
from handlerkit.endpoints.torchserve.diagnosis import Registration, findings, warnings
from handlerkit.messages import Finding, Request, Response
from handlerkit.serving.config import Config

HANDLER = """def handle(data, context):
    if data is None:
        return None
    return [row["image"] for row in data]
"""
REQUEST = Request.text("x")


@pytest.fixture
def model(tmp_path: Path) -> Registration:
    folder = tmp_path / "tmp" / "models" / ("0" * 32)
    folder.mkdir(parents=True)
    (folder / "handler.py").write_text(HANDLER)
    return Registration(why.Setup("m", "1.0", "handler.py", response_timeout=7), folder)


def error(status: int, message: str, kind: str = "InternalServerException") -> Response:
    body = json.dumps({"code": status, "type": kind, "message": message}).encode()
    return Response(status, "", (("x-request-id", "1"),), body)


def logged(*lines: str) -> str:
    begin = "2026-11-22T00:00:00,000 [INFO ] W-9000-m_1.0-stdout MODEL_LOG - "
    return "".join(f"{begin}{line}\n" for line in lines)


def cause(model: Registration, response: Response, log: str = "", request: Request = REQUEST) -> Finding:
    (found, *_) = findings([(request, response)], model, Config(), lambda: log)
    return found


def test_success_needs_no_log(model: Registration) -> None:
    def unread() -> str:
        raise AssertionError("the log is read for a success")

    assert findings([(REQUEST, Response(200, "OK", (("x-request-id", "1"),)))], model, Config(), unread) == ()


def test_exception_is_told_with_its_line_of_the_handler(model: Registration) -> None:
    log = logged(
        "Backend received inference at: 1795307415",
        "Invoking custom service failed.",
        "Traceback (most recent call last):",
        f'  File "{model.folder}/handler.py", line 4, in handle',
        '    return [row["image"] for row in data]',
        "KeyError: 'image'",
        "Backend received inference at: 1795307416",
    )
    found = cause(model, error(503, "Prediction failed"), log)
    assert found.message.startswith("The row has no 'image', it has 'body'")
    assert found.where == 'handler.py, line 4, in handle: return [row["image"] for row in data]'


def test_prediction_exception_in_the_log_is_torchserves_own(model: Registration) -> None:
    log = logged(
        "Invoking custom service failed.",
        "Traceback (most recent call last):",
        f'  File "{model.folder}/handler.py", line 4, in handle',
        '    raise PredictionException("bad", 422)',
        "ts.utils.util.PredictionException: message : bad error_code : 422",
    )
    found = cause(model, error(422, "bad"), log)
    assert (found.name, found.message) == (
        "prediction_exception",
        "The handler raised PredictionException with code 422.",
    )


def test_line_of_the_next_call_is_no_part_of_the_exception(model: Registration) -> None:
    log = logged("Traceback (most recent call last):", "ValueError: bad", "Backend received inference at: 1795307416")
    assert cause(model, error(503, "Prediction failed"), log).message == "The handler raised ValueError: bad."


@pytest.mark.parametrize(
    "later",
    [["refreshed the prices"], ["refresh failed", "Traceback (most recent call last):", "ZeroDivisionError: by zero"]],
)
def test_what_a_thread_logs_after_the_failure_is_no_part_of_it(model: Registration, later: list[str]) -> None:
    failure = logged(
        "Backend received inference at: 1795307415",
        "Invoking custom service failed.",
        "Traceback (most recent call last):",
        "ValueError: bad",
        "in two lines",
    )
    log = failure + logged(*later).replace("00,000", "00,050") + logged(*later).replace("00,000", "00,060")
    found = cause(model, error(503, "Prediction failed"), log)
    assert found.message == "The handler raised ValueError: bad in two lines."


def test_what_a_thread_logs_all_the_time_is_no_part_of_a_failure(model: Registration) -> None:
    begin = logged("tick 1", "Backend received inference at: 1795307415", "tick 2")
    log = begin + logged(
        "Invoking custom service failed.", "Traceback (most recent call last):", "ValueError: bad", "tick 3"
    )
    assert cause(model, error(503, "Prediction failed"), log).message == "The handler raised ValueError: bad."


def failed_call(*message: str, worker: str = "W-9000-m_1.0") -> str:
    text = logged("Backend received inference at: 1795307415", "Traceback (most recent call last):", *message)
    return text.replace("W-9000-m_1.0", worker)


def test_two_failures_have_two_causes(model: Registration) -> None:
    log = failed_call("KeyError: 'a'") + failed_call("ZeroDivisionError: division by zero")
    both = [(REQUEST, error(503, "Prediction failed")), (Request.text("y"), error(503, "Prediction failed"))]
    found = findings(both, model, Config(), lambda: log + logged("Backend received inference at: 1", "printed later"))
    assert [one.message.split(":")[0] for one in found] == [
        "The handler raised KeyError", "The handler raised ZeroDivisionError",
    ]  # fmt: skip
    assert "printed later" not in found[1].message


def test_two_deaths_have_two_causes(model: Registration) -> None:
    def death(line: int) -> str:
        begin = ("Backend received inference at: 1795307415", "Backend worker process died.")
        frame = f'  File "{model.folder}/handler.py", line {line}, in handle'
        return logged(*begin, "Traceback (most recent call last):", frame, "    x", "TypeError: bad")

    both = [(REQUEST, error(500, "Worker died.")), (Request.text("y"), error(500, "Worker died."))]
    log = death(3) + logged("Listening on port: None") + death(4)
    found = findings(both, model, Config(), lambda: log)
    assert [one.where for one in found] == ["handler.py, line 3, in handle: x", "handler.py, line 4, in handle: x"]
    assert len(findings(both, model, Config(), lambda: death(3))) == 1


def test_body_that_was_left_undecoded_is_no_failure_of_its_own(model: Registration) -> None:
    decoding = logged(
        "Failed json decoding of input data. Forwarding encoded payload",
        "Traceback (most recent call last):",
        '  File "/env/site-packages/ts/protocol/otf_message_handler.py", line 336, in _retrieve_input_data',
        '    model_input["value"] = json.loads(value.decode("utf-8"))',
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    )
    log = decoding + failed_call("KeyError: 'a'")
    found = findings([(REQUEST, error(503, "Prediction failed"))], model, Config(), lambda: log)
    assert [one.message for one in found] == ["The handler raised KeyError: 'a'."]


def test_body_that_was_left_undecoded_belongs_to_the_call_after_it(model: Registration) -> None:
    undecoded = logged(
        "Failed json decoding of input data. Forwarding encoded payload",
        "Traceback (most recent call last):",
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    )
    log = undecoded + failed_call("KeyError: 'a'") + undecoded + failed_call("ZeroDivisionError: division by zero")
    both = [(REQUEST, error(503, "Prediction failed")), (Request.text("y"), error(503, "Prediction failed"))]
    assert [one.message.split(":")[0] for one in findings(both, model, Config(), lambda: log)] == [
        "The handler raised KeyError", "The handler raised ZeroDivisionError",
    ]  # fmt: skip


def test_calls_of_two_workers_and_of_other_models_are_kept_apart(model: Registration) -> None:
    lines = [
        failed_call("ValueError: one").splitlines(),
        failed_call("ValueError: two", worker="W-9001-m_1.0").splitlines(),
        failed_call("ValueError: not ours", worker="W-9002-other_1.0").splitlines(),
    ]
    mixed = "".join(f"{line}\n" for three in zip(*lines, strict=True) for line in three)
    both = [(REQUEST, error(503, "Prediction failed"))] * 2
    found = findings(both, model, Config(), lambda: mixed)
    assert [one.message for one in found] == [
        "The handler raised ValueError: one.",
        "The handler raised ValueError: two.",
    ]


@pytest.mark.parametrize(("answers", "waits"), [((200, 400, 200), False), ((400,), True), ((400, 400, 400), False)])
def test_batch_that_may_have_been_full_did_not_wait(model: Registration, answers: tuple[int, ...], waits: bool) -> None:
    batched = replace(model, setup=model.setup._replace(batch_size=3))
    exchanges = [(REQUEST, Response(status, "", (("x-request-id", "1"),), b"own")) for status in answers]
    names = [one.name for one in findings(exchanges, batched, Config(), str)]
    assert ("batch_waits" in names) == waits
    assert "own_status" in names


def test_what_was_returned_is_told_in_the_workers_words(model: Registration) -> None:
    log = logged("model: m, number of batch response mismatched, expect: 2, got: 1.")
    found = cause(model, error(503, "number of batch response mismatched"), log)
    assert found.message.startswith("The handler returned 1 element(s) for 2 request(s)")


def test_nothing_is_claimed_of_what_was_returned_without_the_log(model: Registration) -> None:
    assert findings([(REQUEST, error(503, "Invalid model predict output"))], model, Config(), str) == ()


@pytest.mark.parametrize(
    ("log", "name", "what"),
    [
        ("Backend worker did not respond in given time", "worker_timeout", "response_timeout of 7 s"),
        ("CorruptedFrameException: Message size exceed limit: 7000000", "worker_size", "7000000 bytes"),
        ("", "worker_exit", "process ended"),
    ],
)
def test_death_is_told_apart(model: Registration, log: str, name: str, what: str) -> None:
    found = cause(model, error(500, "Worker died."), log)
    assert found.name == name
    assert what in found.message


@pytest.mark.parametrize(
    ("code", "raised", "name"),
    [
        ('struct.pack("!i", http_code)', "struct.error: required argument is not an integer", "status_arguments"),
        ("http_phrase.encode()", "AttributeError: 'int' object has no attribute 'encode'", "status_arguments"),
        ("content_type.encode()", "AttributeError: 'int' object has no attribute 'encode'", "worker_header"),
        ('struct.pack("!i", len(val))', "TypeError: object of type 'X' has no len()", "worker_encode"),
    ],
)
def test_head_that_cannot_be_sent(model: Registration, code: str, raised: str, name: str) -> None:
    log = logged(
        "Backend received inference at: 1",
        "Backend worker process died.",
        "Traceback (most recent call last):",
        '  File "/env/site-packages/ts/protocol/otf_message_handler.py", line 116, in create_predict_response',
        f"    msg += {code}",
        raised,
    )
    assert cause(model, error(500, "Worker died."), log).name == name


def test_handlers_own_status_is_no_failure(model: Registration) -> None:
    found = cause(model, Response(404, "Nope", (("x-request-id", "1"),), b"none"))
    assert (found.name, found.severity) == ("own_status", "warning")


def test_frontends_answer_is_told_without_the_worker(model: Registration) -> None:
    answer = error(404, "Model not found: n", "ModelNotFoundException")
    assert cause(model, answer, request=Request(path="/predictions/n")).name == "unknown_model"


def test_too_large_a_request_has_no_error_body(model: Registration) -> None:
    assert cause(model, Response(413, "Request Entity Too Large")).name == "too_large"


def test_those_that_failed_alike_are_told_once(model: Registration) -> None:
    answer = error(503, "number of batch response mismatched")
    log = logged("model: m, number of batch response mismatched, expect: 2, got: 1.")
    assert len(findings([(REQUEST, answer)] * 2, model, Config(), lambda: log)) == 1


def warned(model: Registration, request: Request, *headers: tuple[str, str], body: bytes = b"x") -> list[str]:
    response = Response(200, "OK", (("x-request-id", "1"), *headers), body)
    return [one.name for one in warnings([(request, response)], model, Config())]


def test_success_has_the_warnings_that_need_no_log(model: Registration) -> None:
    assert warned(model, Request.json([1], query="a=1"), body=b'{"a": NaN}') == ["query_dropped", "not_json"]


def test_quiet_fault_of_a_server_is_told_once(model: Registration) -> None:
    asked = Request.json([1], headers=[("Accept", "application/json")])
    assert [warned(model, asked, body=b"[1]") for _ in range(2)] == [["untyped_json"], []]


def test_content_type_that_the_handler_set_is_known_of_a_server(model: Registration) -> None:
    asked = Request.json([1], headers=[("Accept", "application/json")])
    assert warned(model, asked, ("Content-Type", "application/json"), body=b"[1]") == []


def test_failures_and_batches_have_no_warnings_of_a_success(model: Registration) -> None:
    batched = replace(model, setup=model.setup._replace(batch_size=4))
    assert warned(batched, REQUEST) == []
    assert warnings([(REQUEST, error(503, "Prediction failed"))], batched, Config()) == ()


@pytest.mark.parametrize(
    ("reader", "raised"),
    [
        ("json.loads", ["json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"]),
        ("ast.literal_eval", ['  File "<unknown>", line 1', "    a b", "SyntaxError: invalid syntax"]),
        ("torch.load(io.BytesIO", ["_pickle.UnpicklingError: invalid load key, 'a'."]),
    ],
)
def test_only_value_of_a_request_that_could_not_be_read(model: Registration, reader: str, raised: list[str]) -> None:
    log = logged(
        "Backend received inference at: 1",
        "Invoking custom service failed.",
        "Traceback (most recent call last):",
        f'  File "{model.folder}/handler.py", line 4, in handle',
        f"    return [{reader}(row['body']) for row in data]",
        *raised,
    )
    assert (
        "row['body'] is the text 'a b'"
        in cause(model, error(503, "Prediction failed"), log, Request.text("a b")).message
    )


def test_value_that_its_reader_takes_is_not_to_blame(model: Registration) -> None:
    log = logged(
        "Backend received inference at: 1",
        "Invoking custom service failed.",
        "Traceback (most recent call last):",
        f'  File "{model.folder}/handler.py", line 4, in handle',
        "    return [json.loads(self.settings) for row in data]",
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    )
    for text in ("[1]", "[1, "):  # what Python says to the second is something else
        assert cause(model, error(503, "Prediction failed"), log, Request.text(text)).name == "exception"
