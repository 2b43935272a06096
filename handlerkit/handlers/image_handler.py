"""What the ready-made image handlers have in common. It travels beside them in the archive, with what it imports.

Several images in one request are answered by a JSON list, or by multipart/mixed with a part for each. What is not about
images is in request_handler.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from handler_settings import wrong_setting
from image_answers import pack
from image_requests import read_images
from model_outputs import OnnxModel, by_image, takes_list
from PIL import Image
from request_handler import RequestHandler
from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageHandler(RequestHandler):
    """RequestHandler for images.

    A handler made from it says its FORMS and SETTINGS, and has three methods:

        prepare(image)                     what the model is given of an RGB image: uint8 [C, H, W]
        predict(inputs)                    a prediction for each of them
        answer(image, prediction, form)    what to send: a PIL image, text, or what JSON carries

    and may have one more, `settings_for(height, width)`. The model may be a module, a TorchScript or an ONNX file.
    SETTINGS have to hold `mean` and `std`.
    """

    model: Any  # a module, a callable or an OnnxModel

    def configure(self, context: Any) -> None:
        if hasattr(self.model, "get_inputs"):  # an onnxruntime.InferenceSession
            self.model = OnnxModel(self.model)
        super().configure(context)
        if len(self.settings.mean) != len(self.settings.std):
            raise wrong_setting("mean and std have to hold as many numbers as each other")
        if not context.system_properties.get("limit_max_image_pixels", True):
            Image.MAX_IMAGE_PIXELS = None

    def fixed_settings(self) -> dict[str, Any]:
        size = self.model.size if isinstance(self.model, OnnxModel) else None
        return self.settings_for(*size) if size else {}

    def settings_for(self, height: int, width: int) -> dict[str, Any]:
        """The settings of a model that takes images of one size alone, where model-config.yaml says nothing."""
        return {"resize": [height, width]}

    def items(self, content: Any) -> list[Image.Image]:
        return read_images(content)

    def pack(self, answers: list[Any], form: str) -> tuple[dict[str, str], Any]:
        return pack(answers, form)

    def said(self, items: list[Image.Image]) -> str:
        return f"an image of {', '.join(f'{image.width}x{image.height}' for image in items)} pixels"

    # ---- For the handlers' own methods

    def to_tensor(self, image: Image.Image) -> Tensor:
        """uint8 [C, H, W], with as many channels as `mean` has numbers."""
        pixels = np.array(image.convert("L") if len(self.settings.mean) == 1 else image)
        return torch.from_numpy(pixels).reshape(image.height, image.width, -1).permute(2, 0, 1)

    def normalized(self, pixels: Tensor) -> Tensor:
        """uint8 [..., C, H, W] -> the model's kind of float, on its device, with `mean` and `std` taken out.

        As they are for an ONNX file that takes whole numbers.
        """
        if isinstance(self.model, OnnxModel) and self.model.takes_pixels:
            return pixels
        mean = torch.tensor(self.settings.mean, device=self.device)[:, None, None]
        std = torch.tensor(self.settings.std, device=self.device)[:, None, None]
        weights = self.model.parameters() if isinstance(self.model, torch.nn.Module) else ()
        kind = next((one.dtype for one in weights if one.is_floating_point()), torch.float32)
        return ((pixels.to(self.device) / 255 - mean) / std).to(kind)

    def run_model(self, inputs: list[Tensor]) -> list[dict[str, Tensor]]:
        """The tensors that the model returns for each input, by name; inputs of one size go through it together."""
        outputs: list[Any] = [None] * len(inputs)
        for shape in dict.fromkeys(one.shape for one in inputs):
            alike = [index for index, one in enumerate(inputs) if one.shape == shape]
            batch = self.normalized(torch.stack([inputs[index] for index in alike]))
            with torch.inference_mode():
                returned = self.model(list(batch) if takes_list(self.model) else batch)
            for index, output in zip(alike, by_image(returned, len(alike))):
                outputs[index] = output
        return outputs
