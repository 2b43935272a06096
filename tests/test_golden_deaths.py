"""Exchanges recorded with a real TorchServe 0.12.0 that end a worker or stream, sent with short time-outs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_golden import CASES, Case, check_response, kept, model_of, named, request_of, requests_of, responses_of

from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError

pytestmark = pytest.mark.usefixtures("no_pause")

#: One of each way to die; tests/endpoints/loads/test_process.py has more of them.
EXCHANGES = {
    "exit_segv", "exit_sigkill", "timeout", "exc_system_exit_3", "exc_generator_exit", "hdr_content_type_nonascii",
    "status_str", "ret_str_surrogate", "response_message_only", "micro_batching_stage_raises", "micro_batching_ok",
    "stream_after_ok", "stream_batch", "stream_fake_header_true", "stream_headers_before", "stream_json_chunks",
    "stream_raise_mid", "stream_slow",
}  # fmt: skip
LOADS = {"init_timeout", "named_json", "named_random"}
BY_NAME = {case["case"]: case for case in CASES}


def start(case: Case, folder: Path) -> Worker:
    """As recorded, but for the times: a worker that does not answer is not waited for as long."""
    config = case["config"]
    asked = {name: config["register_params"].get(name) for name in ("batch_size", "max_batch_delay")}
    properties = {**config["server_properties"], "default_startup_timeout": 3}
    return Worker(model_of(case, folder), properties, **asked, response_timeout=1)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with kept(start, tmp_path_factory) as worker:
        yield worker


@pytest.mark.timeout(60)
@named([case for case in CASES if case["case"] in EXCHANGES])
def test_exchange(case: Case, workers: Any) -> None:
    run = workers(case).predict(*map(request_of, requests_of(case)))
    for response, recorded in zip(run.responses, responses_of(case), strict=True):
        check_response(response, recorded)
    assert len(run.calls) == 1


@pytest.mark.timeout(60)
@named([case for case in CASES if case["case"] in LOADS])
def test_load(case: Case, tmp_path: Path) -> None:
    with pytest.raises(LoadError) as raised:
        start(case, tmp_path)
    check_response(raised.value.response, case["response"])
    assert raised.value.findings


def test_every_case_exists() -> None:
    assert (EXCHANGES | LOADS) - BY_NAME.keys() == set()
