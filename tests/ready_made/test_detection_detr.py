"""detection_boxes beside transformers' own post-processing of DETR, YOLOS and RT-DETR, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from in_process import asked, made
from PIL import Image
from ready_made_pictures import DISCS
from torch import nn
from transformers_networks import LABELS, network

PHOTO = Image.fromarray(DISCS).convert("RGB").resize((128, 96))
PIXELS = torch.tensor(np.asarray(PHOTO)).permute(2, 0, 1)[None] / 255
PROCESSORS = {
    "detr": transformers.DetrImageProcessor,
    "yolos": transformers.YolosImageProcessor,
    "rt_detr": transformers.RTDetrImageProcessor,
}


class As(nn.Module):
    """A network whose output is wrapped."""

    def __init__(self, inner: nn.Module, wrap: Any) -> None:
        super().__init__()
        self.inner, self.wrap = inner, wrap

    def forward(self, x: torch.Tensor) -> Any:
        return self.wrap(self.inner(x))


WRAPS = {
    "ModelOutput": lambda output: output,
    "tuple": lambda output: output.to_tuple(),
    "dict": lambda output: {"pred_logits": output.logits, "pred_boxes": output.pred_boxes},
}


@pytest.fixture(scope="module", params=PROCESSORS)
def detector(request: pytest.FixtureRequest) -> Any:
    """The network, and what its own post-processing finds, the best first."""
    found = network(request.param)
    with torch.inference_mode():
        output = found(PIXELS)
    own = PROCESSORS[request.param]().post_process_object_detection(output, 0.0, target_sizes=[(96, 128)])[0]
    order = own["scores"].argsort(descending=True, stable=True)
    return SimpleNamespace(name=request.param, network=found, own={name: one[order] for name, one in own.items()})


@pytest.mark.parametrize("wrap", WRAPS)
def test_boxes_are_those_of_its_own_post_processing(detector: Any, wrap: str) -> None:
    handler = made("detection_boxes", As(detector.network, WRAPS[wrap]), LABELS, threshold=0)
    answer = asked(handler, PHOTO)
    assert handler.form == ("rtdetr" if detector.name == "rt_detr" else "detr")
    assert len(answer["boxes"]) == 20
    assert answer["scores"] == pytest.approx(detector.own["scores"].tolist(), abs=1e-4)
    assert answer["labels"] == [f"thing {index}" for index in detector.own["labels"].tolist()]
    inside = detector.own["boxes"].clamp(torch.zeros(4), torch.tensor([128, 96, 128, 96]))
    assert np.array(answer["boxes"]) == pytest.approx(inside.numpy(), abs=0.06)


class Fixed(nn.Module):
    """Returns the same for each image."""

    def __init__(self, **tensors: torch.Tensor) -> None:
        super().__init__()
        self.tensors = tensors

    def forward(self, x: torch.Tensor) -> Any:
        return {name: one.expand(len(x), *one.shape[1:]) for name, one in self.tensors.items()}


QUERIES = {
    "logits": torch.tensor([[[0.0, 4, 1], [2, 0, 1]]]),
    "pred_boxes": torch.tensor([[[0.5, 0.5, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5]]]),
}


@pytest.mark.parametrize(
    ("count", "settings", "form"),
    [(2, {}, "detr"), (3, {}, "rtdetr"), (0, {"form": "detr"}, "detr"), (0, {"form": "rtdetr"}, "rtdetr")],
)
def test_labels_or_the_setting_say_how_logits_are_read(count: int, settings: dict[str, Any], form: str) -> None:
    labels = {str(index): str(index) for index in range(count)}
    handler = made("detection_boxes", Fixed(**QUERIES), labels, threshold=0.5, **settings)
    answer = asked(handler, PHOTO)
    expected = {"detr": [0.9362, 0.6652], "rtdetr": [0.982, 0.8808]}[form]
    assert answer["scores"] == pytest.approx(expected, abs=1e-4)


def test_logits_of_an_unknown_network_without_labels_are_refused() -> None:
    answer = asked(made("detection_boxes", Fixed(**QUERIES)), PHOTO)
    assert answer["code"] == 500
    assert "which DETR reads by softmax and RT-DETR by sigmoid: set `form`" in answer["message"]


def rows(*columns: float) -> torch.Tensor:
    """Ten equal rows, side by side: what YOLOv8 returns of an image, [1, columns, 10]."""
    return torch.tensor(columns)[None, :, None].expand(1, -1, 10).contiguous()


@pytest.mark.parametrize(
    ("tensor", "settings", "sentence"),
    [
        (rows(9, 9, 4, 4, 1995, 0.1), {}, "read as yolov8, a score is 1995, above 1"),
        (rows(9, 9, 4, 4, -3, 0.1), {}, "read as yolov8, a score is -3, below 0"),
        (rows(9, 9, 4, 4, float("nan")), {}, "read as yolov8, a score is nan, below 0"),
        (rows(900, 900, 4, 4, 0.9, 0.1), {}, "read as yolov8, all boxes lie outside the 128x96 pixels that it saw"),
        (rows(9, 9, 4, 4, 0.9, 0.1), {"form": "yolov5"}, "read as yolov5, a score is 81, above 1"),
        (rows(9, 9, 4, 4, 0.9, 0.1), {"form": "detr"}, "that is not detr"),
        (torch.rand(1, 3, 96, 128), {}, "that is not torchvision or detr or end2end or yolov5 or yolov8"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_impossible_reading_is_refused(tensor: torch.Tensor, settings: dict[str, Any], sentence: str) -> None:
    answer = asked(made("detection_boxes", Fixed(output0=tensor), **settings), PHOTO)
    assert answer["code"] == 500
    assert sentence in answer["message"]
    assert "`form` in model-config.yaml names another form" in answer["message"]


def test_boxes_below_the_threshold_may_lie_anywhere() -> None:
    answer = asked(made("detection_boxes", Fixed(output0=rows(900, 900, 4, 4, 0.1, 0.1))), PHOTO)
    assert answer == {"size": [96, 128], "boxes": [], "labels": [], "scores": []}


@pytest.mark.parametrize(
    ("tensors", "form"),
    [
        ({"output0": rows(64, 48, 64, 48, 0.1, 0.9)}, "yolov8"),
        ({"output0": rows(0.5, 0.5, 0.5, 0.5, 0.1, 0.9)}, "yolov8"),  # shares
        ({"output0": rows(64, 48, 64, 48, 1, 0.1, 0.9).mT}, "yolov5"),
        ({"output0": rows(64, 48, 64, 48, 0.1, 0.9).expand(1, 6, 10)[..., :3]}, "yolov8"),  # fewer boxes than numbers
        ({"output0": rows(32, 24, 96, 72, 0.9, 1).mT}, "end2end"),
        ({"boxes": rows(32, 24, 96, 72).mT, "scores": rows(0.2, 0.9).mT}, "torchvision"),
        ({"boxes": rows(32, 24, 96, 72).mT, "scores": rows(0.1, 0.9, 0).mT}, "torchvision"),  # a softmax
        ({"a": rows(32, 24, 96, 72).mT, "b": torch.ones(1, 10, dtype=torch.long), "c": torch.full((1, 10), 0.9)},
         "torchvision"),
    ],
)  # fmt: skip
def test_the_form_is_told_by_the_output(tensors: dict[str, torch.Tensor], form: str) -> None:
    handler = made("detection_boxes", Fixed(**tensors), limit=1)
    assert asked(handler, PHOTO) == {
        "size": [96, 128], "boxes": [[32.0, 24.0, 96.0, 72.0]], "labels": ["1"], "scores": [0.9],
    }  # fmt: skip
    assert handler.form == form
