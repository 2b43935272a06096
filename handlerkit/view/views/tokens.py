"""How much each piece of a text counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlerkit.formatting import shorten
from handlerkit.predictions import are_rows, bodies, is_number
from handlerkit.view.contents.changes import Changes, value_changes
from handlerkit.view.contents.drawings import Drawing
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import Source
from handlerkit.view.html import fragments
from handlerkit.view.views.spec import ViewSpec

_WORDS = ("words", "tokens", "token", "word", "text")
_WEIGHTS = ("importances", "weights", "attributions", "importance", "weight", "attribution", "score", "scores")


@dataclass(frozen=True)
class TokenWeights:
    """How much each piece of a text counted, for (above 0) or against."""

    tokens: tuple[str, ...]
    weights: tuple[float, ...]


def _read(source: Source) -> TokenWeights | None:
    """`{"words": [...], "importances": [...]}` as TorchServe's text_classifier explains, or rows such as
    `{"token": "good", "weight": 0.5}`."""
    for body in bodies(source.json):
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if isinstance(body, dict):
            words, weights = _first(body, _WORDS), _first(body, _WEIGHTS)
        elif are_rows(body) and all(len(row) == 2 for row in body):
            words, weights = [_first(row, _WORDS) for row in body], [_first(row, _WEIGHTS) for row in body]
        else:
            continue
        if not (isinstance(words, list) and isinstance(weights, list) and 0 < len(words) <= len(weights)):
            continue
        if all(isinstance(word, str) for word in words) and all(map(is_number, weights)):
            # a text_classifier weighs pairs of words, too, after the words
            return TokenWeights(tuple(words), tuple(map(float, weights[: len(words)])))
    return None


def _first(row: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((row[key] for key in keys if key in row), None)


def _draw(content: TokenWeights, answer: DecodedResponse) -> Drawing:
    order = sorted(range(len(content.tokens)), key=lambda i: -abs(content.weights[i]))[:8]
    strongest = ", ".join(f"{content.tokens[i]} {content.weights[i]:+.2g}" for i in order)
    count = len(content.tokens)
    fact = f"{count} word{'s' * (count != 1)}, the strongest: {shorten(strongest, 200)}"
    return Drawing((fact,), html=fragments.words(content.tokens, content.weights))


def _changes(before: TokenWeights, after: TokenWeights, answer: DecodedResponse) -> Changes:
    one, other = ((side.tokens, side.weights) for side in (before, after))
    return Changes(tuple(value_changes(one, other, "{:+.3g}".format)))


TOKENS = ViewSpec("tokens", _read, TokenWeights, _draw, changes=_changes)
