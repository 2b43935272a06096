"""Streamed answers while they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from handlerkit.serving.wire import WorkerResponse
from handlerkit.view.decode.pieces import joined, pace
from handlerkit.view.html import elements
from handlerkit.view.html.fragments import piece
from handlerkit.view.output import View

_END = 4000  # characters of a long text: its end, where it grows


@dataclass
class GrowingStreams:
    """The streams of requests that arrived together. `names`: what the requests are called, in their order."""

    names: Sequence[str]
    _pieces: dict[str, list[tuple[bytes, float]]] = field(default_factory=dict)
    _types: dict[str, str] = field(default_factory=dict)

    def take(self, response: WorkerResponse) -> None:
        """One more piece of each, in a worker's intermediate answer."""
        for row in response.predictions:
            pieces = self._pieces.setdefault(row.request_id, [])
            self._types.setdefault(row.request_id, dict(row.headers).get("content-type", row.content_type))
            if row.body:
                pieces.append((row.body, response.elapsed))

    def view(self, state: str = "streaming") -> View:
        """What has come so far, and in which state the streams are."""
        texts, cards = [], []
        for number, (one, pieces) in enumerate(self._pieces.items()):
            name = self.names[number] if number < len(self.names) else f"request {number + 1}"
            chunks = [chunk for chunk, _ in pieces]
            said = f"{state}, {len(chunks)} chunk{'s' * (len(chunks) != 1)}{pace([arrival for _, arrival in pieces])}"
            text = joined(chunks, self._types[one])
            shown = piece(chunks[-1]) if text is None and chunks else text or ""
            shown = shown if len(shown) <= _END else f"…{shown[-_END:]}"
            texts += [f"{name}  ->  {said}", shown]
            head = elements.headline(name, f'<span class="hk-soft">{elements.escape(said)}</span>')
            cards.append(f'<div class="hk-card">{head}{elements.code(shown)}</div>')
        whole = f'<div class="hk-grid">{"".join(cards)}</div>' if len(cards) > 1 else "".join(cards)
        return View("\n".join(texts), elements.page(whole))
