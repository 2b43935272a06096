"""Says what an image shows: the best classes and their scores."""

from __future__ import annotations

from typing import Any

import torch
from image_requests import (
    CHANNELS,
    COUNT,
    IMAGENET_MEAN,
    IMAGENET_STD,
    JSON,
    ImageHandler,
    Settings,
    main_output,
    middle,
    one_of,
    scaled,
    wrong_setting,
)
from PIL import Image
from torch import Tensor


class Classifier(ImageHandler):
    """Serves torchvision's classification models, and any that answers [N, classes], or a dict or tuple of such.

    Request: images, in the ways that image_requests.py lists.

    Answer, by the Accept header:

        application/json    {"labels": ["tabby", "lynx", ...], "scores": [0.87, 0.03, ...]}, the best first
        text/plain          the same in lines: tabby 0.8700

    Settings, in the section `handler:` of model-config.yaml:

        topk          5             how many classes; fewer where the model has no more
        scores        softmax       of the model's output; sigmoid where several classes may hold; none for models
                                    that answer probabilities
        resize        256           the shorter side that the image is scaled to
        crop          224           the side of the square in its middle, which the model sees; at most resize
        mean, std     ImageNet's    a number for each of the model's channels, one or three, for pixels from 0 to 1
    """

    FORMS = (JSON, "text/plain")
    SETTINGS = Settings(
        topk=(5, COUNT),
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

    def prepare(self, image: Image.Image) -> Tensor:
        # the square that torchvision's Resize and CenterCrop leave, without making the long rest of a panorama
        side = min(image.size) * self.settings.crop / self.settings.resize
        size = (self.settings.crop, self.settings.crop)
        return self.to_tensor(scaled(image, size, box=middle(image, side, side)))

    def predict(self, inputs: list[Tensor]) -> list[Tensor]:
        return self.run_model(inputs, self.read)

    def read(self, returned: Any) -> Tensor:
        """The scores [N, classes] in what the model returned."""
        output = main_output(returned).flatten(1)
        if self.settings.scores == "softmax":
            return output.softmax(1)
        return output.sigmoid() if self.settings.scores == "sigmoid" else output

    def answer(self, image: Image.Image, scores: Tensor, form: str) -> dict[str, Any] | str:
        best = torch.topk(scores, min(self.settings.topk, len(scores)))
        labels = [self.label(index) for index in best.indices.tolist()]
        values = best.values.cpu().double().numpy().round(4).tolist()
        if form == JSON:
            return {"labels": labels, "scores": values}
        return "\n".join(f"{label} {value:.4f}" for label, value in zip(labels, values))
