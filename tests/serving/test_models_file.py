"""What an app serves, by its models.json and the folders of its models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from handlerkit.serving import models_file
from handlerkit.serving.models.metrics import DeclaredMetric
from handlerkit.serving.models_file import Contents, count_gpus, gpu_ids, read


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def contents(folder: Path, *models: dict[str, Any], **properties: Any) -> Contents:
    file = folder / "models.json"
    file.write_text(json.dumps({"models": models, "config_properties": properties}))
    return read(str(file))


def unpacked(folder: Path, settings: str | None = None, **said: str) -> dict[str, Any]:
    """A model's folder, as the file names it."""
    named = {"modelName": "m", "modelVersion": "2.0", "handler": "h.py", **said}
    (folder / "model" / "MAR-INF").mkdir(parents=True)
    if settings is not None:
        named["configFile"] = "own.yaml"
        (folder / "model" / "own.yaml").write_text(settings)
    manifest = {"runtime": "python3", "model": named}
    (folder / "model" / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
    return {"model_dir": "model"}


def test_a_folder_says_what_the_file_leaves_out(tmp_path: Path) -> None:
    (model,) = contents(tmp_path, unpacked(tmp_path, "batchSize: 4\n")).models
    assert (model.name, model.version, model.handler, model.runtime) == ("m", "2.0", "h.py", "python3")
    assert model.settings == {"batchSize": 4}
    assert model.model_dir == str(tmp_path / "model")


def test_the_file_counts_before_the_folder(tmp_path: Path) -> None:
    (model,) = contents(tmp_path, {**unpacked(tmp_path), "name": "other", "batch_size": 3}).models
    assert (model.name, model.version, model.batch_size, model.settings) == ("other", "2.0", 3, None)


def test_settings_that_are_no_mapping_count_for_nothing(tmp_path: Path) -> None:
    assert contents(tmp_path, unpacked(tmp_path, "- 1\n")).models[0].settings == {}


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(ValueError, match="model has no manifest that names the model and its handler"):
        contents(tmp_path, {"model_dir": "model"})


def test_workers_per_model(tmp_path: Path) -> None:
    model = unpacked(tmp_path)
    assert contents(tmp_path, model, default_workers_per_model="3").models[0].initial_workers == 3
    model["initial_workers"] = 2
    assert contents(tmp_path, model, default_workers_per_model="3").models[0].initial_workers == 2


@pytest.mark.parametrize("told", ["{}", "[]", '{"models": []}'])
def test_a_file_without_models(tmp_path: Path, told: str) -> None:
    (tmp_path / "models.json").write_text(told)
    with pytest.raises(ValueError, match="names no models"):
        read(str(tmp_path / "models.json"))


def test_a_model_is_chosen_by_its_name(tmp_path: Path) -> None:
    model = unpacked(tmp_path)
    found = contents(tmp_path, model, {**model, "name": "n"})
    assert found.named("n").name == "n"
    with pytest.raises(ValueError, match="choose a model, with --model: m, n"):
        found.named()
    with pytest.raises(ValueError, match="there is no model 'x': choose m, n"):
        found.named("x")
    assert contents(tmp_path, model).named().name == "m"


def test_the_metrics_of_a_metrics_file_are_shown(tmp_path: Path) -> None:
    (tmp_path / "metrics.yaml").write_text(
        "dimensions:\n- &model ModelName\n"
        "ts_metrics:\n  counter:\n  - {name: Requests2XX, unit: Count, dimensions: []}\n"
        "model_metrics:\n  counter:\n  - {name: Objects, unit: count, dimensions: [*model, Level]}\n  gauge:\n"
    )
    found = contents(tmp_path, unpacked(tmp_path), metrics_config="metrics.yaml")
    assert found.declared == [DeclaredMetric("Objects", "counter", "count", ("ModelName", "Level", "Hostname"))]
    assert found.config_properties["metrics_config"] == str(tmp_path / "metrics.yaml")


@pytest.mark.parametrize(
    ("settings", "ids"),
    [
        ({}, (0, 1, 2)),
        ({"deviceType": "CPU"}, ()),
        ({"deviceType": "gpu", "deviceIds": [2, 0]}, (2, 0)),
        ({"deviceIds": [2, 3]}, (0, 1, 2)),  # there is no device 3: the list is ignored
        ({"deviceIds": "0"}, (0, 1, 2)),
    ],
)
def test_devices(settings: dict[str, Any], ids: tuple[int, ...]) -> None:
    assert gpu_ids(settings, 3) == ids


@pytest.mark.parametrize(("visible", "count"), [("0", 1), ("GPU-1,GPU-2", 2), ("", 0), ("-1", 0)])
def test_the_shell_says_which_gpus_there_are(visible: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert count_gpus({}) == count


def test_a_machine_without_the_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", "")
    assert count_gpus({}) == 0


def test_the_driver_lists_the_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 0\necho 1\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert models_file.count_gpus({}) == 2
    assert count_gpus({"number_of_gpu": "1"}) == 1
    assert count_gpus({"number_of_gpu": 8}) == 2
