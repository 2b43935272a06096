"""Outputs of detectors that are told by their form alone: what each means, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detection_forms import Output, read_boxes
from request_handler import Refusal

SIZE = (100, 200)  # height and width that the model saw
SHARES = torch.tensor([[0.1, 0.2, 0.5, 0.6], [0.3, 0.1, 0.9, 0.8], [0.0, 0.0, 0.1, 0.1]])
PIXELS = (SHARES * torch.tensor([200.0, 100.0, 200.0, 100.0])).round()
LOGITS = torch.tensor([[-4.0, 3, -4, -4, -4], [-4, -4, 2, -4, -4], [-5, -5, -5, -5, -5]])


def read(tensors: dict[str, Any], labels: int = 0) -> tuple[str, list[list[float]], list[int]]:
    """The form, and the boxes and labels of what scores 0.5."""
    form, found = read_boxes(Output(tensors, SIZE, set(), labels, "cxcywh"), "auto", 0.5)
    kept = found["scores"] >= 0.5
    return form, found["boxes"][kept].round().tolist(), found["labels"][kept].tolist()


def unnamed(*tensors: torch.Tensor) -> dict[str, torch.Tensor]:
    return {str(number): one for number, one in enumerate(tensors)}


def softmax_of_ssd() -> torch.Tensor:
    """Of [boxes, classes]: class 0 is no object, and most boxes are none."""
    return torch.tensor([[0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.98, 0.01, 0.01]])


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("boxes_first", [True, False])
def test_ssd(named: bool, boxes_first: bool) -> None:
    both = {"boxes": SHARES, "scores": softmax_of_ssd()}
    ordered = both if boxes_first else dict(reversed(both.items()))
    tensors = ordered if named else unnamed(*ordered.values())
    assert read(tensors) == ("torchvision", PIXELS[:2].tolist(), [1, 2])


def test_mmdetection() -> None:
    dets = torch.cat([PIXELS, torch.tensor([[0.9], [0.8], [0.1]])], 1)
    assert read({"dets": dets, "labels": torch.tensor([3, 7, 1])}) == ("torchvision", PIXELS[:2].tolist(), [3, 7])


SCORES, CLASSES = torch.tensor([0.9, 0.8, 0.1]), torch.tensor([3, 7, 1])


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
@pytest.mark.parametrize("classes", [CLASSES, torch.tensor([1, 0, 1]), torch.tensor([1, 1, 1])])
def test_classes_written_as_floats(order: tuple[int, ...], classes: torch.Tensor) -> None:
    columns = PIXELS, SCORES, classes.float()
    assert read(unnamed(*(columns[at] for at in order))) == ("torchvision", PIXELS[:2].tolist(), classes[:2].tolist())


def test_tensorflow_s_boxes_begin_with_the_height() -> None:
    padded = torch.cat([SHARES[:, [1, 0, 3, 2]], torch.zeros(97, 4)])
    tensors = {
        "detection_boxes": padded,
        "detection_classes": torch.cat([CLASSES.float(), torch.ones(97)]),
        "detection_scores": torch.cat([SCORES, torch.zeros(97)]),
        "num_detections": torch.tensor(3.0),
    }
    assert read(tensors) == ("torchvision", PIXELS[:2].tolist(), [3, 7])


def test_a_refusal_names_what_lies_in_lists() -> None:
    with pytest.raises(Refusal, match=r"returns 0.0 \[80, 10, 20\], 1.0 \[4, 10, 20\], and"):
        read({"0.0": torch.rand(80, 10, 20), "1.0": torch.rand(4, 10, 20)})


def test_boxes_before_logits() -> None:
    centers = torch.tensor([[0.3, 0.4, 0.4, 0.4], [0.6, 0.45, 0.6, 0.7], [0.05, 0.05, 0.1, 0.1]])
    assert read({"dets": centers, "labels": LOGITS}, labels=5) == ("rtdetr", PIXELS[:2].tolist(), [1, 2])


def test_class_before_score() -> None:
    rows = torch.cat([PIXELS, torch.tensor([[1.0, 0.9], [0.0, 0.8], [1.0, 0.1]])], 1)
    assert read({"0": rows}) == ("end2end", PIXELS[:2].tolist(), [1, 0])


def test_rows_that_are_filled_up_with_zeros_are_nothing() -> None:
    form, found = read_boxes(Output({"0": torch.zeros(300, 6)}, SIZE, set(), 0, "cxcywh"), "end2end", 0.0)
    assert (form, float(found["scores"].max())) == ("end2end", 0.0)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (1, 0, 2, 3, 4, 5)])
def test_score_and_class_before_the_box_are_refused(order: tuple[int, ...]) -> None:
    rows = torch.cat([torch.tensor([[1.0, 0.9], [4.0, 0.8], [1.0, 0.1]]), SHARES], 1)[:, list(order)]
    with pytest.raises(Refusal, match="names another form"):
        read({"0": rows})


def test_shares_beyond_the_edges_are_shares() -> None:
    boxes = torch.tensor([[-0.1, 0.2, 0.5, 1.2]])
    tensors = {"boxes": boxes, "scores": torch.tensor([0.9]), "labels": torch.tensor([1])}
    assert read(tensors)[1] == [[-20.0, 20.0, 100.0, 120.0]]


def test_masks_without_a_channel() -> None:
    tensors = {
        "boxes": PIXELS,
        "scores": torch.rand(3),
        "labels": torch.ones(3).long(),
        "masks": torch.rand(3, 100, 200),
    }
    _, found = read_boxes(Output(tensors, SIZE, set(), 0, "cxcywh"), "auto", 0.5)
    assert found["masks"].shape == (3, 1, 100, 200)


def grid() -> tuple[torch.Tensor, torch.Tensor]:
    """The cells [2520, 2] of an image of 256x480 pixels, 8, 16 and 32 pixels wide, and how wide each is."""
    cells, strides = [], []
    for stride in (8, 16, 32):
        for row in range(256 // stride):
            for column in range(480 // stride):
                cells.append([column, row])
                strides.append([stride])
    return torch.tensor(cells), torch.tensor(strides)


@pytest.mark.parametrize("kind", ["undecoded", "pixels", "shares"])
@pytest.mark.parametrize("spread", [0.4, 1.5])
def test_rows_of_yolox(kind: str, spread: float) -> None:
    cells, strides = grid()
    torch.manual_seed(0)
    offsets, logarithms = torch.rand(len(cells), 2) * spread, torch.randn(len(cells), 2)
    scores = torch.rand(len(cells), 3)
    centers, sides = (cells + offsets) * strides, logarithms.exp() * strides
    scale = torch.tensor([480.0, 256.0]) if kind == "shares" else torch.ones(2)
    boxes = [offsets, logarithms] if kind == "undecoded" else [centers / scale, sides.clamp(max=256) / scale]
    form, found = read_boxes(
        Output({"output": torch.cat([*boxes, scores], 1)}, (256, 480), set(), 0, "cxcywh"), "auto", 0.5
    )
    expected = torch.cat([centers - sides / 2, centers + sides / 2], 1)
    assert form == "yolov5"
    kept = (sides < 256).all(1)
    assert found["boxes"][kept].numpy() == pytest.approx(expected[kept].numpy(), abs=0.01)
    assert found["scores"].equal(scores[:, 0] * scores[:, 1:].max(1).values)


def test_logits_of_masks_are_cut_at_0() -> None:
    masks = torch.tensor([-3.0, 0.2]).repeat_interleave(8).expand(1, 4, 16)
    tensors = {"boxes": PIXELS[:1], "scores": torch.ones(1), "labels": torch.ones(1).long(), "masks": masks}
    _, found = read_boxes(Output(tensors, SIZE, set(), 0, "cxcywh"), "auto", 0.5)
    assert (found["masks"] > 0.5)[0, 0, 0].tolist() == [False] * 8 + [True] * 8
