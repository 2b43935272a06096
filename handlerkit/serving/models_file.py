"""What an app serves: a file models.json, and the folders of models that it names, as archives are unpacked.

{"models": [{"model_dir": "model/NAME", ...}], "config_properties": {...}}

A model may have any argument of ServedModel; what it leaves out is read from its folder. Relative paths are relative to
the file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from . import torchserve_facts as facts
from .application import Application
from .config import Config
from .models.metrics import OF_HANDLERS, DeclaredMetric
from .models.served_model import ServedModel

_GPU_LIST_TIMEOUT = 30


class Contents(NamedTuple):
    """What the file says. `declared`: the metrics of handlers that its metrics_config declares; `gpus`: how many GPUs
    workers may use."""

    models: Sequence[ServedModel]
    config_properties: Mapping[str, Any]
    declared: Sequence[DeclaredMetric]
    gpus: int

    def application(self, **asked: Any) -> Application:
        """The application, with further arguments of its own. Raises as Application."""
        return Application(self.models, self.config_properties, declared=self.declared, gpus=self.gpus, **asked)

    def config(self) -> Config:
        """What the properties set. Raises PropertyError."""
        return Config.read(self.config_properties)

    def named(self, name: str | None = None) -> ServedModel:
        """The model of that name; the only one without a name. Raises ValueError."""
        found = [model for model in self.models if name in (None, model.name)]
        if len(found) != 1:
            known = ", ".join(model.name for model in self.models)
            raise ValueError(
                f"there is no model {name!r}: choose {known}" if name else f"choose a model, with --model: {known}"
            )
        return found[0]


def read(file: str) -> Contents:
    """What a models.json says. Raises OSError, ValueError for what it cannot say, and KeyError for what lacks."""
    with open(file, encoding="utf-8") as opened:
        content = json.load(opened)
    if not isinstance(content, dict) or not content.get("models"):
        raise ValueError(f'{file} names no models: {{"models": [{{"model_dir": "model/NAME"}}]}}')
    folder = os.path.dirname(os.path.abspath(file))
    properties = dict(content.get("config_properties") or {})
    declared: Sequence[DeclaredMetric] = OF_HANDLERS
    if metrics := properties.get("metrics_config"):
        properties["metrics_config"] = os.path.join(folder, metrics)
        declared = metrics_of(properties["metrics_config"])
    gpus = count_gpus(properties)
    known = {field.name for field in dataclasses.fields(ServedModel)}
    models = []
    for model in content["models"]:
        if unknown := model.keys() - known:
            raise ValueError(f"{file}: a model has no {', '.join(sorted(unknown))}")
        asked = {**model, "model_dir": os.path.join(folder, model["model_dir"])}
        if workers := int(properties.get("default_workers_per_model") or 0):
            asked.setdefault("initial_workers", workers)
        models.append(of_folder(asked, gpus))
    return Contents(models, properties, declared, gpus)


def of_folder(asked: Mapping[str, Any], gpus: int = 0) -> ServedModel:
    """The model with these arguments of ServedModel, of which `model_dir` is one; its manifest and model-config.yaml
    say the rest. `gpus`: how many there are. Raises OSError and ValueError."""
    manifest: Any = {}
    if os.path.exists(file := os.path.join(asked["model_dir"], facts.MANIFEST)):
        with open(file, encoding="utf-8") as opened:
            manifest = json.load(opened)
    said = manifest.get("model", {})
    usual = {
        "name": said.get("modelName"),
        "version": said.get("modelVersion", facts.MODEL_VERSION),
        "handler": said.get("handler"),
        "runtime": manifest.get("runtime", "python"),
    }
    if said.get("configFile"):
        usual["settings"] = _mapping(os.path.join(asked["model_dir"], said["configFile"]))
    options = {**usual, **asked}
    options.setdefault("gpu_ids", gpu_ids(options.get("settings") or {}, gpus))
    if not options["name"] or not options["handler"]:
        raise ValueError(f"{asked['model_dir']} has no manifest that names the model and its handler")
    return ServedModel(**options)


def gpu_ids(settings: Mapping[str, Any], count: int) -> Sequence[int]:
    """The devices that a model's workers get in turn, by deviceType and deviceIds of model-config.yaml; TorchServe
    ignores a list with a device that is not there."""
    if str(settings.get("deviceType", "")).lower() == "cpu":
        return ()
    wanted = settings.get("deviceIds")
    if isinstance(wanted, list) and wanted and all(type(one) is int and 0 <= one < count for one in wanted):
        return tuple(wanted)
    return tuple(range(count))


def count_gpus(properties: Mapping[str, Any]) -> int:
    """How many GPUs workers may use: those that CUDA_VISIBLE_DEVICES names, or else the machine's, and no more than
    number_of_gpu."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        found = len([one for one in visible.split(",") if one.strip() not in ("", "-1")])
    else:
        found = _listed_gpus()
    most = properties.get("number_of_gpu")
    return found if most in (None, "") else min(found, int(str(most)))


def metrics_of(file: str) -> Sequence[DeclaredMetric]:
    """The metrics of handlers that a metrics file declares. Raises OSError, and ValueError for what is no such file."""
    found = []
    for kind, metrics in (_mapping(file).get("model_metrics") or {}).items():
        for one in metrics or ():
            dimensions = [str(dimension) for dimension in one.get("dimensions") or ()]
            found.append(DeclaredMetric(str(one["name"]), kind, str(one.get("unit", "")), (*dimensions, "Hostname")))
    return found


def _mapping(file: str) -> dict[str, Any]:
    """A YAML file that holds a mapping; of one that holds something else, nothing counts: its worker says so."""
    import yaml  # TorchServe's workers need it too

    with open(file, encoding="utf-8") as opened:
        try:
            read = yaml.safe_load(opened)
        except (yaml.YAMLError, ValueError, RecursionError):
            return {}
    return read if isinstance(read, dict) else {}


def _listed_gpus() -> int:
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=_GPU_LIST_TIMEOUT, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return len([line for line in done.stdout.splitlines() if line.strip().isdigit()]) if not done.returncode else 0
