"""Small ONNX files, as exporters write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

FLOAT, WHOLE, BYTES = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8


def save(
    file: Path, nodes: Sequence[Any], inputs: dict[str, tuple[int, Sequence[Any]]], outputs: dict[str, int]
) -> Path:
    """A file of these nodes: the kind and the shape of each input, and the kind of each output."""
    given = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    found = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
    graph = helper.make_graph(list(nodes), "graph", given, found)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def node(kind: str, inputs: Sequence[str], output: str, **options: Any) -> Any:
    return helper.make_node(kind, list(inputs), [output], **options)


def constant(name: str, values: Any, kind: int = FLOAT) -> Any:
    array = np.asarray(values)
    return node("Constant", [], name, value=helper.make_tensor(name, kind, array.shape, array.ravel()))
