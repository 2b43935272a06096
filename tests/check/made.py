"""Models that are made for one check, and what it finds in them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import handlerkit as hk
from handlerkit.messages import Finding

OFFICIAL = "torchserve-0.12.0-cpu"
#: A handler that leaves loading to BaseHandler, and one that does it by itself.
BASE = "from ts.torch_handler.base_handler import BaseHandler\n\n\nclass Handler(BaseHandler):\n    pass\n"
OWN = (
    "import pickle\n\nimport torch\n\n\nclass Handler:\n    def initialize(self, context):\n        {load}\n\n"
    "    def handle(self, data, context):\n        return [0] * len(data)\n"
)


def model(folder: Path, files: Mapping[str, str | bytes] = {}, handler: str = BASE, **options: object) -> hk.Model:
    """A model of a handler's source and other files; an option names one of them."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {"handler.py": handler, **files}
    for name, content in named.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
    given = {key: str(folder / str(value)) for key, value in options.items()}
    taken = {str(value) for value in options.values()} | {"handler.py"}
    extra = [folder / name for name in named if name not in taken]
    return hk.Model("it", handler=str(folder / "handler.py"), extra_files=extra, **given)  # type: ignore[arg-type]


def archive(path: Path, manifest: Mapping[str, object], files: Mapping[str, str | bytes]) -> Path:
    """A `.mar` of these files, whatever its manifest says."""
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
        zipped.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": manifest}))
    return path


def found(checked: hk.Model | Path, target: str = "declared") -> dict[str, Finding]:
    """What a check finds, by the names of the rules."""
    return {one.name: one for one in hk.check(checked, target=target).findings}


def assert_quiet(checked: hk.Model | Path, *targets: str) -> None:
    """A check has nothing to say, for any of the targets (declared and the official image without any)."""
    for target in targets or ("declared", OFFICIAL):
        assert hk.check(checked, target=target).findings == ()


def onnx_model(opset: int = 17, size: int = 3, domain: str = "") -> onnx.ModelProto:
    """A model of one addition."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [size])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [size])
    weight = numpy_helper.from_array(np.zeros(size, np.float32), "w")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "it", [given], [made], [weight])
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, producer_name="me", ir_version=8)
