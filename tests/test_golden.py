"""Exchanges recorded with a real TorchServe 0.12.0, sent again through Worker. golden/README.md names the keys."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError
from handlerkit.messages import Call, Headers, Request, Response
from handlerkit.model import Model

GOLDEN = Path(__file__).parent / "golden"
Case = dict[str, Any]

_SECTIONS = "abcdefgij"
_CHILD = "needs a worker in a child process, which can be ended from outside"
_QUEUE = "needs requests in flight: the queue in front of the worker"
_SEQUENCE = "sequence batching is not there yet"
_RAW = "the message itself is malformed; a Worker takes Requests"
_FOLDERS = "the answer tells the folders of the machine it was recorded on"

#: What Worker cannot reproduce yet, and why.
NOT_YET = {
    "bad_http": _RAW,
    "no_headers": _RAW,
    "pipelined_requests": _RAW,
    "cwd_env": _FOLDERS,
    "sys_path_plain__predict": _FOLDERS,
    "sys_path_colon_handler__predict": _FOLDERS,
    "exit_segv": _CHILD,
    "exit_sigkill": _CHILD,
    "init_timeout": _CHILD,
    "micro_batching_stage_raises": _CHILD,
    "job_queue_full": _QUEUE,
    "job_ticket": _QUEUE,
    "client_timeout_dropped": _QUEUE,
    "sequence_no_id": _SEQUENCE,
    "sequence_too_many": _SEQUENCE,
    "no_workers": "a Worker always has its worker",
    "no_workers_describe": "a Worker always has its worker",
    "default_handler_unknown": "Model refuses a handler that is neither a file nor a default handler",
    "envvars_config": "enable_envvars_config: the environment of the process is not read",
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
    return all(
        request["method"] != "OPTIONS" and (request["port"] == "inference" or "customized" in request["query"])
        for request in requests_of(case)
    )


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


def start(case: Case, folder: Path) -> Worker:
    """Raises LoadError where the handler does not load."""
    config = case["config"]
    asked = {
        name: config["register_params"].get(name) for name in ("batch_size", "max_batch_delay", "response_timeout")
    }
    return Worker(model_of(case, folder), config["server_properties"], **asked)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A worker for a case, the same one for all cases of one model, source and configuration."""
    known: dict[str, Worker] = {}

    def worker(case: Case) -> Worker:
        key = json.dumps([case["model"], case["handler_source"], case["config"]], sort_keys=True)
        if key not in known:
            known[key] = start(case, tmp_path_factory.mktemp("golden"))
        return known[key]

    yield worker
    for one in known.values():
        one.close()


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
    for request, response, recorded in zip(run.requests, run.responses, responses_of(case), strict=True):
        check_response(response, recorded, described="customized" in request.query and not case.get("kind"))
    saw = [call for call in case["handler_saw"] if isinstance(call["data"], list) or call["data"] is None]
    if "named_logging" not in case["case"]:  # the recorder did not see this one's calls
        check_calls(run.calls, saw)


@pytest.mark.timeout(30)
@named([case for case in CASES if is_load(case)])
def test_load(case: Case, tmp_path: Path) -> None:
    recorded = case["response"]
    if recorded["status"] == 200:
        start(case, tmp_path).close()
        return
    with pytest.raises(LoadError) as raised:
        start(case, tmp_path)
    check_response(raised.value.response, recorded, described=False)


def test_every_case_left_out_exists() -> None:
    assert NOT_YET.keys() - {case["case"] for case in CASES} == set()


def test_most_cases_are_replayed() -> None:
    assert sum(map(is_exchange, CASES)) > 330
    assert sum(map(is_load, CASES)) > 40


def request_of(recorded: dict[str, Any]) -> Request:
    port = 28080 if recorded["port"] == "inference" else 28081
    headers = (("Host", f"127.0.0.1:{port}"), *((name, value) for name, value in recorded["headers"]))
    body = base64.b64decode(recorded["body_base64"])
    return Request(recorded["method"], recorded["path"], headers, recorded["query"], body)


_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def without_ids(text: bytes) -> bytes:
    return _UUID.sub(b"<uuid>", text)


def check_response(response: Response, recorded: dict[str, Any], *, described: bool) -> None:
    assert response.status == recorded["status"]
    if response.status is None:
        return
    assert response.reason == recorded["reason"]
    body = base64.b64decode(recorded["body_base64"])
    length = None
    if described:  # the management API puts the handler's answer into its description
        length = "differs"
        body = base64.b64decode(recorded["body_base64"])
    assert headers_of(response.headers, length) == headers_of(recorded["headers"], length)
    assert without_ids(response.body) == without_ids(body)
    if "chunks_base64" in recorded:
        assert response.chunks == tuple(map(base64.b64decode, recorded["chunks_base64"]))
    assert response.complete != bool(recorded.get("truncated"))


def headers_of(headers: Headers, length: str | None) -> list[tuple[str, str]]:
    """In order, names in lower case; ids and, where it cannot be the same, the length left out."""
    volatile = {"x-request-id": "<uuid>"} | ({"content-length": length} if length else {})
    return [(name.lower(), volatile.get(name.lower(), value)) for name, value in headers]


def check_calls(calls: tuple[Call, ...], saw: list[dict[str, Any]]) -> None:
    """With an envelope, the recorder saw its rows first and then what it handed to the handler."""
    outer = [call for call in saw if call["stage"] == "envelope"]
    inner = [call for call in saw if call["stage"] == "handler"]
    for call, recorded in zip(calls, outer or inner, strict=True):
        assert_recorded(recorded["data"], call.rows)
        assert call.request_headers == recorded["request_headers"]
    for call, recorded in zip(calls, inner if outer and len(inner) == len(outer) else (), strict=False):
        assert_recorded(recorded["data"], call.data)


def assert_recorded(recorded: list[dict[str, Any]], rows: list[Any]) -> None:
    assert len(rows) == len(recorded)
    for entry, row in zip(recorded, rows, strict=True):
        if "__row__" in entry:
            assert_value(entry["__row__"], row)
            continue
        assert list(row) == list(entry)
        for name, value in row.items():
            assert_value(entry[name], value)


def assert_value(recorded: dict[str, Any], value: Any) -> None:
    assert type(value).__name__ == recorded["type"]
    if "base64" in recorded:
        assert bytes(value) == base64.b64decode(recorded["base64"])
    else:
        assert repr(value) == repr(recorded["value"])  # NaN is not equal to itself
