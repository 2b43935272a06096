"""The pieces of a stream: the text that they are together, and how fast they came."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from handlerkit.formatting import duration
from handlerkit.messages.response import chunk_rate

_EVENTS = "text/event-stream"


def joined(chunks: Sequence[bytes], content_type: str | None = None) -> str | None:
    """The text of a stream so far, without a character that has not ended; None for bytes, and for pieces that are JSON
    each. Of server-sent events it is what their data say, where that is text as language models send it."""
    body = b"".join(chunks)
    try:
        text = body.decode()
    except UnicodeDecodeError as problem:
        if problem.end < len(body) or problem.reason != "unexpected end of data":
            return None
        text = body[: problem.start].decode()
    if "\0" in text or (len(chunks) > 1 and all(map(_is_json, chunks))):
        return None
    if (content_type or "").startswith(_EVENTS):
        texts = list(_told(text))
        return "".join(texts) if texts else text
    return text


def pace(arrivals: Sequence[float] | None) -> str:
    """`, the first after 20 ms, ≈45 chunks a second`; "" if the moments are not known."""
    if not arrivals:
        return ""
    rate = chunk_rate(arrivals) or 0.0
    written = f", ≈{rate:.3g} chunks a second" if rate < 1000 else f", ≈{rate:.0f} chunks a second"
    return f", the first after {duration(arrivals[0])}{written if rate else ''}"


def _is_json(chunk: bytes) -> bool:
    if chunk.strip()[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(chunk)
    except (ValueError, RecursionError):
        return False
    return True


def _told(events: str) -> Iterator[str]:
    """The texts in the data of events: `data: {"choices": [{"delta": {"content": "a"}}]}` and the like."""
    for line in events.splitlines():
        name, _, data = line.partition(":")
        if name != "data" or not _is_json(data.encode()):
            continue
        value: Any = json.loads(data)
        for key in ("choices", 0, "delta", "message", "token", "content", "text"):
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif isinstance(value, list) and key == 0 and value:
                value = value[0]
        if isinstance(value, str):
            yield value
