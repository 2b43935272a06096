"""A response that came in more than one piece."""

from __future__ import annotations

from dataclasses import dataclass

from handlerkit.formatting import duration, excerpt, shorten
from handlerkit.view.contents.drawings import MOST, Drawing
from handlerkit.view.decode.pieces import joined, pace
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import Source
from handlerkit.view.html import elements, fragments
from handlerkit.view.views.spec import ViewSpec


@dataclass(frozen=True)
class StreamChunks:
    """A streamed answer, piece by piece. `arrivals`: seconds from the request to each, if known; `text`: what the
    pieces are together, None if they are no text."""

    chunks: tuple[bytes, ...]
    arrivals: tuple[float, ...] | None = None
    text: str | None = None


def _read(source: Source) -> StreamChunks | None:
    response = source.response
    if response.chunks is None or len(response.chunks) < 2:
        return None
    return StreamChunks(response.chunks, response.arrivals, joined(response.chunks, response.content_type))


def _draw(content: StreamChunks, answer: DecodedResponse) -> Drawing:
    count = len(content.chunks)
    fact = f"streamed in {count} chunks{pace(content.arrivals)}"
    pieces = fragments.stream(content.chunks, content.arrivals)
    if content.text is None:
        return Drawing((fact,), html=pieces, text=_listed(content))
    shown = elements.code(excerpt(content.text))
    folded = elements.details("pieces", pieces, str(count))
    return Drawing((fact,), html=shown + folded, text=content.text, small=elements.code(excerpt(content.text, 400)))


def _listed(content: StreamChunks) -> str:
    texts = [shorten(" ".join(fragments.piece(chunk).split())) for chunk in content.chunks[:MOST]]
    if content.arrivals is not None:
        texts = [f"{one}  after {duration(after)}" for one, after in zip(texts, content.arrivals, strict=False)]
    text = "\n".join(f"{number}  {one}" for number, one in enumerate(texts, 1))
    count = len(content.chunks)
    return text + (f"\n... and {count - MOST} more" if count > MOST else "")


STREAM = ViewSpec("stream", _read, StreamChunks, _draw, errors=True)
