"""The outputs of models of transformers, which are dicts of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_model_output(value: object) -> bool:
    """Whether it is a transformers.utils.ModelOutput."""
    return any(kind.__name__ == "ModelOutput" for kind in type(value).__mro__)


def as_list(kind: str, value: object = None) -> str:
    """What to write behind an output of that class for a list with one element per request."""
    names: list[Any] = list(value) if isinstance(value, Mapping) else []
    if "LM" in kind and (not names or "logits" in names):
        return ".logits.argmax(-1).tolist()"
    if "logits" in names or (not names and kind.endswith(("ClassifierOutput", "ClassificationOutput"))):
        return ".logits.softmax(-1).tolist()"
    if names:
        return f".{'last_hidden_state' if 'last_hidden_state' in names else names[0]}.tolist()"
    return "[0].tolist()"
