"""`mock_context`: TorchServe's own Context, ready for a unit test of one method."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import ts
from ts.context import Context
from ts.metrics.metric_type_enum import MetricTypes
from ts.torch_handler.base_handler import BaseHandler

import handlerkit as hk
from handlerkit.context import metrics_cache
from handlerkit.messages import Metric


def test_is_torchserve_s_own() -> None:
    assert type(hk.mock_context()) is Context


def test_first_one_of_a_process_leaves_no_warning_and_no_log_handler() -> None:
    program = "import logging, handlerkit; handlerkit.mock_context(); assert not logging.root.handlers"
    ran = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_system_properties() -> None:
    context = hk.mock_context(Path("folder"), gpu_id=1, batch_size=4, limit_max_image_pixels=False)
    assert context.system_properties == {
        "model_dir": "folder",
        "gpu_id": 1,
        "batch_size": 4,
        "server_name": "MMS",
        "server_version": ts.__version__,
        "limit_max_image_pixels": False,
    }


def test_manifest_and_settings() -> None:
    assert hk.mock_context(model_name="coins").manifest == {"model": {"modelName": "coins"}}
    manifest = {"model": {"modelName": "coins", "serializedFile": "coins.pt"}}
    context = hk.mock_context(manifest=manifest, model_yaml_config={"handler": {"topk": 3}})
    assert (context.manifest, context.model_yaml_config) == (manifest, {"handler": {"topk": 3}})


def test_request_headers_are_looked_up_by_their_casing() -> None:
    context = hk.mock_context(request_headers=[{"Accept": "image/png"}, {"explain": "True"}])
    assert context.get_request_header(0, "Accept") == "image/png"
    assert context.get_request_header(0, "accept") is None
    assert context.get_all_request_header(1) == {"explain": "True"}


def test_request_ids() -> None:
    context = hk.mock_context(request_headers=[{}, {}])
    assert [context.get_request_id(index) for index in range(3)] == ["request-0", "request-1", None]
    assert hk.mock_context(request_ids={0: "mine"}).get_request_id(0) == "mine"


def test_status_of_one_request_and_of_all() -> None:
    context = hk.mock_context(request_headers=[{}, {}])
    assert context.get_response_status(0) == (200, None)
    context.set_response_status(418, "Teapot", 1)
    assert [context.get_response_status(index) for index in (0, 1)] == [(200, None), (418, "Teapot")]
    context.set_all_response_status(503, "Away")
    assert [context.get_response_status(index) for index in (0, 1)] == [(503, "Away"), (503, "Away")]


def test_response_headers_and_content_type() -> None:
    context = hk.mock_context(request_headers=[{}, {}])
    context.set_response_content_type(0, "image/png")
    context.set_response_header(1, "X-Mood", "glad")
    assert context.get_response_content_type(0) == "image/png"
    assert [context.get_response_headers(index) for index in (0, 1)] == [
        {"content-type": "image/png"},
        {"X-Mood": "glad"},
    ]


def test_row_beyond_the_batch_is_an_error_as_on_the_server() -> None:
    with pytest.raises(IndexError):
        hk.mock_context().set_response_status(500, "", 1)


def test_two_contexts_share_nothing() -> None:
    headers = {"a": "1"}
    one, other = hk.mock_context(request_headers=[headers]), hk.mock_context(request_headers=[headers])
    one.get_all_request_header(0)["a"] = "2"
    one.metrics.add_counter("Coins", 1)
    assert other.get_request_header(0, "a") == "1"
    with pytest.raises(Exception, match="Coins"):
        other.metrics.get_metric("Coins")


def test_metrics_are_logged_as_a_worker_logs_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    context = hk.mock_context(model_name="coins")
    context.metrics.add_counter("Coins", 3)
    context.metrics.add_time("Reading", 1.5)
    found = [Metric.parse(line) for line in caplog.messages]
    level = (("ModelName", "coins"), ("Level", "Model"))
    assert found == [
        Metric("Coins", "Count", 3.0, level, "COUNTER"),
        Metric("Reading", "Milliseconds", 1.5, level, "GAUGE"),
    ]
    assert caplog.messages[0].endswith(",request-0")


def test_metrics_carry_the_name_of_their_own_model(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for name in ("coins", "rings"):
        hk.mock_context(model_name=name).metrics.add_counter("Found", 1)
    assert [Metric.parse(line).dimensions[0] for line in caplog.messages] == [
        ("ModelName", "coins"),
        ("ModelName", "rings"),
    ]


def test_metrics_cache_knows_the_default_metrics() -> None:
    cache = metrics_cache("coins")
    assert cache.model_name == "coins"
    assert cache.get_metric("HandlerTime", MetricTypes.GAUGE).unit == "Milliseconds"


def test_a_method_of_a_handler_in_two_lines(tmp_path: Path) -> None:
    import torch

    torch.jit.script(torch.nn.ReLU()).save(tmp_path / "relu.pt")
    manifest = {"model": {"modelName": "relu", "serializedFile": "relu.pt"}}

    handler = BaseHandler()
    handler.initialize(hk.mock_context(tmp_path, manifest=manifest))

    assert handler.inference(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
