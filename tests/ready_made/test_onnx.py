"""An ONNX file as the model of each ready-made handler: the answer of the network that was exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from ready_made_pictures import DISCS, PNG, decode, file_of

from handlerkit import Part, Request


def model(folder: Path, nodes: list[Any], batch: int | str, outputs: list[str], size: tuple[Any, Any]) -> Path:
    """An ONNX file of float images, named as the exporters do it."""
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, *size])
    found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "graph", [given], found)
    file = folder / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def constant(name: str, values: Any) -> Any:
    array = np.asarray(values, np.float32)
    return helper.make_node(
        "Constant", [], [name], value=helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.ravel())
    )


BRIGHT = [  # the brightness of each pixel, as the score of a single class
    constant("half", 0.5),
    helper.make_node("ReduceMean", ["images"], ["gray"], axes=[1], keepdims=1),
    helper.make_node("Sub", ["gray", "half"], ["output"]),
]
PLAIN = {"mean": [0, 0, 0], "std": [1, 1, 1]}


@pytest.mark.parametrize(("batch", "size"), [("N", ("H", "W")), (1, (48, 64)), (4, (48, 64))])
def test_segmentation(tmp_path: Path, serve: Callable[..., Any], batch: Any, size: Any) -> None:
    file = model(tmp_path, BRIGHT, batch, ["output"], size)
    served = serve("segmentation_overlay", file, {"handler": {**PLAIN, "resize": [48, 64]}}, batch_size=3)
    for response in served(PNG, PNG, PNG):
        assert (decode(response.json()["classes"][1]["mask"]) == (DISCS > 128)).all()


def test_a_fixed_size_needs_no_setting(tmp_path: Path, serve: Callable[..., Any]) -> None:
    served = serve("segmentation_overlay", model(tmp_path, BRIGHT, 1, ["output"], (24, 32)), {"handler": PLAIN})
    several = Request.multipart(Part("a", PNG, "a.png"), Part("b", file_of(DISCS[:40]), "b.png"))
    assert [one["size"] for one in served.json(several)] == [[48, 64], [40, 64]]


def test_background(tmp_path: Path, serve: Callable[..., Any]) -> None:
    served = serve("background_cutout", model(tmp_path, BRIGHT, 1, ["output"], (48, 64)), {"handler": PLAIN})
    assert served(PNG, accept="application/json").json()["size"] == [48, 64]


def test_classifier(tmp_path: Path, serve: Callable[..., Any]) -> None:
    mean = [helper.make_node("ReduceMean", ["images"], ["logits"], axes=[2, 3], keepdims=0)]
    served = serve("classifier", model(tmp_path, mean, 1, ["logits"], (64, 64)), {"handler": {"scores": "none"}})
    assert len(served.json(PNG)["labels"]) == 3


def test_detection(tmp_path: Path, serve: Callable[..., Any]) -> None:
    boxes = [
        constant("logits", [[[0.0, 4, 1], [2, 0, 1]]]),
        constant("pred_boxes", [[[0.5, 0.5, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5]]]),
        helper.make_node("Identity", ["images"], ["beside"]),
    ]
    file = model(tmp_path, boxes, 1, ["logits", "pred_boxes", "beside"], (96, 128))
    answer = serve("detection_boxes", file).json(PNG)  # two labels and three logits: the last one is no object
    assert answer["labels"] == ["coin", "background"]
    assert answer["boxes"] == [[16.0, 12.0, 48.0, 36.0], [0.0, 0.0, 32.0, 24.0]]


def test_torchvisions_detectors_are_exported_for_one_image(tmp_path: Path, serve: Callable[..., Any]) -> None:
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, [3, "H", "W"])
    nodes = [
        constant("boxes", [[4.0, 14, 24, 34]]),
        constant("scores", [0.9]),
        helper.make_node("Constant", [], ["labels"], value=helper.make_tensor("labels", TensorProto.INT64, [1], [1])),
        helper.make_node("Identity", ["image"], ["beside"]),
    ]
    kinds = {"boxes": TensorProto.FLOAT, "labels": TensorProto.INT64, "scores": TensorProto.FLOAT}
    found = [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
    graph = helper.make_graph(nodes, "graph", [given], found)
    file = tmp_path / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    first, second = serve("detection_boxes", file, batch_size=2)(PNG, PNG)
    assert first.json() == second.json()
    assert first.json()["boxes"] == [[4.0, 14.0, 24.0, 34.0]]
