"""An ONNX file as the model of each ready-made handler, loaded as a worker loads it, on the official image, too."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx_files import BYTES, FLOAT, WHOLE, constant, node, save
from ready_made_pictures import DISCS, PNG, decode, file_of
from ts.context import Context, RequestProcessor
from ts.metrics.metrics_store import MetricsStore


def loaded(name: str, file: Path, **settings: Any) -> Callable[..., list[Any]]:
    """Asks a ready-made handler whose archive holds the file and two labels."""
    file.with_name("index_to_name.json").write_text('{"0": "background", "1": "coin"}')
    manifest = {"model": {"modelName": "m", "serializedFile": file.name}}
    context = Context("m", str(file.parent), manifest, 4, None, "0.12.0")
    context.model_yaml_config = {"handler": settings}
    module = importlib.import_module(name)
    (kind,) = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == name]
    handler = kind()
    handler.initialize(context)

    def ask(*images: bytes, accept: str = "") -> list[Any]:
        context.request_ids = {row: str(row) for row in range(len(images))}
        context.request_processor = [RequestProcessor({"accept": accept}) for _ in images]
        context.metrics = MetricsStore(context.request_ids, "m")
        answers: list[Any] = handler.handle([{"body": image} for image in images], context)
        return answers

    return ask


def model(folder: Path, nodes: list[Any], batch: int | str, outputs: list[str], size: tuple[Any, Any]) -> Path:
    """An ONNX file of float images, named as the exporters do it."""
    inputs = {"images": (FLOAT, [batch, 3, *size])}
    return save(folder / "network.onnx", nodes, inputs, dict.fromkeys(outputs, FLOAT))


BRIGHT = [  # the brightness of each pixel, as the score of a single class
    constant("half", 0.5),
    node("ReduceMean", ["images"], "gray", axes=[1], keepdims=1),
    node("Sub", ["gray", "half"], "output"),
]
PLAIN = {"mean": [0, 0, 0], "std": [1, 1, 1]}


@pytest.mark.parametrize(("batch", "size"), [("N", ("H", "W")), (1, (48, 64)), (4, (48, 64))])
def test_segmentation(tmp_path: Path, batch: Any, size: Any) -> None:
    ask = loaded("segmentation_overlay", model(tmp_path, BRIGHT, batch, ["output"], size), **PLAIN, resize=[48, 64])
    answers = ask(PNG, PNG, PNG)
    assert len(answers) == 3
    for answer in answers:
        assert (decode(answer["classes"][1]["mask"]) == (DISCS > 128)).all()


def test_a_fixed_size_needs_no_setting(tmp_path: Path) -> None:
    ask = loaded("segmentation_overlay", model(tmp_path, BRIGHT, 1, ["output"], (24, 32)), **PLAIN)
    assert [one["size"] for one in ask(PNG, file_of(DISCS[:40]))] == [[48, 64], [40, 64]]


def test_background(tmp_path: Path) -> None:
    ask = loaded("background_cutout", model(tmp_path, BRIGHT, 1, ["output"], (48, 64)), **PLAIN)
    assert ask(PNG, accept="application/json")[0]["size"] == [48, 64]


def test_classifier(tmp_path: Path) -> None:
    mean = [node("ReduceMean", ["images"], "logits", axes=[2, 3], keepdims=0)]
    ask = loaded("classifier", model(tmp_path, mean, 1, ["logits"], (64, 64)), scores="none")
    assert sorted(ask(PNG)[0]["labels"]) == ["2", "background", "coin"]


def test_detection(tmp_path: Path) -> None:
    boxes = [
        constant("logits", [[[0.0, 4, 1], [2, 0, 1]]]),
        constant("pred_boxes", [[[0.5, 0.5, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5]]]),
        node("Identity", ["images"], "beside"),
    ]
    file = model(tmp_path, boxes, 1, ["logits", "pred_boxes", "beside"], (96, 128))
    (answer,) = loaded("detection_boxes", file)(PNG)  # two labels and three logits: the last one is no object
    assert answer["labels"] == ["coin", "background"]
    assert answer["boxes"] == [[16.0, 12.0, 48.0, 36.0], [0.0, 0.0, 32.0, 24.0]]


def test_torchvisions_detectors_are_exported_for_one_image(tmp_path: Path) -> None:
    nodes = [
        constant("boxes", [[4.0, 14, 24, 34]]),
        constant("scores", [0.9]),
        constant("labels", [1], WHOLE),
        node("Identity", ["image"], "beside"),
    ]
    inputs = {"image": (FLOAT, [3, "H", "W"])}
    file = save(tmp_path / "network.onnx", nodes, inputs, {"boxes": FLOAT, "labels": WHOLE, "scores": FLOAT})
    first, second = loaded("detection_boxes", file)(PNG, PNG)
    assert first == second
    assert first["boxes"] == [[4.0, 14.0, 24.0, 34.0]]


def test_whole_numbers_channels_last(tmp_path: Path) -> None:
    nodes = [
        node("Cast", ["images"], "pixels", to=FLOAT),
        node("ReduceMean", ["pixels"], "gray", axes=[3], keepdims=0),
        constant("half", 127.5),
        node("Sub", ["gray", "half"], "scores"),
        constant("axis", [1], WHOLE),
        node("Unsqueeze", ["scores", "axis"], "output"),
    ]
    file = save(tmp_path / "network.onnx", nodes, {"images": (BYTES, [1, 48, 64, 3])}, {"output": FLOAT})
    (answer,) = loaded("segmentation_overlay", file)(PNG)  # the file says the size, and normalizes the pixels itself
    assert (decode(answer["classes"][1]["mask"]) == (DISCS > 128)).all()


def test_boxes_in_the_size_that_a_second_input_tells(tmp_path: Path) -> None:
    nodes = [  # RT-DETR's export, which makes pixels of shares
        constant("shares", [[[0.125, 0.25, 0.5, 0.75]]]),
        node("Cast", ["orig_target_sizes"], "sides", to=FLOAT),
        node("Concat", ["sides", "sides"], "four", axis=1),
        constant("axis", [1], WHOLE),
        node("Unsqueeze", ["four", "axis"], "scale"),
        node("Mul", ["shares", "scale"], "boxes"),
        constant("scores", [[0.9]]),
        constant("labels", [[1]], WHOLE),
        node("Identity", ["images"], "beside"),
    ]
    inputs = {"images": (FLOAT, ["N", 3, 96, 96]), "orig_target_sizes": (WHOLE, ["N", 2])}
    file = save(tmp_path / "network.onnx", nodes, inputs, {"labels": WHOLE, "boxes": FLOAT, "scores": FLOAT})
    (answer,) = loaded("detection_boxes", file)(PNG)
    assert (answer["boxes"], answer["labels"]) == ([[8.0, 12.0, 32.0, 36.0]], ["coin"])
