"""Metrics as TorchServe 0.12.0 shows them to Prometheus; the pages and lines are recorded ones."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest
import yaml

from handlerkit.serving.models.metrics import OF_HANDLERS, OF_THE_SERVER, DeclaredMetric, Metrics

LINE = "[METRICS]PredictionTime.Milliseconds:0.25|#ModelName:m,Level:Model|#type:GAUGE|#hostname:vm,1700000000,{}"
COUNTER = "[METRICS]ZzC.Count:2|#ModelName:ex,Level:Model|#type:COUNTER|#hostname:vm,1700000000,{}"


def shown(metrics: Metrics, *names: str) -> list[str]:
    return metrics.page("&".join(f"name[]={name}" for name in names)).decode().splitlines()


def test_the_servers_own_are_those_of_torchserves_file() -> None:
    spec = util.find_spec("ts")
    assert spec is not None
    assert spec.origin is not None
    file = yaml.safe_load((Path(spec.origin).parent / "configs" / "metrics.yaml").read_text())
    assert (
        tuple(
            DeclaredMetric(one["name"], kind, one["unit"], tuple(one["dimensions"]))
            for kind, metrics in file["ts_metrics"].items()
            for one in metrics
        )
        == OF_THE_SERVER
    )


def test_a_declared_metric_of_a_handler_is_shown_with_its_last_value() -> None:
    metrics = Metrics()
    metrics.parse(LINE.replace("0.25", "9"))
    metrics.parse(LINE)
    assert shown(metrics, "PredictionTime") == [
        "# HELP PredictionTime Torchserve prometheus gauge metric with unit: ms",
        "# TYPE PredictionTime gauge",
        'PredictionTime{ModelName="m",Level="Model",Hostname="vm",} 0.25',
    ]


def test_a_metric_that_is_not_declared_is_left_out() -> None:
    metrics = Metrics()
    metrics.parse(COUNTER)
    assert "ZzC" not in metrics.page().decode()


def test_with_auto_detection_a_counter_adds_up() -> None:
    metrics = Metrics(auto_detect=True)
    metrics.parse(COUNTER)
    metrics.parse(COUNTER)
    assert shown(metrics, "ZzC") == [
        "# HELP ZzC Torchserve prometheus counter metric with unit: Count",
        "# TYPE ZzC counter",
        'ZzC{ModelName="ex",Level="Model",Hostname="vm",} 4.0',
    ]


def test_a_metrics_file_declares_others() -> None:
    metrics = Metrics((*OF_HANDLERS, DeclaredMetric("ZzC", "counter", "Count", ("ModelName", "Level", "Hostname"))))
    metrics.parse(COUNTER)
    assert shown(metrics, "ZzC")[-1] == 'ZzC{ModelName="ex",Level="Model",Hostname="vm",} 2.0'


@pytest.mark.parametrize(
    "line",
    [
        "[METRICS]PredictionTime.Milliseconds:x|#ModelName:m,Level:Model|#type:GAUGE|#hostname:vm,1,",
        "[METRICS]PredictionTime.Milliseconds:1|#ModelName:m|#type:GAUGE|#hostname:vm,1,",
        "[METRICS]Failed to update metric PredictionTime",
        "[METRICS]",
    ],
)
def test_a_line_that_does_not_fit_changes_nothing(line: str) -> None:
    metrics = Metrics()
    metrics.parse(line)
    assert metrics.page() == Metrics().page()


def test_requests_of_a_model_are_counted() -> None:
    metrics = Metrics()
    counted = metrics.of_model("m")
    counted.received("default")
    counted.received("1.0")
    counted.predicted("default", 0.001, 0.003)
    text = metrics.page().decode()
    assert 'ts_inference_requests_total{model_name="m",model_version="default"' in text
    assert 'model_version="1.0",hostname=' in text
    (latency,) = (line for line in text.splitlines() if line.startswith("ts_inference_latency_microseconds{"))
    assert float(latency.split()[-1]) == pytest.approx(3000)
    (queue,) = (line for line in text.splitlines() if line.startswith("ts_queue_latency_microseconds{"))
    assert float(queue.split()[-1]) == pytest.approx(1000)


@pytest.mark.parametrize(("status", "name"), [(200, "2XX"), (404, "4XX"), (503, "5XX"), (777, "5XX")])
def test_answers_are_counted_by_status(status: int, name: str) -> None:
    metrics = Metrics()
    metrics.answered(status)
    assert shown(metrics, f"Requests{name}")[-1].endswith("} 1.0")


def test_labels_are_escaped() -> None:
    metrics = Metrics(auto_detect=True)
    metrics.parse('[METRICS]A.Count:1|#Name:a"b\\c|#type:COUNTER|#hostname:vm,1,')
    assert shown(metrics, "A")[-1] == 'A{Name="a\\"b\\\\c",Hostname="vm",} 1.0'
