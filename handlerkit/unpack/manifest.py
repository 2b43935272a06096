"""MAR-INF/MANIFEST.json: what it says, read as TorchServe reads it, with nothing taken on trust."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from handlerkit.unpack.names import UnsafeArchive, checked, quoted

LIMIT = 1 << 20  # bytes; an archive from elsewhere may hold anything
#: The keys that name files of the archive.
FILES = ("serializedFile", "modelFile", "requirementsFile", "configFile")
_TEXTS = ("createdOn", "description", "archiverVersion", "runtime")
_MODEL_TEXTS = ("modelName", "modelVersion", "version", "description", "handler", "envelope", *FILES)
_SHOWN = ("runtime", "modelName", "modelVersion", "handler")
_LONGEST_SHOWN = 255


class _Number(str):
    """A number as it is written: TorchServe takes the digits of `"modelVersion": 1.10` for text."""

    __slots__ = ()


def parse(text: bytes) -> dict[str, Any]:
    """The manifest; "model" is a dict in it, keys that are null are left out, and what TorchServe reads is text.

    Raises ValueError or RecursionError, in words that follow "is not a model archive:".
    """
    if len(text) > LIMIT:
        raise ValueError("its manifest is longer than 1 MiB")
    read = json.loads(
        text.decode("utf-8-sig"), parse_int=_Number, parse_float=_Number, parse_constant=_constant,
        object_pairs_hook=_once,
    )  # fmt: skip
    if not isinstance(read, dict):
        raise ValueError("its manifest is no JSON object")
    model = {} if read.get("model") is None else read["model"]
    if not isinstance(model, dict):
        raise ValueError(f"its manifest's model is {_kind(model)}, where a JSON object is needed")
    model = _texts(model, _MODEL_TEXTS)
    for key in FILES:
        if model.get(key):
            model[key] = _inside(key, model[key])
    if model.get("handler"):
        word, colon, function = model["handler"].partition(":")
        model["handler"] = _inside("handler", word) + colon + function
    return {**_texts(read, _TEXTS), "model": model}


def _texts(read: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """The object without its nulls. Raises ValueError if one of these keys is no text."""
    read = {key: value for key, value in read.items() if value is not None}
    for key in keys:
        value = read.get(key, "")
        if not isinstance(value, str) or (isinstance(value, _Number) and key != "modelVersion"):
            raise ValueError(f"its manifest's {key} is {_kind(value)}, where text is needed")
        if key in _SHOWN and (len(value) > _LONGEST_SHOWN or not value.isprintable()):
            raise ValueError(f"its manifest's {key} {quoted(value)} is too long, or holds more than letters")
    return {key: str(value) if isinstance(value, _Number) else value for key, value in read.items()}


def _inside(key: str, name: str) -> str:
    try:
        return checked(name)
    except UnsafeArchive as problem:
        raise ValueError(f"its manifest's {key} {problem}") from None


def _kind(value: object) -> str:
    words = {dict: "an object", list: "a list", bool: "true or false", _Number: "a number"}
    return words.get(type(value), "text")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in pairs:
        if key in read:
            raise ValueError(f"its manifest says {quoted(key)} twice")
        read[key] = value
    return read


def _constant(word: str) -> NoReturn:
    raise ValueError(f"its manifest says {word}, which is not JSON")
