"""ONNX sessions called as modules are: what they take besides images, in which order and kind of number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from model_outputs import OnnxModel, above_half, by_image
from onnx_files import BYTES, FLOAT, WHOLE, constant, node, save

IMAGES = torch.arange(3 * 3 * 4 * 6, dtype=torch.uint8).reshape(3, 3, 4, 6)


def model(folder: Path, inputs: dict[str, Any], nodes: Any = (), **outputs: int) -> OnnxModel:
    """A session whose outputs are its inputs, named `seen_` and more, unless nodes make others."""
    nodes = nodes or [node("Identity", [name], f"seen_{name}") for name in inputs]
    outputs = outputs or {f"seen_{name}": kind for name, (kind, _) in inputs.items()}
    file = save(folder / "network.onnx", nodes, inputs, outputs)
    return OnnxModel(onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]))


@pytest.mark.parametrize("batch", ["N", 1, 2, 4])
def test_a_batch_of_any_size_is_answered(tmp_path: Path, batch: int | str) -> None:
    made = model(tmp_path, {"images": (FLOAT, [batch, 3, 4, 6])})
    assert (made(IMAGES.float())["seen_images"] == IMAGES).all()
    assert (made.size, made.takes_pixels) == ((4, 6), False)


@pytest.mark.parametrize("kind", [BYTES, WHOLE])
@pytest.mark.parametrize("shape", [["N", 4, 6, 3], [1, "H", "W", 3], [4, 6, 3]], ids=str)
def test_channels_last_and_whole_numbers(tmp_path: Path, kind: int, shape: list[Any]) -> None:
    made = model(tmp_path, {"images": (kind, shape)})
    returned = made(IMAGES)
    seen = returned["seen_images"] if len(shape) == 4 else torch.stack([one["seen_images"] for one in returned])
    assert (seen == IMAGES.permute(0, 2, 3, 1)).all()
    assert (made.size, made.takes_pixels) == (None if "H" in shape else (4, 6), True)


def test_width_and_height_for_the_boxes(tmp_path: Path) -> None:
    made = model(tmp_path, {"images": (FLOAT, ["N", 3, "H", "W"]), "orig_target_sizes": (WHOLE, ["N", 2])})
    assert made(IMAGES.float())["seen_orig_target_sizes"].tolist() == [[6, 4]] * 3


@pytest.mark.parametrize(("shape", "size"), [(["N", "H", "W"], (4, 6)), (["N", 64, 64], (64, 64))])
@pytest.mark.parametrize("first", [True, False])
def test_every_pixel_is_of_the_image(tmp_path: Path, shape: list[Any], size: tuple[int, int], first: bool) -> None:
    inputs = {"pixel_values": (FLOAT, ["N", 3, "H", "W"]), "pixel_mask": (WHOLE, shape)}
    made = model(tmp_path, inputs if first else dict(reversed(inputs.items())))
    found = made(IMAGES.float())
    assert (found["seen_pixel_values"] == IMAGES).all()
    assert found["seen_pixel_mask"].equal(torch.ones(3, *size, dtype=torch.long))


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"images": (FLOAT, ["N", 3, 4, 6]), "more": (FLOAT, ["N"])}, "has the inputs images, more, not one of images"),
        ({"rows": (FLOAT, ["N", 7])}, "takes tensor\\(float\\) \\['N', 7\\], which are no images"),
    ],
)
def test_other_inputs_are_refused(tmp_path: Path, inputs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RuntimeError, match=sentence):
        model(tmp_path, inputs)


def test_outputs_have_the_files_names(tmp_path: Path) -> None:
    nodes = [constant("b", [[1.0]]), constant("a", [[2]], WHOLE), node("Identity", ["images"], "beside")]
    found = model(tmp_path, {"images": (FLOAT, [1, 3, 4, 6])}, nodes, b=FLOAT, a=WHOLE)(IMAGES[:1].float())
    assert {name: one.tolist() for name, one in found.items()} == {"b": [[1.0]], "a": [[2]]}


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([0.0, 0.4, 0.6, 1.0], [False, False, True, True]),
        ([-0.2, 0.2, 0.6, 1.0], [False, True, True, True]),
        ([-7.0, -0.1, 0.1, 7.0], [False, False, True, True]),
    ],
)
def test_logits_of_masks_are_above_half_where_they_are_above_0(masks: list[float], expected: list[bool]) -> None:
    assert (above_half(torch.tensor(masks)) > 0.5).tolist() == expected


BOXES, SCORES = torch.rand(3, 4), torch.rand(3)


class Boxes:
    """As Detectron2's hold a tensor."""

    tensor = BOXES


class Instances:
    """As Detectron2's tell what they hold."""

    def get_fields(self) -> dict[str, Any]:
        return {"pred_boxes": Boxes(), "scores": SCORES}


class Sample:
    """As MMDetection's tell what they hold."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def items(self) -> Any:
        return self.fields.items()


@pytest.mark.parametrize(
    "one",
    [
        {"instances": Instances()},
        Sample(pred_instances=Sample(pred_boxes=BOXES, scores=SCORES)),
        {"pred_instances": {"pred_boxes": BOXES, "scores": SCORES}},
    ],
    ids=["Detectron2", "MMDetection", "dicts"],
)
def test_what_libraries_wrap_each_image_in(one: Any) -> None:
    for found in by_image([one, one], 2):
        assert list(found) == ["pred_boxes", "scores"]
        assert found["pred_boxes"].equal(BOXES)


def test_nothing_but_words_is_refused() -> None:
    with pytest.raises(ValueError, match="the model returns a list without tensors"):
        by_image([{"label": "coin"}], 1)
