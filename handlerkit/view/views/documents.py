"""JSON and text as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handlerkit.formatting import shorten
from handlerkit.view.contents.drawings import Drawing
from handlerkit.view.decode.arrays import array_of
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import Source
from handlerkit.view.html import elements, fragments
from handlerkit.view.views.spec import ViewSpec

if TYPE_CHECKING:
    import numpy.typing as npt

_NUMBERS = 17  # a list of so many is drawn
_SERIES = 4  # lists that are drawn
_LONG = 12  # a text of so many lines is folded


@dataclass(frozen=True)
class Document:
    """JSON (`value`, read from `text`) or text (`value` None). `empty`: what is said of no text."""

    text: str
    value: Any = None
    empty: str = ""


def _json(source: Source) -> Document | None:
    return Document(source.response.text, source.json) if source.json is not None else None


def _text(source: Source) -> Document | None:
    return Document(source.text, empty="" if source.text else _empty(source)) if source.text is not None else None


def _empty(source: Source) -> str:
    """Why the client got no body; "" if it is said elsewhere."""
    response = source.response
    if response.status is None or not response.complete:
        return ""
    if source.request.method == "HEAD":
        return "no body: the answer to HEAD has none"
    if response.status in (204, 304):
        return f"no body: a {response.status} has none, whatever the handler returned"
    return "empty body"


def _draw(content: Document, answer: DecodedResponse) -> Drawing:
    if not content.text:
        return Drawing(tuple(filter(None, [content.empty])))
    laid = fragments.pretty(content.text)
    count = laid.count("\n") + 1
    if count <= _LONG:
        return Drawing(html=elements.code(laid), text=laid)
    if content.value is None:
        return Drawing((f"text, {count} lines",), text=laid, folded=elements.code(laid))
    lines = "".join(map(_drawn, _series(content.value)))
    tree = fragments.tree(content.value)
    return Drawing(_shape(content.value), html=lines + tree, text=laid, folded=elements.code(laid))


def _drawn(named: tuple[str, npt.NDArray[Any]]) -> str:
    fact = elements.escape(fragments.tensor_fact(*named))
    return f'<div><div class="hk-soft">{fact}</div>{fragments.series(named[1])}</div>'


def _series(value: Any, name: str = "") -> list[tuple[str, npt.NDArray[Any]]]:
    """The first long lists of numbers in JSON, such as the embeddings among other words."""
    if (
        isinstance(value, list)
        and len(value) >= _NUMBERS
        and (array := array_of(value)) is not None
        and array.ndim == 1
    ):
        return [(name, array)]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: list[tuple[str, npt.NDArray[Any]]] = []
    for key, each in list(inner)[:_NUMBERS]:
        found += _series(each, f"{name}.{key}".lstrip("."))
        if len(found) >= _SERIES:
            break
    return found[:_SERIES]


def _shape(value: Any) -> tuple[str, ...]:
    """`JSON object: model, embedding`: what an answer holds that is shown as a tree."""
    if isinstance(value, dict):
        names = ", ".join(list(value)[:8]) + (f" and {len(value) - 8} more" if len(value) > 8 else "")
        return (f"JSON object: {shorten(names)}",)
    return (f"JSON list of {len(value)}",)


JSON = ViewSpec("json", _json, Document, _draw, errors=True)
TEXT = ViewSpec("text", _text, errors=True)
