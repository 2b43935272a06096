"""What all ready-made handlers have in common. It travels beside them in the archive, with what it imports.

Each request of a batch is read, served or refused, and answered by itself. The answer has the form that the Accept
header prefers. A request that cannot be served gets a status and a JSON object
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

import torch
from handler_settings import Settings
from ts.handler_utils.micro_batching import MicroBatching
from ts.handler_utils.timer import timed
from ts.torch_handler.base_handler import BaseHandler

logger = logging.getLogger(__name__)

JSON = "application/json"
# Python 3.13 has another phrase for it, and answers are to be the same everywhere.
_PHRASES = {HTTPStatus(413): "Request Entity Too Large"}


class Refusal(Exception):
    """A request that cannot be served: the status and the sentence its client gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = HTTPStatus(status)


@dataclass
class RequestState:
    """One row of a batch on its way through the stages; the handler itself keeps nothing of a request."""

    row: int
    form: str = JSON
    items: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    predictions: list[Any] = field(default_factory=list)
    refusal: Refusal | None = None


class RequestHandler(BaseHandler):
    """TorchServe's BaseHandler, request by request.

    A handler made from it says its FORMS and SETTINGS, and has these methods:

        items(content)                    what one request carries, such as images: a list of items
        prepare(item)                     what the model is given of an item
        predict(inputs)                   a prediction for each of them
        answer(item, prediction, form)    what to send of an item
        pack(answers, form)               the headers and the body of a response with these
        said(items)                       what they are, in the sentence about a model that fails on them

    and may have two more: `headers(prediction)`, headers of the response, and `fixed_settings()`. Each of them may
    raise Refusal. `max_response_size` is added to the SETTINGS. A section `micro_batching:` of model-config.yaml, such
    as {micro_batch_size: 4, parallelism: {preprocess: 2}}, works as in TorchServe's examples.
    """

    FORMS: tuple[str, ...]  # media types, the default first
    SETTINGS: Settings

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        self.configure(context)

    def configure(self, context: Any) -> None:
        """Read model-config.yaml, when the model is loaded."""
        config = context.model_yaml_config or {}
        self.settings = self.SETTINGS.read(config, **self.fixed_settings())
        self.pieces = MicroBatching(self, **config["micro_batching"]) if "micro_batching" in config else None

    def fixed_settings(self) -> dict[str, Any]:
        """The settings that the loaded model asks for, where model-config.yaml says nothing."""
        return {}

    def headers(self, prediction: Any) -> dict[str, str]:
        """What a response tells of a prediction in its headers."""
        return {}

    def handle(self, data: list[Any], context: Any) -> list[Any]:
        return (self.pieces or super().handle)(data, context)

    # ---- The stages that BaseHandler.handle and MicroBatching call

    @timed
    def preprocess(self, data: list[Any]) -> list[RequestState]:
        # micro-batching hands over a batch in pieces; headers and statuses are numbered as in the whole
        pieces = self.pieces or self.handle  # which may have been set to one, as TorchServe's examples do
        first = pieces.get_micro_batch_idx() * pieces.micro_batch_size if isinstance(pieces, MicroBatching) else 0
        return [self._read(row, content) for row, content in enumerate(data, first)]

    @timed
    def inference(self, requests: list[RequestState]) -> list[RequestState]:
        if waiting := [request for request in requests if request.refusal is None]:
            self._predict(waiting)
        return requests

    @timed
    def postprocess(self, requests: list[RequestState]) -> list[Any]:
        return [self._respond(request) for request in requests]

    def explain_handle(self, data_preprocess: list[RequestState], raw_data: Any) -> list[Any]:
        # BaseHandler lets the first row decide for all of them; _read refuses each that asks for an explanation
        return self.postprocess(self.inference(data_preprocess))

    def _read(self, row: int, content: Any) -> RequestState:
        request = RequestState(row)
        try:
            if self._header(row, "explain") == "True":
                raise Refusal(501, "This model has no explanations; ask for /predictions.")
            request.form = negotiate(self._header(row, "accept"), self.FORMS)
            request.items = self.items(content)
            request.inputs = [self.prepare(item) for item in request.items]
        except Refusal as refusal:
            request.refusal = refusal
        return request

    def _predict(self, requests: list[RequestState]) -> None:
        """Run the model on all inputs; where it fails, on one request after the other, to see on which."""
        try:
            inputs = [one for request in requests for one in request.inputs]
            predictions = (prediction for _, prediction in paired(inputs, self.predict(inputs)))
        except Exception as problem:
            if len(requests) > 1:
                for request in requests:
                    self._predict([request])
                return
            said = self.said(requests[0].items)
            requests[0].refusal = problem if isinstance(problem, Refusal) else failure(problem, said)
            return
        for request in requests:
            request.predictions = list(islice(predictions, len(request.inputs)))

    def _respond(self, request: RequestState) -> Any:
        try:
            if request.refusal is not None:
                raise request.refusal
            pairs = zip(request.items, request.predictions)
            headers, body = self.pack([self.answer(*pair, request.form) for pair in pairs], request.form)
            headers.update(self.headers(request.predictions[0]))
            # TorchServe ends a worker whose answer is longer, and with it the other requests of the batch
            size = len(body if isinstance(body, bytes) else json.dumps(body, indent=2))
            if size > self.settings.max_response_size:
                limit = f"max_response_size, {self.settings.max_response_size}"
                raise Refusal(413, f"This answer has {size} bytes, more than {limit}; ask for another form.")
        except Exception as problem:
            refusal = problem if isinstance(problem, Refusal) else failure(problem, self.said(request.items))
            code, phrase = int(refusal.status), _PHRASES.get(refusal.status, refusal.status.phrase)
            headers, body = {"content-type": JSON}, {"code": code, "type": phrase, "message": str(refusal)}
            if self._is_request(request.row):
                self.context.set_response_status(code, phrase, request.row)
        self.set_headers(request.row, headers)
        return body

    def set_headers(self, row: int, headers: dict[str, str]) -> None:
        if self._is_request(row):
            for name, value in headers.items():
                self.context.set_response_header(row, name, value)

    def _header(self, row: int, name: str) -> str:
        """A request's header whatever its casing; "" where there is none."""
        headers = self.context.get_all_request_header(row) if self._is_request(row) else {}
        found = (value for key, value in headers.items() if key.lower() == name and isinstance(value, str))
        return next(found, "")

    def _is_request(self, row: int) -> bool:
        return row < len(self.context.request_processor)  # the json envelope makes several rows of a request

    # ---- For the handlers' own methods

    def pack(self, answers: list[Any], form: str) -> tuple[dict[str, str], Any]:
        """The one answer there is, or a JSON list of several."""
        return {"content-type": form}, answers[0] if len(answers) == 1 else answers

    def label(self, index: int) -> str:
        """The class's name in index_to_name.json; its index where there is none."""
        return str((self.mapping or {}).get(str(index), index))


def failure(problem: Exception, said: str) -> Refusal:
    """What the client is told where the model failed; the log gets the traceback."""
    logger.error("the model failed", exc_info=problem)
    status = 507 if isinstance(problem, (MemoryError, torch.OutOfMemoryError)) else 500
    why = str(problem).strip().rpartition("\n")[2]  # TorchScript tells a traceback first
    return Refusal(status, f"The model failed on {said}: {why}")


def paired(inputs: Sequence[Any], outputs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Each input with its output. Raises ValueError unless there is one for each; zip's strict needs Python 3.10."""
    found = list(outputs)
    if len(found) != len(inputs):
        raise ValueError(f"{len(found)} outputs for {len(inputs)} inputs")
    return zip(inputs, found)


# ---- The form of an answer


def negotiate(accept: str, forms: tuple[str, ...]) -> str:
    """The form that an Accept header prefers; the first where it says nothing.

    As in RFC 9110, 12.5.1, the most specific range that fits a form decides how much it is wanted. Raises Refusal with
    406 where none is accepted.
    """
    ranges = [_media_range(text) for text in accept.split(",") if text.strip()] or [("*/*", "", 1.0)]

    def preference(form: str) -> tuple[float, int]:
        kind, mask, _ = _media_range(form)
        kinds = ("*/*", f"{kind.partition('/')[0]}/*", kind)
        fitting = [
            (kinds.index(wanted) + 3 * bool(asked), quality)
            for wanted, asked, quality in ranges
            if wanted in kinds and asked in ("", mask)
        ]
        specificity, quality = max(fitting, default=(0, 0.0))
        return quality, specificity

    best = max(forms, key=preference)
    if preference(best)[0] <= 0:
        raise Refusal(406, f"This model answers {', '.join(forms)}, not {accept}.")
    return best


def _media_range(text: str) -> tuple[str, str, float]:
    """`image/PNG; Mask=indexed; q=0.5` -> ("image/png", "indexed", 0.5): what counts of it here."""
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    given = {name.strip(): value.strip(' "') for name, _, value in (part.partition("=") for part in parameters)}
    try:
        return kind, given.get("mask", ""), float(given.get("q", 1))
    except ValueError:
        return kind, given.get("mask", ""), 1.0
