"""ONNX models: the runtime, its versions, and the files beside the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.version import Version

from handlerkit.check.loading import Loading
from handlerkit.check.rules.effects import LOAD, fails
from handlerkit.check.subject import Subject
from handlerkit.check.there import There
from handlerkit.messages import Finding
from handlerkit.targets import Target

#: onnxruntime 1.x -> the newest opset of ai.onnx, and the newest IR version, that it loads; each was asked for them.
_LOADS = {
    15: (19, 9), 16: (19, 9), 17: (20, 9), 18: (21, 10), 19: (21, 10), 20: (21, 10), 21: (22, 10), 22: (22, 10),
    23: (23, 11), 24: (25, 13), 32: (28, 14),
}  # fmt: skip
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def runtime(subject: Subject, target: Target) -> Iterator[Finding]:
    """The runtime that BaseHandler needs for a model."""
    name = subject.serialized_file
    if name is None or subject.weights[name].onnx is None or not name.endswith(".onnx"):
        return
    loading = Loading(subject, target)
    if loading.is_base and not subject.model_file and subject.packages(target).verdict("onnxruntime") == "missing":
        message = f"BaseHandler needs onnxruntime to load {name}, and the target {target.name} does not have it."
        fix = "Name onnxruntime in the requirements file (--requirements-file)."
        yield Finding("onnxruntime", message, "", LOAD, fix)


def versions(subject: Subject, target: Target) -> Iterator[Finding]:
    """Models that are newer than the runtime."""
    models = {name: found.onnx for name, found in subject.weights.items() if found.onnx is not None}
    there = There(subject, target) if models else None
    found = next((one for name in _RUNTIMES if there and (one := there.version(name)) is not None), None)
    if found is None or (most := _most(found)) is None:
        return
    for name, model in models.items():
        asked = (model.opsets.get("", 0), model.ir_version)
        for what, wanted, loaded in zip(("opset", "IR version"), asked, most, strict=True):
            if wanted > loaded:
                message = f"{name} has {what} {wanted}, and onnxruntime {found} loads up to {what} {loaded}."
                fix = f"Export it with {what} {loaded}, or name a newer onnxruntime in the requirements file."
                yield Finding("onnx_version", message, "", fails(subject, name), fix)


def external(subject: Subject, target: Target) -> Iterator[Finding]:
    """Weights that a model keeps in files beside it."""
    for name, found in subject.weights.items():
        for place in sorted(found.onnx.external) if found.onnx is not None else ():
            if str(PurePosixPath(name).parent / place) not in subject.sizes:
                message = f"{name} keeps weights in {place!r} beside it, which is not in the archive."
                fix = f"Add {place} (--extra-files), or save the model in one file."
                yield Finding("onnx_external", message, "", fails(subject, name), fix)


def _most(found: Version) -> tuple[int, int] | None:
    """What a runtime loads; of one between two that were asked, only what both load."""
    if found.major != 1:
        return None
    if found.minor in _LOADS:
        return _LOADS[found.minor]
    newer = [loads for minor, loads in _LOADS.items() if minor > found.minor]
    return newer[0] if newer else None


#: In the order in which they are asked.
ONNX_RULES = (runtime, versions, external)
