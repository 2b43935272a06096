"""Finds objects: their boxes, labels and scores, and masks where the model has some, as JSON or drawn on the image."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from image_requests import (
    CHANNELS,
    COUNT,
    JSON,
    SHARE,
    SIZE,
    ImageHandler,
    Settings,
    class_color,
    main_output,
    one_of,
    optional,
    paired,
    resized,
    run_length,
    wrong_setting,
)
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import batched_nms, box_convert

Color = tuple[int, int, int]
CLASSES = ("a list of labels or class indexes", lambda value: isinstance(value, list) and len(value) > 0)


class DetectionBoxes(ImageHandler):
    """Serves torchvision's detection models, and those that answer rows [N, boxes, 4 + 1 + classes].

    A row holds a box in pixels of what the model sees, the score of there being an object, and one for each class.

    Request: images, in the ways that image_requests.py lists.

    Answer, by the Accept header:

        application/json         {"size": [height, width], "boxes": [[x1, y1, x2, y2], ...], "labels": ["coin", ...],
                                  "scores": [0.98, ...], "masks": [{"size": [height, width], "counts": "..."}, ...]}
                                 best score first, in pixels of the image; "masks" of mask models alone, each COCO's
                                 run-length (pycocotools.mask.decode)
        image/png, image/jpeg    the image with them drawn on it

    Settings, in the section `handler:` of model-config.yaml:

        threshold     0.5        the least score, from 0 to 1
        nms           0.5        of two boxes of a class with more in common than this (intersection over union), the
                                 better one stays; null for models that do it themselves
        classes       null       labels or indexes of the classes to look for, such as [coin]; null for all
        limit         100        how many boxes at most
        resize        null       what the model sees: the shorter side, [height, width], or null for the image as it is
        box_format    cxcywh     of models that answer rows: cxcywh, xywh or xyxy
        mean, std     0 and 1    a number for each of the model's channels, one or three, for pixels from 0 to 1

    max_response_size is 6553500 bytes; say it in that section too where config.properties has another.
    """

    FORMS = (JSON, "image/png", "image/jpeg")
    SETTINGS = Settings(
        threshold=(0.5, SHARE),
        nms=(0.5, optional(SHARE)),
        classes=(None, optional(CLASSES)),
        limit=(100, COUNT),
        resize=(None, SIZE),
        box_format=("cxcywh", one_of("cxcywh", "xywh", "xyxy")),
        mean=((0.0, 0.0, 0.0), CHANNELS),
        std=((1.0, 1.0, 1.0), CHANNELS),
    )

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        self.classes = self.read_classes(self.settings.classes)

    def read_classes(self, wanted: list[str | int] | None) -> Tensor | None:
        """The indexes of the classes to look for."""
        if wanted is None:
            return None
        indexes = {label: int(index) for index, label in (self.mapping or {}).items()}
        if unknown := [one for one in wanted if not isinstance(one, int) and one not in indexes]:
            known = ", ".join(indexes) or "none, for there is no index_to_name.json"
            raise wrong_setting(f"classes: there is no label {unknown[0]!r}, only {known}")
        return torch.tensor([one if isinstance(one, int) else indexes[one] for one in wanted], device=self.device)

    def prepare(self, image: Image.Image) -> Tensor:
        return self.to_tensor(resized(image, self.settings.resize))

    def predict(self, inputs: list[Tensor]) -> list[dict[str, Tensor]]:
        if takes_list(self.model):
            with torch.inference_mode():
                found = self.read(self.model([self.normalized(one) for one in inputs]))
        else:
            found = self.run_model(inputs, self.read)
        return [self.best(one, *pixels.shape[1:]) for pixels, one in paired(inputs, found)]

    def answer(self, image: Image.Image, found: dict[str, Tensor], form: str) -> dict[str, Any] | Image.Image:
        boxes = found["boxes"].cpu().double() * torch.tensor(image.size * 2)
        masks = [self.mask(one, image) for one in found.get("masks", ())]
        answer = {
            "size": [image.height, image.width],
            "boxes": boxes.numpy().round(1).tolist(),
            "labels": [self.label(index) for index in found["labels"].tolist()],
            "scores": found["scores"].cpu().double().numpy().round(4).tolist(),
        }
        if form != JSON:
            return draw(image, answer, masks, [class_color(index + 1) for index in found["labels"].tolist()])
        return {**answer, "masks": [run_length(one) for one in masks]} if "masks" in found else answer

    def read(self, returned: Any) -> list[dict[str, Tensor]]:
        """What the model returned, in the form of torchvision's detection models: a dict an image."""
        if isinstance(returned, tuple) and isinstance(returned[0], dict):
            returned = returned[1]  # a scripted one answers (losses, detections)
        if isinstance(returned, list) and isinstance(returned[0], dict):
            return returned
        return [self.read_rows(rows) for rows in main_output(returned)]

    def read_rows(self, rows: Tensor) -> dict[str, Tensor]:
        boxes, objectness, classes = rows[:, :4], rows[:, 4:5], rows[:, 5:]
        if not classes.shape[1]:
            classes = torch.ones_like(objectness)
        scores, labels = (objectness * classes).max(dim=1)
        return {"boxes": box_convert(boxes, self.settings.box_format, "xyxy"), "labels": labels, "scores": scores}

    def best(self, found: dict[str, Tensor], height: int, width: int) -> dict[str, Tensor]:
        """What the settings leave of it, best score first; boxes as shares of the width and height."""
        found = {name: found[name] for name in ("boxes", "labels", "scores", "masks") if name in found}
        kept = (found["scores"] >= self.settings.threshold) & found["boxes"].isfinite().all(dim=1)
        if self.classes is not None:
            kept &= torch.isin(found["labels"], self.classes)
        found = {name: values[kept] for name, values in found.items()}
        boxes, labels, scores = found["boxes"], found["labels"], found["scores"]
        overlap = 1 if self.settings.nms is None else self.settings.nms
        order = batched_nms(boxes, scores, labels, overlap)[: self.settings.limit]
        found = {name: values[order] for name, values in found.items()}
        sides = torch.tensor([width, height] * 2, device=boxes.device)
        return {**found, "boxes": (found["boxes"] / sides).clamp(0, 1)}

    def mask(self, probability: Tensor, image: Image.Image) -> NDArray[np.bool_]:
        """[1, H', W'] -> [H, W], which of the image's pixels are the object's."""
        enlarged = F.interpolate(probability[None], (image.height, image.width), mode="bilinear")
        return (enlarged[0, 0] > 0.5).cpu().numpy()


def takes_list(model: Any) -> bool:
    """Whether the model wants a list of images, as torchvision's do, and not a batch; its forward says so."""
    forward = getattr(model, "_orig_mod", model).forward  # beneath torch.compile
    if hasattr(forward, "schema"):  # TorchScript's; the first argument is self
        return "List" in str(forward.schema.arguments[1].type)
    first = next(iter(inspect.signature(forward).parameters.values()))
    return "list" in str(first.annotation).lower()


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
