"""segmentation_overlay beside the libraries' own reading: SegFormer, Mask2Former, MaskFormer, smp's, Mask R-CNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import segmentation_models_pytorch as smp
import torch
import transformers
from in_process import asked, made
from PIL import Image
from ready_made_pictures import decode
from transformers_networks import LABELS, network

SIZE = (120, 160)  # height, width
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(SIZE[::-1])
QUERIES = {
    "mask2former": (transformers.Mask2FormerImageProcessor, [384, 384]),  # the size that its own code enlarges masks to
    "maskformer": (transformers.MaskFormerImageProcessor, [96, 128]),
}


def indexed(handler: Any, image: Image.Image = PHOTO) -> npt.NDArray[Any]:
    return np.asarray(asked(handler, image, accept="image/png; mask=indexed"))


def returned(handler: Any, image: Image.Image = PHOTO) -> Any:
    """What the handler's network returns for the image."""
    with torch.inference_mode():
        return handler.model(handler.normalized(handler.prepare(image)[None]))


def of_queries(name: str, task: str) -> tuple[Any, Any]:
    """The handler of a network with sure queries, and transformers' processor for it."""
    found = network(name)
    with torch.no_grad():
        found.class_predictor.weight.mul_(30)
    processor, size = QUERIES[name]
    settings = {"resize": size, "task": task, "threshold": 0.3}
    return made("segmentation_overlay", found, LABELS, **settings), processor()


def test_quarter_size_logits_of_segformer() -> None:
    handler = made("segmentation_overlay", network("segformer"), LABELS, resize=[96, 128])
    processor = transformers.SegformerImageProcessor()
    (own,) = processor.post_process_semantic_segmentation(returned(handler), [SIZE])
    assert (indexed(handler) == own.numpy()).all()
    assert len(own.unique()) > 1
    assert {one["label"] for one in asked(handler, PHOTO)["classes"]} == {f"thing {index}" for index in own.unique()}


@pytest.mark.parametrize("name", QUERIES)
def test_queries_become_class_maps(name: str) -> None:
    handler, processor = of_queries(name, "semantic")
    (own,) = processor.post_process_semantic_segmentation(returned(handler), [SIZE])
    assert (indexed(handler) == own.numpy()).mean() > 0.99


def test_queries_become_objects() -> None:
    handler, processor = of_queries("mask2former", "instance")
    own = processor.post_process_instance_segmentation(
        returned(handler), 0.3, target_sizes=[SIZE], return_binary_maps=True
    )[0]
    answer = asked(handler, PHOTO)
    scores = np.array([one["score"] for one in own["segments_info"]])
    order = np.argsort(-scores, kind="stable")
    assert len(order) > 3
    assert answer["scores"] == pytest.approx(scores[order], abs=1e-4)
    masks = np.stack([decode(mask) for mask in answer["masks"]])
    assert (masks == own["segmentation"].numpy()[order]).mean() > 0.95  # which enlarges masks without smoothing


@pytest.mark.parametrize("name", QUERIES)
def test_queries_become_panoptic_segments(name: str) -> None:
    handler, processor = of_queries(name, "panoptic")
    own = processor.post_process_panoptic_segmentation(
        returned(handler), 0.3, label_ids_to_fuse=set(), target_sizes=[SIZE]
    )[0]["segments_info"]
    answer = asked(handler, PHOTO)
    assert own
    found = sorted(zip(answer["labels"], answer["scores"], strict=True))
    expected = sorted((LABELS[str(one["label_id"])], one["score"]) for one in own)
    assert [label for label, _ in found] == [label for label, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-4)
    assert sum(decode(mask).astype(int) for mask in answer["masks"]).max() == 1  # a pixel belongs to one


@pytest.mark.parametrize("classes", [1, 3])
def test_models_of_smp(classes: int) -> None:
    torch.manual_seed(0)
    unet = smp.Unet("resnet18", encoder_weights=None, classes=classes).eval()
    image = PHOTO.resize((128, 96))
    handler = made("segmentation_overlay", unet, resize=None)
    output = returned(handler, image)
    own = (output.sigmoid() > 0.5)[0, 0] if classes == 1 else output.argmax(1)[0]
    assert (indexed(handler, image) == own.numpy()).all()
    assert len(own.unique()) > 1


class Read(torch.nn.Module):
    """A network with transformers' post-processing, as people put it into their model file."""

    def __init__(self, inner: torch.nn.Module, read: Callable[[Any], Any]) -> None:
        super().__init__()
        self.inner, self.read = inner, read

    def forward(self, x: torch.Tensor) -> Any:
        return self.read(self.inner(x))


@pytest.mark.parametrize("read", ["panoptic", "instance"])
def test_what_post_processing_returns_is_read_as_segments(read: str) -> None:
    handler, processor = of_queries("mask2former", "semantic")
    method = getattr(processor, f"post_process_{read}_segmentation")
    (own,) = method(returned(handler), 0.3, target_sizes=[SIZE])
    handler.model = Read(handler.model, lambda output: method(output, 0.3, target_sizes=[SIZE]))
    answer = asked(handler, PHOTO)
    masks = {one["id"]: (own["segmentation"] == one["id"]).numpy() for one in own["segments_info"]}
    best = sorted(own["segments_info"], key=lambda one: -one["score"])
    best = [one for one in best if masks[one["id"]].any()]  # those of later instances hide some as a whole
    assert len(best) > 1
    assert answer["labels"] == [LABELS[str(one["label_id"])] for one in best]
    for one, mask in zip(best, answer["masks"], strict=True):
        assert (decode(mask) == masks[one["id"]]).all()
    numbers = indexed(handler)
    assert all((numbers[masks[one["id"]]] == row + 1).all() for row, one in enumerate(best))
