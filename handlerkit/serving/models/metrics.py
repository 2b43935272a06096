"""Metrics, as TorchServe's frontend keeps them and writes them for Prometheus.

A worker writes each metric of its handler as a line,
[METRICS]PredictionTime.Milliseconds:1.5|#ModelName:m,Level:Model|#type:GAUGE|#hostname:h,1700000000,REQUEST_IDS.

The script that collects the machine's writes them as CPUUtilization.percent:3.1|#Level:Host|#hostname:h,1700000000.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from .. import torchserve_facts as facts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PARSED = re.compile(
    r"(?:\[METRICS\])?(?P<name>[^:]+)\.(?P<unit>[^:.|]*):(?P<value>[^|]+)\|#(?P<dimensions>[^|]*)(?:\|#type:(?P<type>[A-Z]+))?"
    r"\|#hostname:(?P<host>[^,]*),"
)
_LEVEL = ("Level", "Hostname")
_DEVICE = ("Level", "DeviceId", "Hostname")
_MODEL = ("model_name", "model_version", "hostname")


@dataclass(frozen=True)
class DeclaredMetric:
    """A metric of a metrics file (metrics_config). `type`: counter or gauge. The last dimension is the host's name."""

    name: str
    type: str
    unit: str
    dimensions: tuple[str, ...]


#: As ts/configs/metrics.yaml has them.
OF_THE_SERVER = (
    DeclaredMetric("Requests2XX", "counter", "Count", _LEVEL),
    DeclaredMetric("Requests4XX", "counter", "Count", _LEVEL),
    DeclaredMetric("Requests5XX", "counter", "Count", _LEVEL),
    DeclaredMetric("ts_inference_requests_total", "counter", "Count", _MODEL),
    DeclaredMetric("ts_inference_latency_microseconds", "counter", "Microseconds", _MODEL),
    DeclaredMetric("ts_queue_latency_microseconds", "counter", "Microseconds", _MODEL),
    DeclaredMetric("QueueTime", "gauge", "Milliseconds", _LEVEL),
    DeclaredMetric("WorkerThreadTime", "gauge", "Milliseconds", _LEVEL),
    DeclaredMetric("WorkerLoadTime", "gauge", "Milliseconds", ("WorkerName", *_LEVEL)),
    DeclaredMetric("CPUUtilization", "gauge", "Percent", _LEVEL),
    DeclaredMetric("MemoryUsed", "gauge", "Megabytes", _LEVEL),
    DeclaredMetric("MemoryAvailable", "gauge", "Megabytes", _LEVEL),
    DeclaredMetric("MemoryUtilization", "gauge", "Percent", _LEVEL),
    DeclaredMetric("DiskUsage", "gauge", "Gigabytes", _LEVEL),
    DeclaredMetric("DiskUtilization", "gauge", "Percent", _LEVEL),
    DeclaredMetric("DiskAvailable", "gauge", "Gigabytes", _LEVEL),
    DeclaredMetric("GPUMemoryUtilization", "gauge", "Percent", _DEVICE),
    DeclaredMetric("GPUMemoryUsed", "gauge", "Megabytes", _DEVICE),
    DeclaredMetric("GPUUtilization", "gauge", "Percent", _DEVICE),
)
#: What TorchServe's own metrics file says of handlers.
OF_HANDLERS = tuple(DeclaredMetric(name, "gauge", "ms", ("ModelName", *_LEVEL)) for name in facts.DECLARED_METRICS)


class Metrics:
    """All metrics of an app.

    `of_handlers`: the metrics of a handler that are kept; with `auto_detect` (model_metrics_auto_detect) all are.
    """

    def __init__(self, of_handlers: Iterable[DeclaredMetric] = OF_HANDLERS, auto_detect: bool = False) -> None:
        self._host = socket.gethostname()
        self._auto_detect = auto_detect
        self._families = {one.name: _Family(one) for one in (*OF_THE_SERVER, *of_handlers)}
        self._by_status = [self._families[f"Requests{kind}XX"] for kind in (2, 4, 5)]
        self._models: dict[tuple[str, str], ModelMetrics] = {}

    def of_model(self, name: str) -> ModelMetrics:
        """Those of one model, whose version is there where a request's path names it, and else as "default"."""
        return ModelMetrics(name, self._host, self._families)

    def answered(self, status: int) -> None:
        """A request was answered."""
        kind = 0 if 200 <= status < 300 else 1 if 400 <= status < 500 else 2 if status >= 500 else None
        if kind is not None:
            self._by_status[kind].add(("Host", self._host), 1)

    def loaded(self, worker: str, seconds: float) -> None:
        """A worker loaded its model."""
        self._families["WorkerLoadTime"].set((worker, "Host", self._host), round(seconds * 1000))

    def parse(self, line: str) -> None:
        """A metric that a worker or the machine's script wrote; one that is not declared is left out, and so is one
        with other dimensions."""
        found = _PARSED.match(line)
        if found is None:
            return
        name, dimensions = found["name"], [pair.partition(":") for pair in found["dimensions"].split(",")]
        family = self._families.get(name)
        if family is None:
            if not self._auto_detect:
                return
            kind = "counter" if found["type"] == "COUNTER" else "gauge"
            names = tuple(dimension for dimension, _, _ in dimensions)
            family = self._families[name] = _Family(DeclaredMetric(name, kind, found["unit"], (*names, "Hostname")))
        labels = (*(value for _, _, value in dimensions), found["host"])
        if len(labels) == len(family.declared.dimensions):
            try:
                value = float(found["value"])
            except ValueError:
                return
            if family.declared.type == "counter":
                family.add(labels, value)
            else:
                family.set(labels, value)

    def page(self, query: str = "") -> bytes:
        """What Prometheus reads; with name[]=NAME in the query, that metric alone."""
        wanted = {value for name, value in parse_qsl(query) if name == "name[]"}
        chosen = [family for name, family in self._families.items() if not wanted or name in wanted]
        return "".join(line for family in chosen for line in family.lines()).encode()


class ModelMetrics:
    """How many requests a model answered, and how long that took."""

    def __init__(self, model: str, host: str, families: Mapping[str, _Family]) -> None:
        self._model, self._host, self._level = model, host, ("Host", host)
        named = ("ts_inference_requests_total", "ts_inference_latency_microseconds", "ts_queue_latency_microseconds")
        self._requests, self._latency, self._queue = (families[name] for name in named)
        self._queue_time, self._thread_time = families["QueueTime"], families["WorkerThreadTime"]

    def received(self, version: str) -> None:
        """A request for inference."""
        self._requests.add((self._model, version, self._host), 1)

    def predicted(self, version: str, waited: float, whole: float) -> None:
        """An answer, after so many seconds in the queue and so many in all."""
        labels = (self._model, version, self._host)
        self._latency.add(labels, whole * 1e6)
        self._queue.add(labels, waited * 1e6)
        self._queue_time.set(self._level, int(waited * 1000))

    def batch(self, seconds: float) -> None:
        """What a batch took beside the worker's own time."""
        self._thread_time.set(self._level, int(seconds * 1000))


class _Family:
    """A metric with its values by dimensions."""

    def __init__(self, declared: DeclaredMetric) -> None:
        self.declared = declared
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, labels: tuple[str, ...], value: float) -> None:
        self._values[labels] = self._values.get(labels, 0.0) + value

    def set(self, labels: tuple[str, ...], value: float) -> None:
        self._values[labels] = value

    def lines(self) -> Sequence[str]:
        name, kind = self.declared.name, self.declared.type
        lines = [
            f"# HELP {name} Torchserve prometheus {kind} metric with unit: {self.declared.unit}\n",
            f"# TYPE {name} {kind}\n",
        ]
        for labels, value in self._values.items():
            pairs = "".join(f'{key}="{_escaped(text)}",' for key, text in zip(self.declared.dimensions, labels))
            lines.append(f"{name}{{{pairs}}} {float(value)!r}\n")
        return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
