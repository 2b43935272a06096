"""What segmentation models return, told by its form alone: objects, segments, maps, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_sizes import enlarged
from model_outputs import by_image
from request_handler import Refusal
from segmentation_forms import ClassMaps, Objects, read_segmentation, winners

SIZE = (12, 16)  # height and width that the model saw


def read(returned: Any) -> ClassMaps | Objects:
    """What a model returned for one image."""
    (tensors,) = by_image(returned, 1)
    return read_segmentation(tensors, SIZE, "semantic", 0.5)


def objects(returned: Any) -> Objects:
    found = read(returned)
    assert isinstance(found, Objects)
    return found


def halves(*sizes: int) -> torch.Tensor:
    """A mask that is 1 in its left half."""
    mask = torch.zeros(*sizes)
    mask[..., : sizes[-1] // 2] = 1
    return mask


def instances(masks: torch.Tensor, **others: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """As Mask R-CNN returns them, but not in the order of their scores."""
    scores = torch.tensor([0.2, 0.8, 0.9])
    return [{**others, "masks": masks, "labels": torch.tensor([3, 2, 1]), "scores": scores}]


def test_objects_are_those_that_score_enough_the_best_first() -> None:
    found = objects(instances(halves(3, 1, 12, 16)))
    assert (found.labels.tolist(), found.form) == ([1, 2], "instances")
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    shown, masks = found.placed((24, 32))
    assert shown.tolist() == [True, True]
    assert masks.mean(axis=(0, 1)).round().tolist() == [1] * 16 + [0] * 16


@pytest.mark.parametrize("shrunk", [1, 4])
def test_maps_whose_channels_come_last(shrunk: int) -> None:
    first = torch.randn(5, SIZE[0] // shrunk, SIZE[1] // shrunk)
    maps = [read(one[None]) for one in (first, first.movedim(0, -1))]
    assert (maps[0].placed(SIZE) == maps[1].placed(SIZE)).all()


def test_indexes_with_a_channel_after_them() -> None:
    indexes = torch.arange(12 * 16).reshape(12, 16) % 5
    assert (read(indexes[None, :, :, None]).placed(SIZE) == indexes.numpy()).all()


def test_depth_is_refused() -> None:
    with pytest.raises(Refusal, match=r"predicted_depth \[12, 16\]: that is neither class maps"):
        read({"predicted_depth": 10 * torch.rand(1, 12, 16)})


def test_each_object_keeps_its_own_mask() -> None:
    masks = torch.zeros(3, 12, 16)
    masks[1, :, 0] = masks[2, :, 1] = 1
    placed = objects(instances(masks)).placed(SIZE)[1]
    assert [one.any(axis=0).nonzero()[0].tolist() for one in placed] == [[1], [0]]


@pytest.mark.parametrize("kind", ["bool", "uint8", "logits", "boxes before"])
def test_masks_of_every_kind(kind: str) -> None:
    masks = halves(3, 12, 16)
    made = {"bool": masks.bool(), "uint8": masks.byte(), "logits": 8 * masks - 7.8}.get(kind, masks)
    others = {"boxes": torch.zeros(3, 4)} if kind == "boxes before" else {}
    placed = objects(instances(made, **others)).placed(SIZE)[1]
    assert (placed == halves(2, 12, 16).bool().numpy()).all()


#: Segments 4 and 7 of a map, of which 4 is class 17 and sure, and 7 is class 2.
MAP = torch.zeros(12, 16, dtype=torch.int32)
MAP[:, :4], MAP[:, 4:8] = 4, 7
ABOUT = [{"id": 7, "label_id": 2, "score": 0.75, "was_fused": False}, {"id": 4, "label_id": 17, "score": 1.0}]
MASKS = {
    "segmentation": torch.stack([MAP == 7, MAP == 4]),
    "segments_info": [{**ABOUT[0], "id": 0}, {**ABOUT[1], "id": 1}],
}
OF_DETECTRON2 = [
    {"id": 7, "isthing": True, "category_id": 2, "score": 0.75},
    {"id": 4, "isthing": False, "category_id": 17, "area": 48},
]


@pytest.mark.parametrize(
    "returned",
    [
        {"segmentation": MAP, "segments_info": ABOUT},
        [{"segmentation": MAP, "segments_info": ABOUT}],
        {"segmentation": MAP, "segments_info": [*ABOUT, {"id": 7, "label_id": 2, "score": 0.5, "was_fused": True}]},
        MASKS,
        [{"sem_seg": torch.zeros(3, 12, 16), "panoptic_seg": (MAP, OF_DETECTRON2)}],
        {"panoptic_seg": (MAP, OF_DETECTRON2)},
        (MAP, OF_DETECTRON2),
    ],
    ids=["bare", "list", "fused", "a mask each", "Detectron2", "Detectron2's dict", "Detectron2's pair"],
)
def test_panoptic_segments_are_their_labels_and_masks(returned: Any) -> None:
    found = objects(returned)
    assert (found.labels.tolist(), found.scores.tolist()) == ([17, 2], [1.0, 0.75])
    assert (found.placed(SIZE)[1] == torch.stack([MAP == 4, MAP == 7]).numpy()).all()


@pytest.mark.parametrize("empty", [-torch.ones(12, 16), MAP * 0])
def test_no_segments_are_no_objects(empty: torch.Tensor) -> None:
    found = objects({"segmentation": empty, "segments_info": []})
    assert len(found.labels) == 0
    assert found.placed(SIZE)[1].shape == (0, 12, 16)


def test_segments_of_several_images() -> None:
    one = {"segmentation": MAP, "segments_info": ABOUT}
    both = by_image([one, {"segmentation": -torch.ones(5, 5), "segments_info": []}], 2)
    assert [len(tensors["labels"]) for tensors in both] == [2, 0]


def test_class_maps_of_several_images_in_a_list() -> None:
    both = by_image([halves(12, 16).long(), halves(5, 8).long()], 2)
    placed = [read_segmentation(tensors, SIZE, "semantic", 0.5) for tensors in both]
    assert [one.placed((4, 4)).tolist() for one in placed if isinstance(one, ClassMaps)] == [[[1, 1, 0, 0]] * 4] * 2


@pytest.mark.parametrize(
    "found", [halves(1, 12, 16).long(), halves(1, 1, 12, 16).int(), halves(1, 12, 16)], ids=["long", "int", "float"]
)
def test_class_indexes_and_maps_without_a_channel(found: torch.Tensor) -> None:
    maps = read(found)
    assert isinstance(maps, ClassMaps)
    assert (maps.placed(SIZE) == halves(12, 16).numpy()).all()


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        read(torch.zeros(1, 7))
    sentence = "The model returns 0 [7]: that is neither class maps nor masks of queries or objects."
    assert (refused.value.status, str(refused.value)) == (500, sentence)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 9999), st.tuples(*[st.integers(1, 6)] * 3), st.tuples(*[st.integers(1, 40)] * 2))
def test_the_class_map_is_that_of_all_classes(seed: int, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    assert (ClassMaps(scores, "maps").placed(size) == enlarged(scores, size).argmax(0).numpy()).all()


def test_a_class_that_wins_between_places_alone_is_found() -> None:
    scores = torch.tensor([[[1.0, 0]], [[0, 1]], [[0.9, 0.9]], [[-0.1, -0.1]]])
    assert winners(scores).tolist() == [0, 1, 2]
