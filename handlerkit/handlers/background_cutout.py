"""Cuts what stands in front out of its background, as U²-Net does."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import torch
from handler_settings import CHANNELS, SIZE, Settings, optional, wrong_setting
from image_answers import JSON, RAW, encode
from image_handler import IMAGENET_MEAN, IMAGENET_STD, ImageHandler
from image_sizes import middle, resized, scaled
from model_outputs import main_output
from PIL import Image, ImageColor
from torch import Tensor

MASK = "image/png; mask=alpha"
COLOR_OR_FILE = optional(("a color or an image file of the archive", lambda value: isinstance(value, str)))


class BackgroundCutout(ImageHandler):
    """Serves U²-Net and its kin, whose first output is a map [N, 1, H, W]; also models with maps of several classes,
    [N, C, H, W], of which class 0 is the background.

    Request: images, in the ways that image_requests.py lists.

    Answer, by the Accept header:

        application/octet-stream    the cut-out's pixels, row by row, red, green, blue and alpha:
                                    Image.frombytes("RGBA", (width, height), response.content)
        image/png                   the cut-out as a file
        image/png; mask=alpha       the mask alone, gray: 255 is in front
                                    each in the image's size, with the headers image-width and image-height
        application/json            {"size": [height, width], "png": "..."}, the cut-out's file in base64; behind an
                                    envelope of TorchServe ask for this one, for they carry no bytes

    Settings, in the section `handler:` of model-config.yaml:

        resize        [320, 320]    what the model sees: [height, width], the shorter side, or null for the image's own
        mean, std     ImageNet's    a number for each of the model's channels, one or three, for pixels from 0 to 1
        stretch       true          each map of a [N, 1, H, W] is stretched to 0..1, as U²-Net's own code does it
        background    null          what comes behind it: a color such as white or "#00ff00", or an image file of the
                                    archive; null leaves it transparent

    max_response_size is 6553500 bytes; say it in that section too where config.properties has another.
    """

    FORMS = (RAW, "image/png", MASK, JSON)
    SETTINGS = Settings(
        resize=((320, 320), SIZE),
        mean=(IMAGENET_MEAN, CHANNELS),
        std=(IMAGENET_STD, CHANNELS),
        stretch=(True, ("true or false", lambda value: isinstance(value, bool))),
        background=(None, COLOR_OR_FILE),
    )

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        self.background = self.read_background(Path(context.system_properties["model_dir"]))

    def read_background(self, model_dir: Path) -> Image.Image | None:
        given = self.settings.background
        if given is None:
            return None
        try:
            return Image.new("RGB", (1, 1), ImageColor.getrgb(given))
        except ValueError:
            pass
        try:
            return Image.open(model_dir / given).convert("RGB")
        except OSError:
            raise wrong_setting(f"background is {COLOR_OR_FILE[0]}, not {given!r}") from None

    def prepare(self, image: Image.Image) -> Tensor:
        return self.to_tensor(resized(image, self.settings.resize))

    def predict(self, inputs: list[Tensor]) -> list[Tensor]:
        return [main_output(tensors) for tensors in self.run_model(inputs)]

    def answer(self, image: Image.Image, scores: Tensor, form: str) -> dict[str, Any] | Image.Image:
        alpha = self.alpha(scores, image)
        if form == MASK:
            return alpha
        cutout = self.cutout(image, alpha)
        if form == JSON:
            _, png = encode(cutout, "image/png")
            return {"size": [image.height, image.width], "png": base64.b64encode(png).decode()}
        return cutout

    def cutout(self, image: Image.Image, alpha: Image.Image) -> Image.Image:
        """RGBA: on the new background, or transparent behind what is in front."""
        if self.background is not None:
            return Image.composite(image, fitted(self.background, image.size), alpha).convert("RGBA")
        cutout = image.convert("RGBA")
        cutout.putalpha(alpha)
        return cutout

    def alpha(self, scores: Tensor, image: Image.Image) -> Image.Image:
        """[C, H', W'] -> how much of each of the image's pixels is in front: gray, 0 to 255."""
        front = 1 - scores.softmax(0)[0] if len(scores) > 1 else scores[0]
        low, high = front.min(), front.max()
        if len(scores) == 1 and self.settings.stretch and low < high:
            front = (front - low) / (high - low)
        mask = Image.fromarray((front.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())
        return scaled(mask, image.size, Image.Resampling.LANCZOS)


def fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """As much of the image's middle as has the shape of a size (width, height), in that size."""
    width, height = size
    scale = min(image.width / width, image.height / height)
    return scaled(image, size, Image.Resampling.BICUBIC, middle(image, width * scale, height * scale))
