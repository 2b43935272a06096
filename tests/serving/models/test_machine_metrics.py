"""The machine's metrics, which TorchServe's own script collects."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from serving_apps import App, written
from waiting import soon

from handlerkit.serving import application
from handlerkit.serving.models.metrics import Metrics

ON_EACH_MACHINE = (
    "CPUUtilization", "MemoryUsed", "MemoryAvailable", "MemoryUtilization", "DiskUsage", "DiskUtilization",
    "DiskAvailable",
)  # fmt: skip


def values(app: App, name: str) -> list[float]:
    lines = app.ask("GET", f"/metrics?name[]={name}").body.decode().splitlines()
    return [float(line.split()[-1]) for line in lines if not line.startswith("#")]


def test_they_are_there_after_the_start(tmp_path: Path) -> None:
    with App([written(tmp_path / "m")]) as app:
        assert soon(lambda: all(values(app, name) for name in ON_EACH_MACHINE))
        (used,) = values(app, "MemoryUsed")
        assert used == pytest.approx(psutil.virtual_memory().used / 2**20, rel=0.5)
        assert values(app, "GPUUtilization") == []


def test_they_are_collected_again(tmp_path: Path) -> None:
    with App([written(tmp_path / "m")], {"metric_time_interval": 1}) as app:
        assert soon(lambda: values(app, "DiskUsage"))
        old = "DiskUsage.GB:0|#Level:Host|#hostname:{},1700000000"
        host = app.ask("GET", "/metrics?name[]=DiskUsage").body.decode().rpartition('Hostname="')[2].partition('"')[0]
        app.call(lambda: app.application._metrics.parse(old.format(host)))
        assert soon(lambda: values(app, "DiskUsage") > [0])


def test_the_key_that_turns_them_off_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(application, "MachineMetrics")
    with App([written(tmp_path / "m")], {"disable_system_metrics": True}) as app:
        assert app.ask("GET", "/ping").status == 200
        assert values(app, "MemoryUsed") == []


def test_gpus_are_told_apart_by_their_ids() -> None:
    metrics = Metrics()
    for gpu in (0, 1):
        metrics.parse(f"GPUMemoryUsed.MB:{gpu}.5|#Level:Host,device_id:{gpu}|#hostname:vm,1700000000")
    assert metrics.page("name[]=GPUMemoryUsed").decode().splitlines()[2:] == [
        'GPUMemoryUsed{Level="Host",DeviceId="0",Hostname="vm",} 0.5',
        'GPUMemoryUsed{Level="Host",DeviceId="1",Hostname="vm",} 1.5',
    ]
