"""What the ready-made text handlers share. It travels beside them in the archive, as an extra file.

A request carries one text or several:

    text as the body, or as parts of a form
    JSON: "a text", ["one", "another"], {"text": "..."}, {"inputs": ["...", "..."]} or {"instances": [{"text": "..."}]};
    a pair is {"text": "...", "text_pair": "..."}

The archive holds what transformers' `save_pretrained` wrote, as extra files: config.json, model.safetensors (or shards
with their index) and the tokenizer's files. Nothing is downloaded, and code of a model's own is not run. The weights
may be TorchScript or ONNX as well (serialized_file), beside the tokenizer's files and config.json.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from request_handler import Refusal, RequestHandler
from torch import Tensor
from ts.utils.util import load_label_mapping

TEXT_KEYS = ("text", "prompt", "inputs", "input", "data", "body", "instances", "sequences")
# Beside texts, these are in a request to /invocations, and in an input of the Open Inference Protocol.
_NO_OPTIONS = ("model_name", "name", "shape", "datatype", "id", "outputs")
TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt")  # or sentencepiece's .model
ARCHIVE_IT = "put what save_pretrained wrote into the archive, as extra files"
_NUMPY = {"tensor(int32)": np.int32}  # others are int64
_DEEPEST = 6  # lists and objects in each other
_UNBOUNDED = 10**9  # transformers says a larger number where a tokenizer knows no limit


@dataclass(frozen=True)
class Text:
    """One text of a request, the second one of a pair, and what else the JSON around it says."""

    text: str
    pair: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class TextModelHandler(RequestHandler):
    """RequestHandler for texts.

    A handler made from it says its FORMS and SETTINGS, the transformers class that loads its MODEL, and has three
    methods:

        prepare(text)                     what the model is given of a Text: its tokens
        predict(inputs)                   a prediction for each of them
        answer(text, prediction, form)    what to send: text, or what JSON carries
    """

    MODEL: str

    def initialize(self, context: Any) -> None:
        self.folder = context.system_properties["model_dir"]
        self.manifest = context.manifest
        described = self.manifest["model"]
        self.config = read_json(os.path.join(self.folder, "config.json"))
        if not any(name in TOKENIZERS or name.endswith(".model") for name in os.listdir(self.folder)):
            raise RuntimeError(f"there is no tokenizer: {ARCHIVE_IT}")  # transformers would make an empty one
        self.tokenizer = pretrained("AutoTokenizer", self.folder)
        if str(described.get("serializedFile", "")).endswith((".pt", ".onnx")) or described.get("modelFile"):
            super().initialize(context)  # TorchScript, an ONNX session, or the class of a model file
        else:
            gpu = context.system_properties.get("gpu_id")
            self.device = torch.device("cpu" if gpu is None or not torch.cuda.is_available() else f"cuda:{gpu}")
            self.model = pretrained(self.MODEL, self.folder).to(self.device).eval()
            self.mapping = load_label_mapping(os.path.join(self.folder, "index_to_name.json"))
            self.configure(context)
            self.initialized = True

    def configure(self, context: Any) -> None:
        if hasattr(self.model, "get_inputs"):  # an onnxruntime.InferenceSession
            self.model = OnnxTextModel(self.model)
        super().configure(context)

    def items(self, content: Any) -> list[Text]:
        return read_texts(content)

    def said(self, items: list[Text]) -> str:
        return f"a text of {', '.join(str(len(item.text)) for item in items)} characters"

    # ---- For the handlers' own methods

    def label(self, index: int) -> str:
        """The class's name in index_to_name.json, else in config.json's id2label, else its index."""
        names = self.mapping or self.config.get("id2label") or {}
        return str(names.get(str(index), index))

    @property
    def longest(self) -> int | None:
        """How many tokens the model takes; None if neither the tokenizer nor config.json says it."""
        said = self.tokenizer.model_max_length
        return said if said < _UNBOUNDED else self.config.get("max_position_embeddings", self.config.get("n_positions"))

    def logits(self, inputs: list[Mapping[str, list[int]]]) -> Tensor:
        """What the model returns for tokens: logits [N, ...], padded to the longest of them on the right."""
        batch = {name: self.padded([one[name] for one in inputs], name) for name in accepted(self.model, inputs[0])}
        with torch.inference_mode():
            returned = self.model(**batch)
        while not isinstance(returned, Tensor):
            returned = (
                returned.get("logits", next(iter(returned.values()))) if hasattr(returned, "get") else returned[0]
            )
        return returned.float()

    def padded(self, rows: Sequence[Sequence[int]], name: str, left: bool = False) -> Tensor:
        """Rows of one length [N, L] on the model's device."""
        longest, fill = max(map(len, rows)), (self.tokenizer.pad_token_id or 0) if name == "input_ids" else 0
        fills = [[fill] * (longest - len(row)) for row in rows]
        filled = [[*empty, *row] if left else [*row, *empty] for row, empty in zip(rows, fills)]
        return torch.tensor(filled, device=self.device)


class OnnxTextModel:
    """An onnxruntime.InferenceSession called as a transformers model is: tokens by name, and a dict of tensors."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.kinds = {one.name: _NUMPY.get(one.type, np.int64) for one in session.get_inputs()}

    def __call__(self, **tokens: Tensor) -> dict[str, Tensor]:
        names = [output.name for output in self.session.get_outputs()]
        given = {name: one.cpu().numpy().astype(self.kinds[name]) for name, one in tokens.items()}
        return {name: torch.from_numpy(found) for name, found in zip(names, self.session.run(names, given))}


def pretrained(kind: str, folder: str) -> Any:
    """What transformers reads from the archive. A RuntimeError is what a worker reports."""
    try:
        import transformers
    except ModuleNotFoundError:
        raise RuntimeError(
            "this handler needs transformers, which is not installed: name it in the requirements file, as "
            "%export --requirements auto does"
        ) from None
    try:
        return getattr(transformers, kind).from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as problem:
        what = "the tokenizer" if kind == "AutoTokenizer" else "the model"
        raise RuntimeError(f"{what} cannot be read: {ARCHIVE_IT} ({problem})") from problem


def read_json(path: str) -> dict[str, Any]:
    """The object in a file; an empty one where there is no file."""
    if not os.path.isfile(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def accepted(model: Any, encoded: Mapping[str, Any]) -> list[str]:
    """Which of the tokenizer's outputs the model takes; its forward or the ONNX file says so."""
    if isinstance(model, OnnxTextModel):
        return [name for name in model.kinds if name in encoded]
    forward = getattr(model, "_orig_mod", model).forward  # beneath torch.compile
    if hasattr(forward, "schema"):  # TorchScript's; the first argument is self
        names = [argument.name for argument in forward.schema.arguments[1:]]
    else:
        names = list(inspect.signature(forward).parameters)
    return [name for name in names if name in encoded]


# ---- Texts out of requests


def read_texts(content: Any) -> list[Text]:
    """The texts of one request. Raises Refusal, which names the part of the request that is none."""
    texts = list(_texts(content, "", {}, 0))
    if not texts:
        raise Refusal(400, 'The request holds no text; send text as the body, or JSON such as {"text": "..."}.')
    return texts


def _texts(value: Any, name: str, options: Mapping[str, Any], depth: int) -> Iterator[Text]:
    """Those in a value as TorchServe decoded it; `name` says where it is, such as "instances[2].text"."""
    if isinstance(value, (bytes, bytearray)):
        value = _decoded(value, name)
    if isinstance(value, str):
        if not value.strip():
            raise Refusal(400, f"{name or 'The request'} is empty.")
        yield Text(value, options=options)
    elif isinstance(value, dict) and depth < _DEEPEST:
        yield from _in_object(value, name, options, depth)
    elif isinstance(value, list) and depth < _DEEPEST:
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{name}[{index}]", options, depth + 1)
    else:
        raise Refusal(400, f"{name or 'The request'} is no text, but {str(value)[:40]!r}.")


def _in_object(value: Mapping[str, Any], name: str, options: Mapping[str, Any], depth: int) -> Iterator[Text]:
    named = [key for key in TEXT_KEYS if key in value]
    if not named:
        raise Refusal(400, f"{name or 'The request'} holds none of {', '.join(TEXT_KEYS)}.")
    others = {key: inner for key, inner in value.items() if key not in (*TEXT_KEYS, *_NO_OPTIONS)}
    parameters = others.pop("parameters", {})
    pair = others.pop("text_pair", None)
    if not isinstance(parameters, dict) or not (pair is None or isinstance(pair, str)):
        raise Refusal(400, f"{name or 'The request'}: parameters are an object, and text_pair is a text.")
    options = {**options, **parameters, **others}
    for key in named:
        for text in _texts(value[key], f"{name}.{key}" if name else key, options, depth + 1):
            yield text if pair is None else Text(text.text, pair, text.options)


def _decoded(data: bytes | bytearray, name: str) -> Any:
    """Text in UTF-8, or JSON without its Content-Type."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Refusal(400, f"{name or 'The request'} is no text in UTF-8.") from None
    if text.lstrip()[:1] in ("{", "[", '"'):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text
