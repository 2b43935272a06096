"""Says what an image shows: the best classes and their scores."""

from __future__ import annotations

from typing import Any

import torch
from handler_settings import CHANNELS, COUNT, SHARE, Settings, one_of, optional, wrong_setting
from image_answers import JSON
from image_handler import IMAGENET_MEAN, IMAGENET_STD, ImageHandler
from image_sizes import middle, scaled
from model_outputs import main_output
from PIL import Image
from request_handler import Refusal
from torch import Tensor


class Classifier(ImageHandler):
    """Serves classification models: torchvision's, timm's, transformers', and any that returns [N, classes], alone or
    as "logits" or the first of a dict or tuple.

    Request: images, in the ways that image_requests.py lists.

    Answer, by the Accept header:

        application/json    {"labels": ["tabby", "lynx", ...], "scores": [0.87, 0.03, ...]}, the best first
        text/plain          the same in lines: tabby 0.8700

    Settings, in the section `handler:` of model-config.yaml:

        topk          null          how many classes at most; null for 5, or for all that reach the threshold
        threshold     null          the least score, from 0 to 1, as multi-label models have one; null for any
        scores        softmax       of the model's output, unless it is one already; of a single number, which is how
                                    much speaks for class 1, of it and 0. sigmoid where several classes may hold; none
                                    for models that answer probabilities
        resize        256           the shorter side that the image is scaled to
        crop          224           the side of the square in its middle, which the model sees; at most resize
        mean, std     ImageNet's    a number for each of the model's channels, one or three, for pixels from 0 to 1
    """

    FORMS = (JSON, "text/plain")
    SETTINGS = Settings(
        topk=(None, optional(COUNT)),
        threshold=(None, optional(SHARE)),
        scores=("softmax", one_of("softmax", "sigmoid", "none")),
        resize=(256, COUNT),
        crop=(224, COUNT),
        mean=(IMAGENET_MEAN, CHANNELS),
        std=(IMAGENET_STD, CHANNELS),
    )

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        if self.settings.crop > self.settings.resize:
            raise wrong_setting(f"crop is at most resize, {self.settings.resize}, not {self.settings.crop}")

    def settings_for(self, height: int, width: int) -> dict[str, Any]:
        return {"crop": height, "resize": round(height * 256 / 224)}

    def prepare(self, image: Image.Image) -> Tensor:
        # the square that torchvision's Resize and CenterCrop leave, without making the long rest of a panorama
        side = min(image.size) * self.settings.crop / self.settings.resize
        size = (self.settings.crop, self.settings.crop)
        return self.to_tensor(scaled(image, size, box=middle(image, side, side)))

    def predict(self, inputs: list[Tensor]) -> list[Tensor]:
        return [self.read(tensors) for tensors in self.run_model(inputs)]

    def read(self, tensors: dict[str, Tensor]) -> Tensor:
        """The scores [classes] in what the model returned for an image."""
        output = main_output(tensors)
        if output.numel() > max(output.shape, default=1):
            raise Refusal(
                500, f"The model returns {list(output.shape)} for an image: that is not a score of each class."
            )
        output = output.flatten()
        if self.settings.scores == "softmax":
            if len(output) == 1:
                output = torch.cat([torch.zeros_like(output), output])
            return output if is_softmax(output) else output.softmax(0)
        return output.sigmoid() if self.settings.scores == "sigmoid" else output

    def answer(self, image: Image.Image, scores: Tensor, form: str) -> dict[str, Any] | str:
        if not scores.isfinite().all():
            raise Refusal(500, "The model's scores are not finite.")
        threshold = self.settings.threshold
        found = len(scores) if threshold is None else int((scores >= threshold).sum())
        best = scores.topk(min(found, self.settings.topk or (5 if threshold is None else found)))
        labels = [self.label(index) for index in best.indices.tolist()]
        values = best.values.cpu().double().numpy().round(4).tolist()
        if form == JSON:
            return {"labels": labels, "scores": values}
        return "\n".join(f"{label} {value:.4f}" for label, value in zip(labels, values))


def is_softmax(values: Tensor) -> bool:
    """Whether they are probabilities of classes of which one holds."""
    return bool((values >= 0).all() and abs(float(values.sum()) - 1) < 1e-4)
