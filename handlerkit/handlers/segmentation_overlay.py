"""Says which pixel belongs to which class: as JSON, painted over the image, or as a map of class indexes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from image_requests import (
    CHANNELS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    JSON,
    SHARE,
    SIZE,
    ImageHandler,
    Settings,
    class_color,
    main_output,
    resized,
    run_length,
)
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

INDEXED = "image/png; mask=indexed"
INDEX = ("a class index from 0 on, or null", lambda value: value is None or (type(value) is int and value >= 0))


class SegmentationOverlay(ImageHandler):
    """Serves torchvision's segmentation models, and any that answers [N, C, H, W], or a dict or tuple of such.

    Request: images, in the ways that image_requests.py lists.

    Answer, by the Accept header:

        application/json           {"size": [height, width],
                                    "classes": [{"index": 1, "label": "coin", "pixels": 40310,
                                                 "mask": {"size": [height, width], "counts": "..."}}, ...]}
                                   the classes that occur; a mask is COCO's run-length (pycocotools.mask.decode)
        image/png, image/jpeg      the image with the classes painted over it
        image/png; mask=indexed    the mask alone: a PNG whose pixels are class indexes

    Settings, in the section `handler:` of model-config.yaml:

        resize        520           the shorter side the model sees, [height, width], or null for the image's own
        mean, std     ImageNet's    a number for each of the model's channels, one or three, for pixels from 0 to 1
        threshold     0.5           of a model with a single map: the probability above which a pixel is of class 1
        background    0             the class that is not painted; null paints all
        opacity       0.5           of the paint, from 0 to 1

    max_response_size is 6553500 bytes; say it in that section too where config.properties has another.
    """

    FORMS = (JSON, "image/png", "image/jpeg", INDEXED)
    SETTINGS = Settings(
        resize=(520, SIZE),
        mean=(IMAGENET_MEAN, CHANNELS),
        std=(IMAGENET_STD, CHANNELS),
        threshold=(0.5, SHARE),
        background=(0, INDEX),
        opacity=(0.5, SHARE),
    )

    def prepare(self, image: Image.Image) -> Tensor:
        return self.to_tensor(resized(image, self.settings.resize))

    def predict(self, inputs: list[Tensor]) -> list[Tensor]:
        return self.run_model(inputs, main_output)

    def answer(self, image: Image.Image, scores: Tensor, form: str) -> dict[str, Any] | Image.Image:
        mask = self.class_map(scores, image)
        if form == JSON:
            return {"size": list(mask.shape), "classes": [self.entry(mask, int(index)) for index in np.unique(mask)]}
        return self.indexed(mask) if form == INDEXED else self.overlay(image, mask)

    def class_map(self, scores: Tensor, image: Image.Image) -> NDArray[Any]:
        """Scores [C, H', W'] -> [H, W], the index of the best class at each of the image's pixels."""
        if len(scores) == 1:
            probability = scores if scores.min() >= 0 and scores.max() <= 1 else scores.sigmoid()
            scores = torch.cat([torch.full_like(probability, self.settings.threshold), probability])
        found = torch.unique(scores.argmax(0))  # enlarging no others saves most of the time and memory
        enlarged = F.interpolate(scores[None, found], (image.height, image.width), mode="bilinear")[0]
        return found[enlarged.argmax(0)].cpu().numpy().astype(np.uint8 if len(scores) <= 256 else np.uint16)

    def entry(self, mask: NDArray[Any], index: int) -> dict[str, Any]:
        pixels = mask == index
        return {
            "index": index,
            "label": self.label(index),
            "pixels": int(pixels.sum()),
            "mask": run_length(pixels),
        }

    def indexed(self, mask: NDArray[Any]) -> Image.Image:
        image = Image.fromarray(mask)
        if image.mode == "L":
            # the pixels stay class indexes, and viewers show colors
            image.putpalette([part for index in range(256) for part in class_color(index)])
        return image

    def overlay(self, image: Image.Image, mask: NDArray[Any]) -> Image.Image:
        paint = self.indexed(mask.astype(np.uint8)).convert("RGB")
        painted = Image.blend(image, paint, self.settings.opacity)
        return Image.composite(painted, image, Image.fromarray(mask != self.settings.background))
