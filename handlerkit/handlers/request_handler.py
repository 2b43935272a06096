"""What every ready-made handler shares. It travels beside them in the archive, as an extra file.

Each request of a batch is read, served or refused, and answered by itself. The answer has the form that the Accept
header prefers. A request that cannot be served gets a status and a JSON object
{"code": 400, "type": "Bad Request", "message": "..."} of its own; the others of its batch are answered.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from types import SimpleNamespace
from typing import Any

import torch
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

    Each of them may raise Refusal. `max_response_size` is added to the SETTINGS. A section `micro_batching:` of
    model-config.yaml, such as {micro_batch_size: 4, parallelism: {preprocess: 2}}, works as in TorchServe's examples.
    """

    FORMS: tuple[str, ...]  # media types, the default first
    SETTINGS: Settings

    def initialize(self, context: Any) -> None:
        self.load(context)
        config = context.model_yaml_config or {}
        self.settings = self.SETTINGS.read(config)
        self.pieces = MicroBatching(self, **config["micro_batching"]) if "micro_batching" in config else None

    def load(self, context: Any) -> None:
        """Load the model, as BaseHandler does."""
        super().initialize(context)

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
            logger.exception("the model failed")
            requests[0].refusal = failure(problem, self.said(requests[0].items))
            return
        for request in requests:
            request.predictions = list(islice(predictions, len(request.inputs)))

    def _respond(self, request: RequestState) -> Any:
        try:
            if request.refusal is not None:
                raise request.refusal
            pairs = zip(request.items, request.predictions)
            headers, body = self.pack([self.answer(*pair, request.form) for pair in pairs], request.form)
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
    """What a client is told of a model that failed."""
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


# ---- Settings

# What a setting has to be, in words and as a test.
Rule = tuple[str, Callable[[Any], bool]]
COUNT: Rule = ("a whole number from 1 on", lambda value: type(value) is int and value >= 1)
SHARE: Rule = ("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)


def one_of(*names: Any) -> Rule:
    return f"one of {', '.join(map(str, names))}", lambda value: value in names


def optional(rule: Rule) -> Rule:
    words, fits = rule
    return f"{words}, or null", lambda value: value is None or fits(value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Settings:
    """The settings that the section `handler:` of model-config.yaml may hold: the default and the rule of each."""

    def __init__(self, **settings: tuple[Any, Rule]) -> None:
        self.settings = {**settings, "max_response_size": (6553500, COUNT)}

    def read(self, config: dict[str, Any]) -> SimpleNamespace:
        """What model-config.yaml says, with the defaults of what it leaves out.

        Raises RuntimeError, with the name of a wrong setting.
        """
        given = config.get("handler") or {}
        if not isinstance(given, dict):
            raise wrong_setting(f"it holds settings by name, not {given!r}")
        for name in given.keys() - {"profile"}:  # which is BaseHandler's own
            if name not in self.settings:
                raise wrong_setting(f"there is no setting {name!r}, only {', '.join(self.settings)}")
            words, fits = self.settings[name][1]
            if not fits(given[name]):
                raise wrong_setting(f"{name} is {words}, not {given[name]!r}")
        return SimpleNamespace(**{name: given.get(name, default) for name, (default, _) in self.settings.items()})


def wrong_setting(what: str) -> RuntimeError:
    """A RuntimeError is what a worker reports; after any other it starts again and again."""
    return RuntimeError(f"model-config.yaml, section handler: {what}")
