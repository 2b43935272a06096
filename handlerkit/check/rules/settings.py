"""The manifest and model-config.yaml: what in them is ignored, misread, or not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from handlerkit.check.loading import Loading
from handlerkit.check.rules.effects import LOAD
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.model import DEFAULT_HANDLERS, RUNTIMES
from handlerkit.targets import Target
from handlerkit.why.findings import config_file

#: Keys of the manifest's model that the server, or TorchServe's Python code, reads.
_MODEL_KEYS = (
    "modelName", "modelVersion", "description", "handler", "serializedFile", "modelFile", "requirementsFile",
    "configFile", "envelope", "extensions",
)  # fmt: skip
#: Keys of model-config.yaml that are of use only if there are several GPUs.
_FOR_GPUS = ("torchrun", "parallelType", "parallelLevel", "deviceIds")


def config(subject: Subject, target: Target) -> Iterator[Finding]:
    """The config file."""
    name = subject.said.get("configFile")
    if not isinstance(name, str) or name not in subject.sizes:
        return
    text = subject.read(name)
    if (problem := config_file.not_readable(text, name)) is not None:
        yield problem
    elif (wrong := config_file.unusable(text, name)) is not None:
        yield wrong.finding
    else:
        sources = [file for file in subject.sizes if file.endswith(".py")]
        yield from config_file.ignored_settings(
            text, name, lambda key: any(config_file.reads(subject.read(file), key) for file in sources)
        )
        if Loading(subject, target).is_base:
            yield from config_file.compiling(subject.settings)
        yield from _for_gpus(subject.settings, name, target)


def _for_gpus(settings: Any, name: str, target: Target) -> Iterator[Finding]:
    """Keys that ask for GPUs, in an image without them."""
    if not target.name.endswith("-cpu"):
        return
    asked = [key for key in _FOR_GPUS if key in settings]
    if str(settings.get("deviceType", "")).lower() == "gpu":
        asked.append("deviceType: gpu")
    if asked:
        message = f"{name} asks for GPUs ({', '.join(asked)}), which the target {target.name} does not have."
        effect = "Its workers run on the CPU, or do not start."
        fix = "Leave that out, or choose the target for GPUs (torchserve-0.12.0-gpu)."
        yield Finding("config_gpu", message, "", effect, fix, "warning")


def files(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files that the manifest names and the archive does not hold."""
    for key in ("handler", "modelFile", "serializedFile", "configFile", "requirementsFile"):
        named = subject.said.get(key)
        if not isinstance(named, str) or not named or named in subject.sizes:
            continue
        if key == "handler":
            if subject.handler_file is not None or named.partition(":")[0] in DEFAULT_HANDLERS:
                continue
            message = (
                f"The manifest names the handler {named!r}: the archive holds no such file, and TorchServe has none "
            )
            near = difflib.get_close_matches(named, [*DEFAULT_HANDLERS, *(name for name in subject.sizes)], 1)
            fix = f"Did you mean {near[0]}?" if near else "Archive the handler's file."
            yield Finding("manifest_file", f"{message}of its own by that name.", "", LOAD, fix)
            continue
        message = f"The manifest names the {_WORDS[key]} {named!r}, which the archive does not hold."
        is_needed = key == "configFile" or Loading(subject, target).is_base
        fix = f"Archive {named}, or leave {key} out."
        if key == "requirementsFile":
            effect = "With install_py_dep_per_model=true, registering the model answers 400."
            yield Finding("manifest_file", message, "", effect, fix, "error" if target.installs else "warning")
        else:
            effect = LOAD if is_needed else "Whatever reads it fails."
            yield Finding("manifest_file", message, "", effect, fix, "error" if is_needed else "warning")


_WORDS = {
    "modelFile": "model file",
    "serializedFile": "weights",
    "configFile": "config file",
    "requirementsFile": "requirements file",
}


def manifest(subject: Subject, target: Target) -> Iterator[Finding]:
    """Keys and values that the server does not take."""
    runtime = subject.manifest.get("runtime", "python")
    if runtime not in RUNTIMES:
        message = f"The manifest's runtime is {runtime!r}, which TorchServe does not know."
        effect = "Registering the model answers 400."
        yield Finding("manifest_runtime", message, "MANIFEST.json", effect, "Write python.")
    if envelope := subject.said.get("envelope"):
        yield config_file.envelope(str(envelope), "The envelope in the manifest", "MANIFEST.json")
    for key in subject.said:
        if key in _MODEL_KEYS:
            continue
        near = difflib.get_close_matches(str(key), _MODEL_KEYS, 1, cutoff=0.75)
        if near and near[0] not in subject.said:
            message = f"The manifest's model has the key {key!r}, which TorchServe does not know."
            effect = "It is ignored, and nothing is said of it."
            yield Finding("manifest_key", message, "MANIFEST.json", effect, f"Did you mean {near[0]}?", "warning")


#: In the order in which they are asked.
SETTINGS_RULES = (manifest, files, config)
