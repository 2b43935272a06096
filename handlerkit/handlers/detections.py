"""What was found in an image, in the image's own pixels, and drawn on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from image_sizes import enlarged, fitted_box
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Color = tuple[int, int, int]


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
    rows = list(zip(answer["boxes"], answer["labels"], answer["scores"], colors))
    for box, label, score, color in reversed(rows):
        pen.rectangle(box, outline=color, width=line)
        text = f"{label} {score:.2f}"
        width, height = pen.textbbox((0, 0), text, font=font)[2:]
        # above the box, or as near to that as the image reaches
        x, y = max(0, min(box[0], image.width - width)), max(0, box[1] - height)
        pen.rectangle((x, y, x + width, y + height), fill=color)
        bright = 0.3 * color[0] + 0.6 * color[1] + 0.1 * color[2] > 150
        pen.text((x, y), text, fill="black" if bright else "white", font=font)
    return image
