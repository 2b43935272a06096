"""The queue in front of a Worker: batches, windows, refusals, time-outs, descriptions, as a client meets them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlerkit.endpoints.server import Server
from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Request, Run
from handlerkit.model import Model

COUNTS = """
import time

def handle(data, context):
    if data is None:
        return None
    if context.get_request_header(0, "describe") == "True":
        return [{"coins": 24, "nothing": None}]
    time.sleep(float(context.get_request_header(0, "x-sleep") or 0))
    return [len(data)] * len(data)
"""


@pytest.fixture
def counts(tmp_path: Path) -> Iterator[Any]:
    """Makes workers whose answer is the size of the batch."""
    made: list[Worker] = []

    def make(settings: str | None = None, **options: Any) -> Worker:
        (tmp_path / "counts.py").write_text(COUNTS)
        given: dict[str, Any] = {}
        if settings is not None:
            (tmp_path / "model-config.yaml").write_text(settings)
            given["config_file"] = tmp_path / "model-config.yaml"
        made.append(Worker(Model("counts", handler=tmp_path / "counts.py", **given), **options))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


def sleeping(seconds: float) -> Request:
    return Request.json(1, headers={"x-sleep": str(seconds)})


def test_threads_that_send_share_a_batch(counts: Any) -> None:
    worker = counts(batch_size=3, max_batch_delay=3000)
    runs: list[Run] = []
    threads = [threading.Thread(target=lambda: runs.append(worker.send(Request.json(1)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [run.response.json() for run in runs] == [3, 3, 3]
    assert len({run.response.header("x-request-id") for run in runs}) == 3


def test_send_answers_like_predict(counts: Any) -> None:
    worker = counts()
    assert worker.send(Request.json(1)).response.body == worker.predict(Request.json(1)).response.body
    assert worker.send(Request.json(1, path="/predictions/nope")).response.status == 404


def test_full_queue_is_answered_and_explained(counts: Any) -> None:
    worker = counts(config_properties={"job_queue_size": 1})
    run = worker.predict(*[sleeping(0.1)] * 3)
    assert [response.status for response in run.responses] == [200, 200, 503]
    assert 'Model "counts" has no worker to serve inference request.' in run.responses[2].json()["message"]
    assert [finding.name for finding in run.findings] == ["queue_full"]


def test_full_queue_names_the_version_that_was_asked_for(counts: Any) -> None:
    worker = counts(config_properties={"job_queue_size": 1})
    asked = [Request.json(1, path="/predictions/counts/1.0", headers={"x-sleep": "0.1"})] * 3
    assert 'Model "counts" Version 1.0" has no worker' in worker.predict(*asked).responses[2].json()["message"]


def test_model_config_decides_the_queue(counts: Any) -> None:
    run = counts("jobQueueSize: 1\n").predict(*[sleeping(0.1)] * 3)
    assert [response.status for response in run.responses] == [200, 200, 503]


def test_answer_after_the_clients_timeout_is_dropped(counts: Any) -> None:
    worker = counts("clientTimeoutInMills: 50\n")
    run = worker.predict(sleeping(0.2))
    assert (run.response.status, run.response.complete) == (None, False)
    assert [finding.name for finding in run.findings] == ["client_timeout"]
    assert worker.predict(Request.json(1)).response.status == 200


def test_sequence_model_begins_a_sequence_for_a_request_without(counts: Any) -> None:
    settings = "batchSize: 2\nsequenceBatching: true\nsequenceMaxIdleMSec: 1000\n"
    (headers,) = counts(settings).predict(Request.json(1)).request_headers
    assert headers["ts_request_sequence_id"].startswith("ts-seq-")
    assert headers["ts_request_sequence_start"] == "true"


def test_sequence_of_the_client_is_kept(counts: Any) -> None:
    worker = counts("sequenceBatching: true\nsequenceMaxIdleMSec: 1000\n")
    (headers,) = worker.predict(Request.json(1, headers={"ts_request_sequence_id": "mine"})).request_headers
    assert headers["ts_request_sequence_id"] == "mine"
    assert "ts_request_sequence_start" not in headers


def test_describe_is_framed_by_the_management_api(counts: Any) -> None:
    worker = counts("batchSize: 4\nresponseTimeout: 7\n")
    response = worker.predict(Request("GET", "/models/counts", query="customized=true")).response
    (described,) = json.loads(response.body)
    assert response.content_type == "application/json"
    assert described["customizedMetadata"] == {"coins": 24}
    assert (described["modelName"], described["batchSize"], described["responseTimeout"]) == ("counts", 4, 7)
    assert described["workers"][0]["status"] == "READY"


def test_describe_is_alone_in_its_batch(counts: Any) -> None:
    describe = Request("GET", "/models/counts", query="customized=true")
    run = counts(batch_size=4).predict(Request.json(1), describe, Request.json(1), Request.json(1))
    assert [run.responses[place].json() for place in (0, 2, 3)] == [1, 2, 2]
    assert len(run.calls) == 3


@pytest.mark.server
@pytest.mark.parametrize("delay", [0, 200])  # where a few milliseconds decide nothing
def test_batches_are_torchserves(counts: Any, delay: int) -> None:
    requests = [sleeping(0.15)] * 9
    worker = counts(batch_size=4, max_batch_delay=delay)
    with Server(worker.model, batch_size=4, max_batch_delay=delay) as server:
        server.predict(Request.json(1))
        theirs = [response.body for response in server.predict(*requests).responses]
    assert [response.body for response in worker.predict(*requests).responses] == theirs
    assert set(theirs) == ({b"1", b"2"} if delay == 0 else {b"4", b"1"})
