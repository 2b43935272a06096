"""A response that came in more than one piece."""

from __future__ import annotations

from dataclasses import dataclass

from handlerkit.formatting import duration, shorten
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import Source
from handlerkit.view.drawings import MOST, Drawing
from handlerkit.view.html import fragments
from handlerkit.view.views.spec import ViewSpec


@dataclass(frozen=True)
class StreamChunks:
    """A streamed answer, piece by piece. `arrivals`: seconds from the request to each, if known."""

    chunks: tuple[bytes, ...]
    arrivals: tuple[float, ...] | None = None


def _read(source: Source) -> StreamChunks | None:
    chunks = source.response.chunks
    return StreamChunks(chunks, source.response.arrivals) if chunks is not None and len(chunks) > 1 else None


def _draw(content: StreamChunks, answer: DecodedResponse) -> Drawing:
    texts = [shorten(" ".join(fragments.piece(chunk).split())) for chunk in content.chunks[:MOST]]
    if content.arrivals is not None:
        texts = [f"{one}  after {duration(after)}" for one, after in zip(texts, content.arrivals, strict=False)]
    text = "\n".join(f"{number}  {one}" for number, one in enumerate(texts, 1))
    count = len(content.chunks)
    more = f"\n... and {count - MOST} more" if count > MOST else ""
    shown = fragments.stream(content.chunks, content.arrivals)
    return Drawing((f"streamed in {count} chunks",), html=shown, text=text + more)


STREAM = ViewSpec("stream", _read, StreamChunks, _draw, errors=True)
