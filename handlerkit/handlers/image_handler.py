"""What the ready-made image handlers have in common. It travels beside them in the archive, with what it imports.

The answer has the form that the Accept header prefers. Several images in one request are answered by a JSON list, or
by multipart/mixed with a part for each. A request that cannot be served gets a status and a JSON object
{"code": 400, "type": "Bad Request", "message": "..."} of its own; the others of its batch are answered.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import Any

import numpy as np
import torch
from handler_settings import Settings, wrong_setting
from image_answers import JSON, negotiate, pack
from image_requests import Refusal, read_images
from model_outputs import OnnxModel, by_image, takes_list
from PIL import Image
from torch import Tensor
from ts.handler_utils.micro_batching import MicroBatching
from ts.handler_utils.timer import timed
from ts.torch_handler.base_handler import BaseHandler

logger = logging.getLogger(__name__)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Python 3.13 has another phrase for it, and answers are to be the same everywhere.
_PHRASES = {HTTPStatus(413): "Request Entity Too Large"}


@dataclass
class ImageRequest:
    """One row of a batch on its way through the stages; the handler itself keeps nothing of a request."""

    row: int
    form: str = JSON
    images: list[Image.Image] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    predictions: list[Any] = field(default_factory=list)
    refusal: Refusal | None = None


class ImageHandler(BaseHandler):
    """TorchServe's BaseHandler for images: each request is read, served or refused, and answered by itself.

    A handler made from it says its FORMS and SETTINGS, and has three methods:

        prepare(image)                     what the model is given of an RGB image: uint8 [C, H, W]
        predict(inputs)                    a prediction for each of them; it may raise Refusal
        answer(image, prediction, form)    what to send: a PIL image, text, or what JSON carries

    and may have two more: `headers(prediction)`, headers of the response, and `settings_for(height, width)`.

    The model may be a module, a TorchScript or an ONNX file. SETTINGS have to hold `mean` and `std`;
    `max_response_size` is added. A section `micro_batching:` of model-config.yaml, such as
    {micro_batch_size: 4, parallelism: {preprocess: 2}}, works as in TorchServe's examples.
    """

    FORMS: tuple[str, ...]  # media types, the default first
    SETTINGS: Settings
    model: Any  # a module, a callable or an OnnxModel

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        config = context.model_yaml_config or {}
        fixed = {}
        if hasattr(self.model, "get_inputs"):  # an onnxruntime.InferenceSession
            self.model = OnnxModel(self.model)
            fixed = self.settings_for(*self.model.size) if self.model.size else {}
        self.settings = self.SETTINGS.read(config, **fixed)
        if len(self.settings.mean) != len(self.settings.std):
            raise wrong_setting("mean and std have to hold as many numbers as each other")
        if not context.system_properties.get("limit_max_image_pixels", True):
            Image.MAX_IMAGE_PIXELS = None
        self.pieces = MicroBatching(self, **config["micro_batching"]) if "micro_batching" in config else None

    def settings_for(self, height: int, width: int) -> dict[str, Any]:
        """The settings of a model that takes images of one size alone, where model-config.yaml says nothing."""
        return {"resize": [height, width]}

    def headers(self, prediction: Any) -> dict[str, str]:
        """What a response tells of a prediction in its headers."""
        return {}

    def handle(self, data: list[Any], context: Any) -> list[Any]:
        return (self.pieces or super().handle)(data, context)

    # ---- The stages that BaseHandler.handle and MicroBatching call

    @timed
    def preprocess(self, data: list[Any]) -> list[ImageRequest]:
        # micro-batching hands over a batch in pieces; headers and statuses are numbered as in the whole
        pieces = self.pieces or self.handle  # which may have been set to one, as TorchServe's examples do
        first = pieces.get_micro_batch_idx() * pieces.micro_batch_size if isinstance(pieces, MicroBatching) else 0
        return [self._read(row, content) for row, content in enumerate(data, first)]

    @timed
    def inference(self, requests: list[ImageRequest]) -> list[ImageRequest]:
        if waiting := [request for request in requests if request.refusal is None]:
            self._predict(waiting)
        return requests

    @timed
    def postprocess(self, requests: list[ImageRequest]) -> list[Any]:
        return [self._respond(request) for request in requests]

    def explain_handle(self, data_preprocess: list[ImageRequest], raw_data: Any) -> list[Any]:
        # BaseHandler lets the first row decide for all of them; _read refuses each that asks for an explanation
        return self.postprocess(self.inference(data_preprocess))

    def _read(self, row: int, content: Any) -> ImageRequest:
        request = ImageRequest(row)
        try:
            if self._header(row, "explain") == "True":
                raise Refusal(501, "This model has no explanations; ask for /predictions.")
            request.form = negotiate(self._header(row, "accept"), self.FORMS)
            request.images = read_images(content)
            request.inputs = [self.prepare(image) for image in request.images]
        except Refusal as refusal:
            request.refusal = refusal
        return request

    def _predict(self, requests: list[ImageRequest]) -> None:
        """Run the model on all images; where it fails, on one request after the other, to see on which."""
        try:
            inputs = [one for request in requests for one in request.inputs]
            predictions = (prediction for _, prediction in paired(inputs, self.predict(inputs)))
        except Exception as problem:
            if len(requests) > 1:
                for request in requests:
                    self._predict([request])
                return
            requests[0].refusal = problem if isinstance(problem, Refusal) else failure(problem, requests[0].images)
            return
        for request in requests:
            request.predictions = list(islice(predictions, len(request.inputs)))

    def _respond(self, request: ImageRequest) -> Any:
        try:
            if request.refusal is not None:
                raise request.refusal
            pairs = zip(request.images, request.predictions)
            headers, body = pack([self.answer(*pair, request.form) for pair in pairs], request.form)
            headers.update(self.headers(request.predictions[0]))
            # TorchServe ends a worker whose answer is longer, and with it the other requests of the batch
            size = len(body if isinstance(body, bytes) else json.dumps(body, indent=2))
            if size > self.settings.max_response_size:
                limit = f"max_response_size, {self.settings.max_response_size}"
                raise Refusal(413, f"This answer has {size} bytes, more than {limit}; ask for another form.")
        except Refusal as refusal:
            code, phrase = int(refusal.status), _PHRASES.get(refusal.status, refusal.status.phrase)
            headers, body = {"content-type": JSON}, {"code": code, "type": phrase, "message": str(refusal)}
            if self._is_request(request.row):
                self.context.set_response_status(code, phrase, request.row)
        if self._is_request(request.row):
            for name, value in headers.items():
                self.context.set_response_header(request.row, name, value)
        return body

    def _header(self, row: int, name: str) -> str:
        """A request's header whatever its casing; "" where there is none."""
        headers = self.context.get_all_request_header(row) if self._is_request(row) else {}
        found = (value for key, value in headers.items() if key.lower() == name and isinstance(value, str))
        return next(found, "")

    def _is_request(self, row: int) -> bool:
        return row < len(self.context.request_processor)  # the json envelope makes several rows of a request

    # ---- For the handlers' own methods

    def to_tensor(self, image: Image.Image) -> Tensor:
        """uint8 [C, H, W], with as many channels as `mean` has numbers."""
        pixels = np.array(image.convert("L") if len(self.settings.mean) == 1 else image)
        return torch.from_numpy(pixels).reshape(image.height, image.width, -1).permute(2, 0, 1)

    def normalized(self, pixels: Tensor) -> Tensor:
        """uint8 [..., C, H, W] -> float on the model's device, with `mean` and `std` taken out."""
        mean = torch.tensor(self.settings.mean, device=self.device)[:, None, None]
        std = torch.tensor(self.settings.std, device=self.device)[:, None, None]
        return (pixels.to(self.device) / 255 - mean) / std

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

    def label(self, index: int) -> str:
        """The class's name in index_to_name.json; its index where there is none."""
        return str((self.mapping or {}).get(str(index), index))


def paired(inputs: Sequence[Any], outputs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Each input with its output. Raises ValueError unless there is one for each; zip's strict needs Python 3.10."""
    found = list(outputs)
    if len(found) != len(inputs):
        raise ValueError(f"{len(found)} outputs for {len(inputs)} inputs")
    return zip(inputs, found)


def failure(problem: Exception, images: list[Image.Image]) -> Refusal:
    """What the client is told where the model failed on its images; the log gets the traceback."""
    logger.error("the model failed", exc_info=problem)
    sizes = ", ".join(f"{image.width}x{image.height}" for image in images)
    status = 507 if isinstance(problem, (MemoryError, torch.OutOfMemoryError)) else 500
    why = str(problem).strip().rpartition("\n")[2]  # TorchScript tells a traceback first
    return Refusal(status, f"The model failed on an image of {sizes} pixels: {why}")
