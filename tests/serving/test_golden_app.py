"""Exchanges recorded with a real TorchServe 0.12.0, sent again over a socket to an application with real workers."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from serving_apps import Answer, App, request
from test_golden import CASES, Case, check_described, check_response, model_of, named, requests_of, responses_of

from handlerkit.messages import Response
from handlerkit.serving.models.served_model import ServedModel

pytestmark = [pytest.mark.usefixtures("no_pause"), pytest.mark.server, pytest.mark.timeout(240)]

#: What is not replayed, and why.
LEFT_OUT = {
    "no_workers": "an application always has workers",
    "no_workers_describe": "an application always has workers",
    "no_workers_options": "an application always has workers",
    "async_failed_describe": "an application whose model does not load does not start",
    "eager_no_weights__predict": "random weights",
    "prometheus_page": "its values are those of the requests before it, on the recording server",
    "pipelined_requests": "both requests meet in one batch there, and the second answer has no id",
    "kfv1_ready_inference_port": "an application has one port, on which readiness is answered",
    "client_timeout_dropped": "no answer comes: test_application.py waits for that",
}


@dataclass
class Replay:
    """The application of one model, source and configuration; the next one ends it."""

    folder: Any
    key: str = ""
    stack: ExitStack | None = None
    app: App | None = None

    def of(self, case: Case) -> App:
        key = key_of(case)
        if key != self.key or self.app is None:
            self.close()
            self.stack, self.key = ExitStack(), key
            with patch.dict(os.environ, case["config"].get("environment", {})):
                self.app = self.stack.enter_context(app_of(case, self.folder.mktemp("golden")))
        return self.app

    def close(self) -> None:
        if self.stack is not None:
            self.stack.close()
        self.key, self.app, self.stack = "", None, None


def key_of(case: Case) -> str:
    return json.dumps([case["model"], case["handler_source"], case["config"]], sort_keys=True)


def app_of(case: Case, folder: Path) -> App:
    """As it was registered."""
    return App([served_of(case, folder)], case["config"]["server_properties"], has_default=False)


def served_of(case: Case, folder: Path) -> ServedModel:
    config = case["config"]
    model = model_of(case, folder)
    asked = {
        name: config["register_params"].get(name) for name in ("batch_size", "max_batch_delay", "response_timeout")
    }
    return ServedModel(
        model.name, model.version or "1.0", str(model.stage(folder / "staged")), handler_of(model),
        model.settings() if model.config_file else None, model.runtime, **asked,
    )  # fmt: skip


def handler_of(model: Any) -> str:
    return model.manifest()["model"]["handler"]


def is_replayed(case: Case) -> bool:
    if case.get("kind", "exchange") != "exchange" or case["case"] in LEFT_OUT:
        return False
    return all(one["port"] != "metrics" and is_served(one) for one in requests_of(case))


def is_served(one: dict[str, Any]) -> bool:
    return one["port"] == "inference" or "customized" in one["query"]


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    kept = Replay(tmp_path_factory)
    yield kept
    kept.close()


CHOSEN = sorted(filter(is_replayed, CASES), key=key_of)


@named(CHOSEN)
def test_exchange(case: Case, replay: Replay) -> None:
    app = replay.of(case)
    if case["case"] == "kservev2_after_failure_id_leaks":
        body = b'{"id": "LEAK", "inputs": []}'
        app.ask("POST", "/predictions/ex", (("Content-Type", "application/json"), ("x-py", "raise ValueError")), body)
    gap = case.get("gap_seconds") or 0.005
    with ThreadPoolExecutor(8) as pool:
        sent = []
        for one in requests_of(case):
            sent.append(pool.submit(exchange, app, one))
            time.sleep(gap)
        answers = [one.result() for one in sent]
    for (answer, closed), recorded in zip(answers, responses_of(case), strict=True):
        check(answer, closed, recorded)


def exchange(app: App, recorded: dict[str, Any]) -> tuple[Answer, bool]:
    """The answer, and whether the connection closes after it."""
    with app.connect() as connection:
        connection.send(message(recorded))
        try:
            answer = connection.receive(recorded["method"] or "GET")
        except TimeoutError:
            return Answer(None, complete=False), False
        return answer, connection.is_closed(0.3)


def message(recorded: dict[str, Any]) -> bytes:
    if recorded.get("raw_base64"):
        return base64.b64decode(recorded["raw_base64"])
    target = recorded["path"] + (f"?{recorded['query']}" if recorded["query"] else "")
    port = 28080 if recorded["port"] == "inference" else 28081
    headers = (("Host", f"127.0.0.1:{port}"), *((name, value) for name, value in recorded["headers"]))
    return request(recorded["method"], target, headers, base64.b64decode(recorded["body_base64"]))


def check(answer: Answer, closed: bool, recorded: dict[str, Any]) -> None:
    response = Response(answer.status, answer.reason, answer.headers, answer.body, answer.chunks, answer.complete)
    described = '"modelUrl"' in recorded.get("body_text", "")
    (check_described if described else check_response)(response, recorded)
    if recorded["status"] is not None:
        assert [name for name, _ in answer.headers] == [name for name, _ in recorded["headers"]]  # casing too
        if "server_closed" in recorded:
            assert closed == recorded["server_closed"]


def test_every_case_left_out_exists() -> None:
    assert LEFT_OUT.keys() - {case["case"] for case in CASES} == set()


def test_most_cases_are_replayed() -> None:
    assert len(CHOSEN) > 380


def test_a_message_is_what_was_recorded() -> None:
    case = next(case for case in CASES if case["case"] == "no_headers")
    assert re.fullmatch(
        rb"POST /predictions/look HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", message(requests_of(case)[0])
    )
