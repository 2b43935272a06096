"""Exchanges recorded with a real TorchServe 0.12.0, sent again through Worker. golden/README.md names the keys."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from handlerkit.endpoints.loads.in_process import InProcess
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError
from handlerkit.messages import Call, Headers, Request, Response
from handlerkit.model import Model
from handlerkit.serving.requests.headers import is_chunked

pytestmark = pytest.mark.usefixtures("no_pause")

GOLDEN = Path(__file__).parent / "golden"
Case = dict[str, Any]

_SECTIONS = "abcdefgijk"
_DIES = "takes its time, or ends the worker: test_golden_deaths.py sends it with shorter time-outs"
_SEQUENCE = "sequence batching is not there yet"
_RAW = "the message itself is malformed; a Worker takes Requests"

#: What Worker cannot reproduce yet, and why.
NOT_YET = {
    "bad_http": _RAW,
    "no_headers": _RAW,
    "pipelined_requests": _RAW,
    "exit_segv": _DIES,
    "exit_sigkill": _DIES,
    "init_timeout": _DIES,
    "micro_batching_stage_raises": _DIES,
    "sequence_too_many": _SEQUENCE,
    "no_workers": "a Worker always has its worker",
    "no_workers_describe": "a Worker always has its worker",
    "default_handler_unknown": "Model refuses a handler that is neither a file nor a default handler",
    "unknown_envelope": "Worker refuses an envelope that does not exist",
    "eager_no_weights__predict": "random weights",
}


def _read() -> Iterator[Case]:
    for file in sorted(GOLDEN.glob(f"[{_SECTIONS}]_*.jsonl")):
        yield from map(json.loads, file.read_text().splitlines())


CASES = list(_read())


def requests_of(case: Case) -> list[dict[str, Any]]:
    return case.get("requests") or [case["request"]]


def responses_of(case: Case) -> list[dict[str, Any]]:
    return case.get("responses") or [case["response"]]


def is_exchange(case: Case) -> bool:
    """The inference API, and describe, which the management API hands on to the handler."""
    if case.get("kind", "exchange") != "exchange" or case["case"] in NOT_YET:
        return False
    return all(request["port"] == "inference" or "customized" in request["query"] for request in requests_of(case))


def is_load(case: Case) -> bool:
    """Registering an archive that holds one model; the rest of the management API is Server's."""
    waits = (case.get("config") or {}).get("register_params", {}).get("synchronous") != "false"
    return case.get("kind") == "register" and bool(case.get("model")) and waits and case["case"] not in NOT_YET


def named(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in cases])


def model_of(case: Case, folder: Path) -> Model:
    """The model as it was archived, written into `folder`."""
    config, source = case["config"], case["handler_source"]
    given: dict[str, Any] = {}
    handler = config["register_params"].get("handler") or config["handler"]
    if source is not None:
        (folder / "extra").mkdir()
        (folder / config["handler"]).write_text(source)
        handler = f"{folder}/{handler.replace('.py:', ':')}"
    for name, text in (config["extra_files"] or {}).items():
        (folder / "extra").mkdir(exist_ok=True)
        (folder / "extra" / name).write_text(text)
    if config["model_yaml"] is not None:
        given["config_file"] = folder / "model-config.yaml"
        given["config_file"].write_text(config["model_yaml"])
    if config["serialized_file"]:
        given["serialized_file"] = GOLDEN / "nets" / config["serialized_file"]
    if config["model_file"]:
        name, text = config["model_file"]
        given["model_file"] = folder / name
        given["model_file"].write_text(text)
    extra = sorted((folder / "extra").iterdir()) if config["extra_files"] else ()
    return Model(case["model"], handler=handler, extra_files=extra, **given)


def start(case: Case, folder: Path, *, in_process: bool = False) -> Worker:
    """Raises LoadError where the handler does not load."""
    config = case["config"]
    asked = {
        name: config["register_params"].get(name) for name in ("batch_size", "max_batch_delay", "response_timeout")
    }
    environment = config.get("environment")
    return Worker(
        model_of(case, folder), config["server_properties"], **asked, environment=environment, in_process=in_process
    )


@contextmanager
def kept(start: Callable[[Case, Path], Worker], folders: pytest.TempPathFactory) -> Iterator[Callable[[Case], Worker]]:
    """Gives a worker for a case, the same one for all cases of one model, source and configuration; closes all at the
    end."""
    known: dict[str, Worker] = {}

    def worker(case: Case) -> Worker:
        key = json.dumps([case["model"], case["handler_source"], case["config"]], sort_keys=True)
        if key not in known:
            known[key] = start(case, folders.mktemp("golden"))
        return known[key]

    yield worker
    for one in known.values():
        one.close()


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with kept(start, tmp_path_factory) as worker:
        yield worker


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The `ts.context.Context` of a case's handler, loaded in this process, where it can be looked at."""
    with kept(partial(start, in_process=True), tmp_path_factory) as worker:

        def context(case: Case) -> Any:
            loaded = worker(case)._loaded
            assert isinstance(loaded, InProcess)
            return loaded._handler._service.context

        yield context


#: A request that was sent before and left its mark in the worker.
BEFORE = {
    "kservev2_after_failure_id_leaks": Request.json({"id": "LEAK", "inputs": []}, headers={"x-py": "raise ValueError"})
}


@pytest.mark.timeout(30)
@named([case for case in CASES if is_exchange(case)])
def test_exchange(case: Case, workers: Any) -> None:
    worker = workers(case)
    if case["case"] in BEFORE:
        worker.predict(BEFORE[case["case"]])
    run = worker.predict(*map(request_of, requests_of(case)))
    for response, recorded in zip(run.responses, responses_of(case), strict=True):
        check = check_described if '"modelUrl"' in recorded.get("body_text", "") else check_response
        check(response, recorded)
    saw = [call for call in case["handler_saw"] if isinstance(call.get("data", []), list)]
    check_calls(run.calls, saw)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # loading leaves a coroutine unawaited
@pytest.mark.timeout(30)
@named([case for case in CASES if is_exchange(case) and any("model_name" in call for call in case["handler_saw"])])
def test_context(case: Case, contexts: Any) -> None:
    context = contexts(case)
    for recorded in case["handler_saw"]:
        if "model_name" in recorded:
            check_context(context, recorded)


@pytest.mark.timeout(30)
@named([case for case in CASES if is_load(case)])
def test_load(case: Case, tmp_path: Path) -> None:
    recorded = case["response"]
    if recorded["status"] == 200:
        start(case, tmp_path).close()
        return
    with pytest.raises(LoadError) as raised:
        start(case, tmp_path)
    check_response(raised.value.response, recorded)


def test_every_case_left_out_exists() -> None:
    assert NOT_YET.keys() - {case["case"] for case in CASES} == set()


def test_most_cases_are_replayed() -> None:
    assert sum(map(is_exchange, CASES)) > 300
    assert sum(map(is_load, CASES)) > 40


def request_of(recorded: dict[str, Any]) -> Request:
    port = 28080 if recorded["port"] == "inference" else 28081
    headers = (("Host", f"127.0.0.1:{port}"), *((name, value) for name, value in recorded["headers"]))
    body = base64.b64decode(recorded["body_base64"])
    if is_chunked(headers):
        body = b"".join(re.findall(rb"[0-9a-f]+\r\n(.+)\r\n", body))
    return Request(recorded["method"], recorded["path"], headers, recorded["query"], body)


def check_response(response: Response, recorded: dict[str, Any]) -> None:
    if recorded["status"] is None:
        check_lost(response, recorded.get("raw_received"))
        return
    assert (response.status, response.reason) == (recorded["status"], recorded["reason"])
    body = base64.b64decode(recorded["body_base64"]) if "chunks_base64" not in recorded else b""
    rounded = _FLOAT.search(body) is not None and response.body != body
    if rounded:  # a network's last digits depend on the processor
        assert json.loads(response.body) == pytest.approx(json.loads(body), rel=1e-5)
    assert plain(response.headers, rounded) == plain(recorded["headers"], rounded)
    if "chunks_base64" in recorded:
        assert response.chunks == tuple(map(base64.b64decode, recorded["chunks_base64"]))
    elif not rounded:
        assert without_ids(response.body) == without_ids(body)
    assert response.complete
    assert (response.chunks is None) == ("chunks_base64" not in recorded)


def check_lost(response: Response, raw: str | None) -> None:
    """No answer at all, or the head of a stream, its chunks and then a broken connection."""
    if raw is None:
        assert response.status is None
        return
    assert response.chunks is not None
    lines = [f"HTTP/1.1 {response.status} {response.reason}"]
    lines += [": ".join(pair) for pair in plain(response.headers)]
    chunks = [f"{len(chunk):x}\r\n{chunk.decode()}\r\n" for chunk in response.chunks]
    assert "\r\n".join([*lines, "", *chunks]).lower() == raw.replace("<uuid>", "<volatile>").lower()
    assert not response.complete


def check_described(response: Response, recorded: dict[str, Any]) -> None:
    """The management API's description, but for what belongs to the recording server: its worker's id, process and
    times."""
    assert (response.status, response.reason) == (recorded["status"], recorded["reason"])
    assert plain(response.headers, True) == plain(recorded["headers"], True)
    body = base64.b64decode(recorded["body_base64"])
    told, known = (without_ids(text).partition(b'"customizedMetadata"')[2] for text in (response.body, body))
    assert told == known
    (ours,), (theirs,) = json.loads(response.body), json.loads(body)
    assert ours.pop("modelUrl").removesuffix(".mar") == theirs.pop("modelUrl").removesuffix(".mar")
    assert [list(worker) for worker in ours.pop("workers")] == [list(worker) for worker in theirs.pop("workers")]
    assert without_ids(json.dumps(ours).encode()) == without_ids(json.dumps(theirs).encode())


_FLOAT = re.compile(rb"\d\.\d{12}")
_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def without_ids(text: bytes) -> bytes:
    return _UUID.sub(b"<uuid>", text)


def without_uuids(value: Any) -> Any:
    return json.loads(without_ids(json.dumps(value).encode()))


def plain(headers: Headers, any_length: bool = False) -> list[tuple[str, str]]:
    """In order, names in lower case, the request's id left out."""
    volatile = {"x-request-id", "content-length"} if any_length else {"x-request-id"}
    return [
        (name.lower(), "<volatile>" if name.lower() in volatile or value.startswith("ts-seq-") else value)
        for name, value in headers
    ]


def check_calls(calls: tuple[Call, ...], saw: list[dict[str, Any]]) -> None:
    """With an envelope, the recorder saw its rows first and then what it handed to the handler."""
    stages = {stage: [call for call in saw if call["stage"] == stage] for stage in ("envelope", "handler")}
    for call, recorded in zip(calls, stages["envelope"] or stages["handler"], strict=True):
        if "data" in recorded:
            check_rows(call.rows, recorded["data"])
        assert without_uuids(call.request_headers) == without_uuids(recorded["request_headers"])
    if stages["envelope"]:
        for call, recorded in zip([call for call in calls if is_unwrapped(call)], stages["handler"], strict=True):
            check_rows(call.data, recorded["data"])


def is_unwrapped(call: Call) -> bool:
    """Whether the envelope could read the rows."""
    try:
        return isinstance(call.data, list)
    except Exception:
        return False


def check_rows(rows: list[Any], recorded: list[dict[str, Any]]) -> None:
    for row, entry in zip(rows, recorded, strict=True):
        if "__row__" in entry:
            check_value(row, entry["__row__"])
            continue
        assert list(row) == list(entry)
        for name, value in row.items():
            check_value(value, entry[name])


def check_value(value: Any, recorded: dict[str, Any]) -> None:
    assert type(value).__name__ == recorded["type"]
    if "base64" in recorded:
        assert bytes(value) == base64.b64decode(recorded["base64"])
    else:
        assert repr(value) == repr(recorded["value"])  # NaN is not equal to itself


def check_context(context: Any, recorded: dict[str, Any]) -> None:
    """What the handler's context said of the model."""
    properties = {**context.system_properties, "model_dir": "<model_dir>"}
    assert properties == recorded["system_properties"]
    assert context.model_name == recorded["model_name"]
    assert json.loads(json.dumps(context.model_yaml_config, default=repr)) == recorded["model_yaml_config"]
