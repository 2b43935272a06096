"""What was found in an image, in the image's own pixels, and drawn on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from image_sizes import enlarged, fitted_box
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Color = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom
_TOGETHER = 256  # boxes that are compared with all at a time


@dataclass
class Detected:
    """What was found in an image.

    form: of the model's output, as detection_forms.py names it.
    found: boxes [N, 4], labels [N], scores [N] and more, in pixels of what the model saw, the best score first.
    size: (height, width) of what the model saw.
    letterbox: whether the image lies in its middle, with gray beside it.
    """

    form: str
    found: dict[str, Tensor]
    size: tuple[int, int]
    letterbox: bool

    def region(self, image: Image.Image) -> tuple[int, int, int, int]:
        """Where the image lies in what the model saw: left, top, right, bottom."""
        height, width = self.size
        return fitted_box(image.size, (width, height)) if self.letterbox else (0, 0, width, height)

    def placed(self, points: Tensor, image: Image.Image) -> Tensor:
        """Points [N, K, x and y and more] in pixels of the image, inside it."""
        left, top, right, bottom = self.region(image)
        start, sides = torch.tensor([left, top]), torch.tensor([right - left, bottom - top])
        points, limit = points.cpu().double(), torch.tensor(image.size)
        inside = ((points[..., :2] - start) / sides * limit).clamp(torch.zeros(2), limit)
        return torch.cat([inside, points[..., 2:]], dim=-1)

    def boxes(self, image: Image.Image) -> Tensor:
        """[N, 4]: x1, y1, x2, y2 in pixels of the image."""
        return self.placed(self.found["boxes"].unflatten(1, (2, 2)), image).flatten(1)

    def masks(self, image: Image.Image) -> list[NDArray[np.bool_]]:
        """[H, W] of each, which of the image's pixels are its own; none where the model has no masks."""
        masks = [self.mask(one, image) for one in self.found.get("masks", ())]
        if "coefficients" in self.found:
            return [inside(mask, box) for mask, box in zip(masks, self.boxes(image).ceil().int().tolist())]
        return masks

    def mask(self, values: Tensor, image: Image.Image) -> NDArray[np.bool_]:
        """[1, H', W'], above 0.5 where the object is -> [H, W]."""
        if self.letterbox:
            left, top, right, bottom = self.region(image)
            values = enlarged(values, self.size)[:, top:bottom, left:right]
        return (enlarged(values, (image.height, image.width))[0] > 0.5).cpu().numpy()


def inside(mask: NDArray[np.bool_], box: list[int]) -> NDArray[np.bool_]:
    """What a box holds of a mask [H, W]."""
    left, top, right, bottom = box
    cut = np.zeros_like(mask)
    cut[top:bottom, left:right] = mask[top:bottom, left:right]
    return cut


def oriented_nms(polygons: Tensor, scores: Tensor, labels: Tensor, overlap: float) -> Tensor:
    """Which boxes stay, the best first: those that no better one of their class has more in common with.

    What oriented boxes [N, 4, 2] have in common is told by normal distributions with their middle and spread, and one
    that falls itself counts, too: Ultralytics' batch_probiou and fast_nms, https://arxiv.org/abs/2106.06072.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes, labels = polygons[order].double(), labels[order]
    middle, across, down = boxes.mean(1), (boxes[:, 0] - boxes[:, 3]) / 2, (boxes[:, 0] - boxes[:, 1]) / 2
    spread = (across[:, :, None] * across[:, None] + down[:, :, None] * down[:, None]) / 3  # [N, 2, 2]
    ranks, stays = torch.arange(len(order), device=order.device), []
    for some in ranks.split(_TOGETHER):
        common = _in_common(middle[some, None], spread[some, None], middle[None], spread[None]) > overlap
        stays.append(~(common & (labels[some, None] == labels) & (ranks < some[:, None])).any(1))
    return order[torch.cat(stays)]


def _in_common(middle: Tensor, spread: Tensor, others_middle: Tensor, others_spread: Tensor) -> Tensor:
    """1 less the Hellinger distance of normal distributions [..., 2] and [..., 2, 2]."""
    tiny = 1e-7
    both = spread + others_spread
    xx, yy, xy = both[..., 0, 0], both[..., 1, 1], both[..., 0, 1]
    x, y = (middle - others_middle).unbind(-1)
    area = xx * yy - xy**2
    own = _determinant(spread).clamp(min=0) * _determinant(others_spread).clamp(min=0)
    apart = (xx * y**2 + yy * x**2 - 2 * xy * x * y) / (area + tiny) / 4
    unlike = (area / (4 * own.sqrt() + tiny) + tiny).log() / 2
    return 1 - (1 - (-(apart + unlike).clamp(tiny, 100)).exp() + tiny).sqrt()


def _determinant(spread: Tensor) -> Tensor:
    return spread[..., 0, 0] * spread[..., 1, 1] - spread[..., 0, 1] ** 2


def rounded(values: Tensor, digits: int) -> list[Any]:
    return values.cpu().double().numpy().round(digits).tolist()


def draw(image: Image.Image, answer: dict[str, Any], masks: list[NDArray[Any]], colors: list[Color]) -> Image.Image:
    """The image with what was found drawn on it, the best on top."""
    image = image.copy()
    for mask, color in reversed(list(zip(masks, colors))):
        painted = Image.blend(image, Image.new("RGB", image.size, color), 0.5)
        image = Image.composite(painted, image, Image.fromarray(mask))
    pen, line = ImageDraw.Draw(image), max(2, max(image.size) // 400)
    font = ImageFont.load_default(6 * line)
    for box, color in reversed(list(zip(answer["boxes"], colors))):
        pen.rectangle(box, outline=color, width=line)
    taken: list[Rectangle] = []
    for box, label, score, color in zip(answer["boxes"], answer["labels"], answer["scores"], colors):
        text = f"{label} {score:.2f}"
        width, height = (math.ceil(side) for side in pen.textbbox((0, 0), text, font=font)[2:])
        x, y, right, bottom = place = label_place(box, (width, height), image.size, line, taken)
        taken.append(place)
        pen.rectangle((x, y, right - 1, bottom - 1), fill=color)
        bright = 0.3 * color[0] + 0.6 * color[1] + 0.1 * color[2] > 150
        pen.text((x, y), text, fill="black" if bright else "white", font=font)
    return image


def label_place(
    box: list[float], size: tuple[int, int], image_size: tuple[int, int], line: int, taken: list[Rectangle]
) -> Rectangle:
    """Where a label of a size (width, height) stands: above its box, else within it or below; inside the image, and
    off the labels before it where there is room."""
    width, height = size
    left, top, _, bottom = (round(side) for side in box)
    x = max(0, min(left, image_size[0] - width))
    tops = (top - height, top + line, bottom - line - height + 1, bottom + 1)
    inside = [(x, y, x + width, y + height) for y in tops if 0 <= y <= image_size[1] - height]
    inside = inside or [(x, 0, x + width, height)]
    free = (one for one in inside if not any(_meet(one, other) for other in taken))
    return next(free, inside[0])


def _meet(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
