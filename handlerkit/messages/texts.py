"""The texts that a request carries, and what it is called by them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from handlerkit.formatting import shorten
from handlerkit.messages.request import Request

#: Where texts are in JSON and forms: as TorchServe's examples, the kit's handlers, hubs and protocols have it.
_KEYS = ("text", "prompt", "inputs", "input", "data", "body", "instances", "sequences")
_DEEPEST = 6
#: Bytes of a body that is looked into, and characters within which a text has a space; base64 has none.
_MOST, _WORD = 200_000, 200


def texts_of(request: Request) -> tuple[str, ...]:
    """The texts in a request: its body, or those in JSON or a form of the usual names. None in files and other JSON."""
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    if len(request.body) > _MOST or kind.startswith(("multipart/", "image/", "audio/", "video/")):
        return ()
    try:
        body = request.body.decode()
    except UnicodeDecodeError:
        return ()
    if kind == "application/x-www-form-urlencoded":
        return tuple(_texts(dict(parse_qsl(body)), 0))
    if body.lstrip()[:1] in ("{", "[", '"'):
        try:
            return tuple(_texts(json.loads(body), 0))
        except (ValueError, RecursionError):
            pass
    return (body,) if _is_text(body) else ()


def name_of(request: Request, number: int) -> str:
    """What a request is called among others: its label, its text, or its number."""
    if request.label or len(texts := texts_of(request)) != 1:
        return request.label or f"request {number}"
    return shorten(f"“{' '.join(texts[0].split())}”", 60)


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str) and _is_text(value):
        yield value
    elif isinstance(value, list) and depth < _DEEPEST:
        for inner in value:
            yield from _texts(inner, depth + 1)
    elif isinstance(value, dict) and depth < _DEEPEST:
        for key in _KEYS:
            yield from _texts(value.get(key), depth + 1)


def _is_text(text: str) -> bool:
    is_long_word = len(text) > _WORD and not any(one.isspace() for one in text[:_WORD])
    return bool(text.strip()) and not is_long_word and "\0" not in text
