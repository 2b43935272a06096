"""Says which pixel belongs to which class: as JSON, painted over the image, or as a map of class indexes."""

from __future__ import annotations

from typing import Any

import numpy as np
from handler_settings import CHANNELS, SHARE, SIZE, Settings, one_of
from image_answers import JSON, class_color, run_length
from image_handler import IMAGENET_MEAN, IMAGENET_STD, ImageHandler
from image_sizes import resized
from numpy.typing import NDArray
from PIL import Image
from segmentation_forms import TASKS, ClassMaps, Objects, read_segmentation
from torch import Tensor

INDEXED = "image/png; mask=indexed"
INDEX = ("a class index from 0 on, or null", lambda value: value is None or (type(value) is int and value >= 0))


class SegmentationOverlay(ImageHandler):
    """Serves segmentation models: torchvision's, those of segmentation-models-pytorch, SegFormer and its kin, whose
    maps are smaller than the image, and those of queries, objects or panoptic segments, such as Mask2Former, Mask R-CNN
    and what transformers' post-processing returns. segmentation_forms.py lists the forms of output that it knows; which
    one it took, the header output-form says.

    Request: images, in the ways that image_requests.py lists.

    Answer, by the Accept header:

        application/json           {"size": [height, width],
                                    "classes": [{"index": 1, "label": "coin", "pixels": 40310,
                                                 "mask": {"size": [height, width], "counts": "..."}}, ...]}
                                   the classes that occur; a mask is COCO's run-length (pycocotools.mask.decode)
                                   of objects and panoptic segments instead, the best first:
                                   {"size": [height, width], "labels": [...], "scores": [...], "masks": [...]}
        image/png, image/jpeg      the image with the classes, or the objects, painted over it
        image/png; mask=indexed    the mask alone: a PNG whose pixels are class indexes, or objects' numbers from 1 on

    Settings, in the section `handler:` of model-config.yaml:

        resize        520           the shorter side the model sees, [height, width], or null for the image's own
        mean, std     ImageNet's    a number for each of the model's channels, one or three, for pixels from 0 to 1
        task          semantic      what the queries of Mask2Former and its kin become: semantic, instance or panoptic
        threshold     0.5           the least score of objects and segments; of a model with a single map, the
                                    probability above which a pixel is of class 1
        background    0             the class that is not painted; null paints all
        opacity       0.5           of the paint, from 0 to 1

    max_response_size is 6553500 bytes; say it in that section too where config.properties has another.
    """

    FORMS = (JSON, "image/png", "image/jpeg", INDEXED)
    SETTINGS = Settings(
        resize=(520, SIZE),
        mean=(IMAGENET_MEAN, CHANNELS),
        std=(IMAGENET_STD, CHANNELS),
        task=("semantic", one_of(*TASKS)),
        threshold=(0.5, SHARE),
        background=(0, INDEX),
        opacity=(0.5, SHARE),
    )

    def prepare(self, image: Image.Image) -> Tensor:
        return self.to_tensor(resized(image, self.settings.resize))

    def predict(self, inputs: list[Tensor]) -> list[ClassMaps | Objects]:
        task, threshold = self.settings.task, self.settings.threshold
        return [
            read_segmentation(tensors, (pixels.shape[1], pixels.shape[2]), task, threshold)
            for pixels, tensors in zip(inputs, self.run_model(inputs))
        ]

    def headers(self, prediction: ClassMaps | Objects) -> dict[str, str]:
        return {"output-form": prediction.form}

    def answer(self, image: Image.Image, found: ClassMaps | Objects, form: str) -> dict[str, Any] | Image.Image:
        size = (image.height, image.width)
        if isinstance(found, ClassMaps):
            mask, background = found.placed(size), self.settings.background
            body = {"classes": [self.entry(mask, int(index)) for index in np.unique(mask)]} if form == JSON else {}
        else:
            shown, masks = found.placed(size)
            mask, background = numbered(masks), 0
            body = {
                "labels": [self.label(index) for index in found.labels[shown].tolist()],
                "scores": found.scores[shown].cpu().double().numpy().round(4).tolist(),
                "masks": [run_length(one) for one in masks] if form == JSON else [],
            }
        if form == JSON:
            return {"size": list(size), **body}
        return indexed(mask) if form == INDEXED else self.overlay(image, mask, background)

    def entry(self, mask: NDArray[Any], index: int) -> dict[str, Any]:
        pixels = mask == index
        return {
            "index": index,
            "label": self.label(index),
            "pixels": int(pixels.sum()),
            "mask": run_length(pixels),
        }

    def overlay(self, image: Image.Image, mask: NDArray[Any], background: int | None) -> Image.Image:
        paint = indexed(mask.astype(np.uint8)).convert("RGB")
        painted = Image.blend(image, paint, self.settings.opacity)
        return Image.composite(painted, image, Image.fromarray(mask != background))


def numbered(masks: NDArray[np.bool_]) -> NDArray[Any]:
    """Masks [N, H, W] as one [H, W] of their numbers from 1 on, the first on top."""
    numbers = np.zeros(masks.shape[1:], np.uint8 if len(masks) < 256 else np.uint16)
    for index in reversed(range(len(masks))):
        numbers[masks[index]] = index + 1
    return numbers


def indexed(mask: NDArray[Any]) -> Image.Image:
    image = Image.fromarray(mask)
    if image.mode == "L":
        # the pixels stay class indexes, and viewers show colors, black for 0
        image.putpalette([0, 0, 0, *(part for index in range(1, 256) for part in class_color(index))])
    return image
