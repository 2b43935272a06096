"""segmentation_overlay beside the libraries' own reading: SegFormer, Mask2Former, MaskFormer, smp's, Mask R-CNN."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import segmentation_models_pytorch as smp
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from image_sizes import enlarged
from in_process import asked, made
from PIL import Image
from ready_made_pictures import decode
from segmentation_forms import ClassMaps, winners
from torch import nn
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


class Fixed(nn.Module):
    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found

    def forward(self, x: torch.Tensor) -> Any:
        return self.found


def halves(*sizes: int) -> torch.Tensor:
    """A mask that is 1 in its left half."""
    mask = torch.zeros(*sizes)
    mask[..., : sizes[-1] // 2] = 1
    return mask


def test_objects_of_torchvision() -> None:
    found = {"boxes": torch.zeros(3, 4), "labels": torch.tensor([1, 2, 3]), "scores": torch.tensor([0.9, 0.8, 0.2])}
    handler = made("segmentation_overlay", Fixed([{**found, "masks": halves(3, 1, 12, 16)}]), LABELS)
    answer = asked(handler, PHOTO)
    assert (answer["labels"], answer["scores"]) == (["thing 1", "thing 2"], [0.9, 0.8])
    assert decode(answer["masks"][0]).mean(axis=0).round().tolist() == [1] * 80 + [0] * 80
    assert np.unique(indexed(handler)).tolist() == [0, 1]  # the better one is on top


@pytest.mark.parametrize("found", [halves(1, 12, 16).long(), halves(1, 1, 12, 16).int(), halves(1, 12, 16)], ids=str)
def test_class_indexes_and_maps_without_a_channel(found: torch.Tensor) -> None:
    assert indexed(made("segmentation_overlay", Fixed(found))).mean(axis=0).round().tolist() == [1] * 80 + [0] * 80


def test_what_is_no_map_is_refused() -> None:
    answer = asked(made("segmentation_overlay", Fixed(torch.zeros(1, 7))), PHOTO)
    sentence = "The model returns 0 [7]: that is neither class maps nor masks of queries or objects."
    assert (answer["code"], answer["message"]) == (500, sentence)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 9999), st.tuples(*[st.integers(1, 6)] * 3), st.tuples(*[st.integers(1, 40)] * 2))
def test_the_class_map_is_that_of_all_classes(seed: int, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    assert (ClassMaps(scores, "maps").placed(size) == enlarged(scores, size).argmax(0).numpy()).all()


def test_a_class_that_wins_between_places_alone_is_found() -> None:
    scores = torch.tensor([[[1.0, 0]], [[0, 1]], [[0.9, 0.9]], [[-0.1, -0.1]]])
    assert winners(scores).tolist() == [0, 1, 2]
