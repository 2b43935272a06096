"""Finds objects: their boxes, labels and scores, and masks where the model has some, as JSON or drawn on the image."""

from __future__ import annotations

import logging
from typing import Any

import torch
from detection_forms import BOX_FORMS, NMS_DONE, Output, masks_of, prototypes, read_boxes
from detections import Detected, draw, oriented_nms, rounded
from handler_settings import CHANNELS, COUNT, SHARE, SIZE, Settings, one_of, optional, wrong_setting
from image_answers import JSON, class_color, run_length
from image_handler import ImageHandler
from image_sizes import letterboxed, resized
from model_outputs import class_names
from PIL import Image
from torch import Tensor
from torchvision.ops import batched_nms

logger = logging.getLogger(__name__)

NMS = ("a number from 0 to 1, null, or auto", lambda value: value in ("auto", None) or SHARE[1](value))
SQUARE = ("[height, width], the side of a square, or null", SIZE[1])
CLASSES = ("a list of labels or class indexes", lambda value: isinstance(value, list) and len(value) > 0)


class DetectionBoxes(ImageHandler):
    """Serves detection models: torchvision's, YOLO's from v5 on with their heads for masks, keypoints and oriented
    boxes, DETR and those that came after it. detection_forms.py lists the forms of output that it knows; the header
    output-form and the log say which one it took.

    Request: images, in the ways that image_requests.py lists.

    Answer, by the Accept header:

        application/json         {"size": [height, width], "boxes": [[x1, y1, x2, y2], ...], "labels": ["coin", ...],
                                  "scores": [0.98, ...], "masks": [{"size": [height, width], "counts": "..."}, ...]}
                                 best score first, in pixels of the image; "masks" of mask models alone, each COCO's
                                 run-length (pycocotools.mask.decode); "keypoints" [[[x, y, score], ...], ...] of pose
                                 models, "polygons" [[[x, y], ...], ...] of oriented boxes
        image/png, image/jpeg    the image with boxes and masks drawn on it

    Settings, in the section `handler:` of model-config.yaml:

        form          auto       of the model's output: torchvision, detr, rtdetr, end2end, yolov8 or yolov5
        threshold     0.5        the least score, from 0 to 1
        nms           auto       of two boxes of a class with more in common than this (intersection over union, of
                                 oriented ones Ultralytics' ProbIoU), the better one stays; null keeps all; auto is 0.5,
                                 and null for detr, rtdetr and end2end, which need none
        classes       null       labels or indexes of the classes to look for, such as [coin]; null for all
        limit         100        how many boxes at most
        resize        null       what the model sees: the shorter side, [height, width], or null for the image as it is
        letterbox     null       instead of resize: [height, width], or the side of a square such as 640, that the image
                                 is fitted into as a whole, with gray beside it, as YOLO's own code does it
        box_format    cxcywh     of YOLO's rows: cxcywh, xywh or xyxy
        mean, std     0 and 1    a number for each of the model's channels, one or three, for pixels from 0 to 1

    An ONNX file that takes one size of images is given that size where resize and letterbox say nothing, and pixels
    from 0 to 255 as they are if it takes whole numbers. It may take orig_target_sizes or pixel_mask beside images.

    max_response_size is 6553500 bytes; say it in that section too where config.properties has another.
    """

    FORMS = (JSON, "image/png", "image/jpeg")
    SETTINGS = Settings(
        form=("auto", one_of("auto", *BOX_FORMS)),
        threshold=(0.5, SHARE),
        nms=("auto", NMS),
        classes=(None, optional(CLASSES)),
        limit=(100, COUNT),
        resize=(None, SIZE),
        letterbox=(None, SQUARE),
        box_format=("cxcywh", one_of("cxcywh", "xywh", "xyxy")),
        mean=((0.0, 0.0, 0.0), CHANNELS),
        std=((1.0, 1.0, 1.0), CHANNELS),
    )

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        self.classes = self.read_classes(self.settings.classes)
        self.networks, self.form = class_names(self.model), ""
        side = self.settings.letterbox
        self.letterbox = (side, side) if isinstance(side, int) else side and tuple(reversed(side))

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
        whole = letterboxed(image, self.letterbox) if self.letterbox else resized(image, self.settings.resize)
        return self.to_tensor(whole)

    def predict(self, inputs: list[Tensor]) -> list[Detected]:
        seen = [(pixels.shape[1], pixels.shape[2]) for pixels in inputs]
        return [self.read(tensors, size) for tensors, size in zip(self.run_model(inputs), seen)]

    def read(self, tensors: dict[str, Tensor], size: tuple[int, int]) -> Detected:
        """The boxes in what the model returned for an image, of which it saw (height, width)."""
        labels = max((int(index) + 1 for index in self.mapping or {} if index.isdigit()), default=0)
        output = Output(tensors, size, self.networks, labels, self.settings.box_format)
        form, found = read_boxes(output, self.settings.form, self.settings.threshold)
        if form != self.form:
            logger.info("the model's output is read as %s", form)
            self.form = form
        found = self.best(found, form)
        if "coefficients" in found:
            maps = prototypes(tensors, found["coefficients"].shape[1] + 1)
            found["masks"] = masks_of(found["coefficients"], maps)
        return Detected(form, found, size, bool(self.letterbox))

    def best(self, found: dict[str, Tensor], form: str) -> dict[str, Tensor]:
        """What the settings leave of it, best score first."""
        kept = (found["scores"] >= self.settings.threshold) & found["boxes"].isfinite().all(dim=1)
        kept &= (found["boxes"][:, 2:] >= found["boxes"][:, :2]).all(dim=1)
        if self.classes is not None:
            kept &= torch.isin(found["labels"], self.classes)
        found = {name: values[kept] for name, values in found.items()}
        overlap = (None if form in NMS_DONE else 0.5) if self.settings.nms == "auto" else self.settings.nms
        if overlap is None:
            order = found["scores"].argsort(descending=True, stable=True)
        elif "polygons" in found:
            order = oriented_nms(found["polygons"], found["scores"], found["labels"], overlap)
        else:
            order = batched_nms(found["boxes"].float(), found["scores"].float(), found["labels"], overlap)
        return {name: values[order[: self.settings.limit]] for name, values in found.items()}

    def headers(self, prediction: Detected) -> dict[str, str]:
        return {"output-form": prediction.form}

    def answer(self, image: Image.Image, detected: Detected, form: str) -> dict[str, Any] | Image.Image:
        found = detected.found
        masks = detected.masks(image)
        answer = {
            "size": [image.height, image.width],
            "boxes": rounded(detected.boxes(image), 1),
            "labels": [self.label(index) for index in found["labels"].tolist()],
            "scores": rounded(found["scores"], 4),
        }
        if form != JSON:
            return draw(image, answer, masks, [class_color(index) for index in found["labels"].tolist()])
        for name in ("keypoints", "polygons"):
            if name in found:
                answer[name] = rounded(detected.placed(found[name], image), 4)
        return {**answer, "masks": [run_length(one) for one in masks]} if "masks" in found else answer
