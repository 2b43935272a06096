"""What segmentation models return for an image, told by its form.

    maps         [C, H, W], a map for each class, of whatever size, or [H, W, C]; a single one says how likely class 1
                 is, or holds the classes' indexes
    queries      class_queries_logits [Q, classes + 1] and masks_queries_logits [Q, H, W]: Mask2Former, MaskFormer,
                 OneFormer and EoMT; logits and pred_masks of DETR
    instances    labels [N], scores [N] and masks [N, 1, H, W] or [N, H, W]: torchvision's Mask R-CNN
                 also panoptic segments, a map [H, W] of their numbers and a list of what each is: what transformers'
                 post-processing returns, and Detectron2's panoptic_seg

Queries become class maps, objects or panoptic segments as transformers' image processors make them of Mask2Former's,
https://github.com/huggingface/transformers/blob/main/src/transformers/models/mask2former, but that masks are first
enlarged to what the model saw, which is 384x384 there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from image_sizes import enlarged
from model_outputs import above_half, main_output
from numpy.typing import NDArray
from request_handler import Refusal
from torch import Tensor
from torch.nn import functional as F

TASKS = ("semantic", "instance", "panoptic")
_LEAST_SEEN = 0.8  # of a panoptic segment's mask; one that better ones hide more of is dropped
_CELLS = 1 << 16  # looked at together


@dataclass
class ClassMaps:
    """Scores [C, H', W'] of each class at each place; the best one counts."""

    scores: Tensor
    form: str

    def placed(self, size: tuple[int, int]) -> NDArray[Any]:
        """[H, W], the index of the best class at each pixel of (height, width)."""
        found = winners(self.scores)  # enlarging no others saves most of the time and memory
        best = found[enlarged(self.scores[found], size).argmax(0)]
        return best.cpu().numpy().astype(np.uint8 if len(self.scores) <= 256 else np.uint16)


@dataclass
class Objects:
    """N objects, the best first: labels [N], scores [N], and masks [N, H', W'], above 0.5 where each is."""

    labels: Tensor
    scores: Tensor
    masks: Tensor
    form: str

    def placed(self, size: tuple[int, int]) -> tuple[Tensor, NDArray[np.bool_]]:
        """Which of them (height, width) shows, and the masks [N, H, W] of those."""
        masks = enlarged(self.masks, size) > 0.5
        shown = masks.flatten(1).any(1)
        return shown, masks[shown].cpu().numpy()


class Panoptic(Objects):
    """As Objects, but each pixel belongs to one of them at most."""

    def placed(self, size: tuple[int, int]) -> tuple[Tensor, NDArray[np.bool_]]:
        weighed = enlarged(self.masks, size) * self.scores[:, None, None]
        seen = torch.zeros(weighed.shape, dtype=torch.bool, device=weighed.device)
        if len(seen):
            seen.scatter_(0, weighed.argmax(0, keepdim=True), True)
        whole, areas = (weighed >= 0.5).flatten(1).sum(1), seen.flatten(1).sum(1)
        shown = (whole > 0) & (areas > _LEAST_SEEN * whole)
        return shown, seen[shown].cpu().numpy()


def read_segmentation(
    tensors: dict[str, Tensor], size: tuple[int, int], task: str, threshold: float
) -> ClassMaps | Objects:
    """What the model returned for an image, of which it saw (height, width).

    task: what queries become. threshold: the least score of objects and segments; of a single map, the probability
    above which a place is of class 1. Raises Refusal if the form is none of those above.
    """
    if {"labels", "scores", "masks"} <= tensors.keys():
        order = tensors["scores"].argsort(descending=True, stable=True)
        order = order[tensors["scores"][order] >= threshold]
        masks = above_half(tensors["masks"]).flatten(0, -3)
        return Objects(tensors["labels"][order], tensors["scores"][order], masks[order], "instances")
    if (queries := _queries(tensors)) is not None:
        return _from_queries(*queries, size, task, threshold)
    maps = main_output(tensors)
    if maps.ndim == 2:
        maps = maps[None]
    elif maps.ndim == 3 and _unlike(maps.shape[:2], size) < min(max(size), _unlike(maps.shape[1:], size)):
        maps = maps.movedim(2, 0)  # TensorFlow's channels come last
    if maps.ndim != 3 or any("depth" in name for name in tensors):
        shapes = ", ".join(f"{name} {list(one.shape)}" for name, one in tensors.items() if "." not in name)
        raise Refusal(500, f"The model returns {shapes}: that is neither class maps nor masks of queries or objects.")
    if len(maps) == 1 and not maps.is_floating_point():  # the classes' indexes
        maps = F.one_hot(maps[0].long().clamp(min=0)).movedim(2, 0).float()
    elif len(maps) == 1:
        probability = maps if maps.min() >= 0 and maps.max() <= 1 else maps.sigmoid()
        maps = torch.cat([torch.full_like(probability, threshold), probability])
    return ClassMaps(maps, "maps")


def _unlike(one: Sequence[int], other: Sequence[int]) -> int:
    """How much the shapes of two (height, width) differ: less than a side if only by rounding."""
    return abs(one[0] * other[1] - one[1] * other[0])


def _queries(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """The logits [Q, classes + 1] and masks [Q, H, W] of queries, named or the first two of a tuple."""
    logits, masks = (*(one for name, one in tensors.items() if "." not in name), None, None)[:2]
    logits = tensors.get("class_queries_logits", tensors.get("logits", tensors.get("pred_logits", logits)))
    masks = tensors.get("masks_queries_logits", tensors.get("pred_masks", masks))
    if logits is None or masks is None or (logits.ndim, masks.ndim) != (2, 3) or len(logits) != len(masks):
        return None
    return logits, masks


def _from_queries(
    logits: Tensor, masks: Tensor, size: tuple[int, int], task: str, threshold: float
) -> ClassMaps | Objects:
    chances, masks = logits.softmax(1), enlarged(masks, size)
    if task == "semantic":
        return ClassMaps(torch.einsum("qc,qhw->chw", chances[:, :-1], masks.sigmoid()), "queries")
    if task == "panoptic":
        scores, labels = chances.max(1)
        rows = torch.arange(len(logits), device=logits.device)
        kept = (labels < logits.shape[1] - 1) & (scores > threshold)
    else:
        scores, index = chances[:, :-1].flatten().topk(len(logits))
        rows, labels = index // (logits.shape[1] - 1), index % (logits.shape[1] - 1)
        within = (masks[rows] > 0).flatten(1)
        scores = scores * (masks[rows].sigmoid().flatten(1) * within).sum(1) / (within.sum(1) + 1e-6)
        kept = scores >= threshold
    order = scores.argsort(descending=True, stable=True)
    order = order[kept[order]]
    kind = Panoptic if task == "panoptic" else Objects
    return kind(labels[order], scores[order], masks[rows[order]].sigmoid(), "queries")


def winners(scores: Tensor) -> Tensor:
    """The classes that may be the best somewhere in a bilinear enlargement of [C, H, W], in their order.

    They are the best at a place, or between four places of several best classes, unless one of those is above them at
    all four.
    """
    corners = F.pad(scores[None].float(), (0, 1, 0, 1), mode="replicate")[0]
    best = corners.argmax(0)
    four = torch.stack([best[:-1, :-1], best[:-1, 1:], best[1:, :-1], best[1:, 1:]])
    found = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    found[best.unique()] = True
    for rows, columns in zip(*(part.split(_CELLS) for part in (four != four[0]).any(0).nonzero(as_tuple=True))):
        cells = torch.stack([corners[:, rows + down, columns + right] for down in (0, 1) for right in (0, 1)])
        rest = cells[:, ~found]
        beaten = torch.zeros(rest.shape[1:], dtype=torch.bool, device=scores.device)
        for top in four[:, rows, columns]:
            beaten |= (cells.gather(1, top.expand(4, 1, -1)) > rest).all(0)
        found[~found] = ~beaten.all(1)
    return found.nonzero()[:, 0]
