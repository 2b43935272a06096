"""Pieces of html for what is no picture: JSON as a folding tree, weighted words, tensors, streams."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from handlerkit.formatting import MAX_TEXT, byte_size, duration, excerpt, laid_out, shorten
from handlerkit.view.html.elements import code, data_uri, escape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SHORT = 72  # characters of a value that fits on one line
_DEEP = 12  # levels of a tree
_MANY = 50  # children of a node, of a stream
_MARKED = 20_000  # characters of a text with marks
_BINS = 40
_ROWS = 6  # of a table, drawn as lines
_COLUMNS = 500  # of a line's picture
_FOR, _AGAINST = (213, 94, 0), (0, 114, 178)


def pretty(text: str) -> str:
    """JSON laid out, innermost lists on one line; text as it is; long ones are cut instead."""
    try:
        value = json.loads(text) if len(text) <= 100_000 and text.lstrip()[:1] in ("[", "{") else None
    except (ValueError, RecursionError):
        value = None
    if value is None:
        return excerpt(text)
    return excerpt(laid_out(value))


def tree(value: Any) -> str:
    """JSON as a folding tree: its first level open, no more than some thousand nodes."""
    return f'<div class="hk-tree">{_node(value, "", 0, [2000])}</div>'


def _node(value: Any, name: str, depth: int, left: list[int]) -> str:
    """One value and those in it; `left` counts down the nodes that may still be shown."""
    left[0] -= 1
    label = f'<span class="hk-name">{escape(shorten(name, 60))}</span> ' if name else ""
    if not isinstance(value, dict | list) or not value:
        return f"<div>{label}{_leaf(value)}</div>"
    count = f"{len(value)} {'key' if isinstance(value, dict) else 'item'}{'s' * (len(value) != 1)}"
    written = _line(value)
    if written is not None:
        return f"<div>{label}<code>{escape(written)}</code></div>"
    if depth >= _DEEP or left[0] <= 0:
        return f'<div>{label}<span class="hk-soft">{count} …</span></div>'
    pairs = value.items() if isinstance(value, dict) else ((f"{i}", each) for i, each in enumerate(value))
    children = []
    for shown, (key, each) in enumerate(pairs):
        if shown >= _MANY or left[0] <= 0:
            children.append(f'<div class="hk-soft">… {len(value) - shown} more</div>')
            break
        children.append(_node(each, str(key), depth + 1, left))
    opened = " open" if depth == 0 else ""
    head = f'{label}<span class="hk-soft">{count}</span>'
    return f"<details{opened}><summary>{head}</summary>{''.join(children)}</details>"


def _line(value: Any) -> str | None:
    """A short list or object of plain values on one line."""
    items = list(value.values()) if isinstance(value, dict) else value
    if len(items) > 12 or any(isinstance(item, dict | list) for item in items):
        return None
    written = json.dumps(value, ensure_ascii=False)
    return written if len(written) <= _SHORT else None


def _leaf(value: Any) -> str:
    kind = "hk-string" if isinstance(value, str) else "hk-number" if value is not None else "hk-soft"
    return f'<span class="{kind}">{escape(shorten(json.dumps(value, ensure_ascii=False), 300))}</span>'


def words(tokens: Sequence[str], weights: Sequence[float]) -> str:
    """A text whose words are colored by their weight: orange for, blue against, the strongest in full."""
    top = max((abs(weight) for weight in weights if weight == weight), default=0) or 1
    spans = []
    for token, weight in zip(tokens[:2000], weights, strict=False):
        share = abs(weight) / top if weight == weight else 0
        red, green, blue = _FOR if weight > 0 else _AGAINST
        spans.append(
            f'<span style="background:rgba({red},{green},{blue},{0.75 * share:.2f})" '
            f'title="{weight:+.3g}">{escape(token)}</span>'
        )
    more = f'<span class="hk-soft">… {len(tokens) - 2000} more</span>' if len(tokens) > 2000 else ""
    return f'<div class="hk-words">{" ".join(spans)}{more}</div>'


def marked(text: str, spans: Sequence[tuple[int, int, str, tuple[int, int, int]]]) -> str:
    """A text with spans of it marked: (start, end, label, color), in their order; one that begins in another is left
    out."""
    parts, at = [], 0
    for start, end, label, (red, green, blue) in spans:
        if start < at or start >= _MARKED:
            continue
        ground = f"background:rgba({red},{green},{blue},0.25);border-bottom:2px solid rgb({red},{green},{blue})"
        name = f'<span class="hk-soft">{escape(label)}</span>'
        parts += [escape(text[at:start]), f'<mark style="{ground}">{escape(text[start:end])} {name}</mark>']
        at = end
    rest = text[at : max(at, _MARKED)]
    more = f'<span class="hk-soft">… {len(text) - at - len(rest)} characters more</span>'
    return f'<div class="hk-marked">{"".join(parts)}{escape(rest)}{more if len(text) > at + len(rest) else ""}</div>'


def histogram(array: npt.NDArray[Any]) -> str:
    """How often values lie in each of 40 even steps from the smallest to the largest."""
    import numpy as np

    values = _finite(array)
    if not len(values):
        return ""
    low, high = float(np.min(values)), float(np.max(values))
    counts, _ = np.histogram(values, bins=_BINS, range=(low, high if high > low else low + 1))
    bars = "".join(f'<span style="height:{100 * count / np.max(counts):.0f}%"></span>' for count in counts.tolist())
    return (
        f'<div class="hk-histogram"><div>{bars}</div>'
        f'<div class="hk-soft"><span>{low:.4g}</span><span>{high:.4g}</span></div></div>'
    )


def series(array: npt.NDArray[Any]) -> str:
    """Numbers as a line over their index; the first few rows of a table below each other. What is not finite is a
    gap."""
    import numpy as np

    rows = np.asarray(array, np.float64).reshape(-1, array.shape[-1] if array.ndim else 1)
    shown = "".join(_line_chart(row) for row in rows[:_ROWS] if np.isfinite(row).any())
    more = f'<div class="hk-soft">… {len(rows) - _ROWS} more rows</div>' if len(rows) > _ROWS else ""
    return shown + more


def _line_chart(values: npt.NDArray[np.float64]) -> str:
    """One row of numbers. It is drawn from the lowest and the highest of each column of the picture, so that no peak of
    a long one is lost."""
    import numpy as np

    step = max(1, -(-len(values) // _COLUMNS))
    finite = values[np.isfinite(values)]
    low, high = float(np.min(finite)), float(np.max(finite))
    spread = (high - low) or 1.0
    points: list[str] = []
    pieces: list[list[str]] = []
    for place in range(0, len(values), step):
        part = values[place : place + step]
        part = part[np.isfinite(part)]
        if not len(part):
            pieces.append(points)
            points = []
        for value in dict.fromkeys((float(np.min(part)), float(np.max(part))) if len(part) else ()):
            points.append(f"{1000 * place / max(1, len(values) - 1):.1f},{4 + 92 * (high - value) / spread:.1f}")
    lines = "".join(f'<polyline points="{" ".join(piece)}"/>' for piece in (*pieces, points) if piece)
    zero = 4 + 92 * high / spread
    ground = f'<path d="M0 {zero:.1f}H1000" stroke="#888" stroke-width="1"/>' if low < 0 < high else ""
    style = 'fill="none" stroke="#2288cc" stroke-width="1.5" stroke-linejoin="round"'
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="100" viewBox="0 0 1000 100" '
        f'preserveAspectRatio="none"><g {style}>{ground}{lines}</g></svg>'
    ).replace("<polyline", '<polyline vector-effect="non-scaling-stroke"')
    alt = f"{len(values)} numbers from {low:.4g} to {high:.4g}"
    return (
        f'<div class="hk-series"><div class="hk-soft"><span>{high:.4g}</span><span>{low:.4g}</span></div>'
        f'<img alt="{alt}" src="{data_uri("svg+xml", svg.encode())}">'
        f'<div class="hk-ends hk-soft"><span>0</span><span>{len(values) - 1}</span></div></div>'
    )


def tensor_fact(name: str, array: npt.NDArray[Any]) -> str:
    """`logits: float32 [1, 1000], from -3.2 to 9.1, mean 0.02`."""
    import numpy as np

    shape = ", ".join(map(str, array.shape))
    fact = f"{name + ': ' if name else ''}{array.dtype} [{shape}]"
    values = _finite(array)
    if len(values):
        fact += f", from {np.min(values):.4g} to {np.max(values):.4g}, mean {values.mean():.4g}"
    if odd := array.size - len(values):
        fact += f", {odd} not finite"
    return fact


def _finite(array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    import numpy as np

    values = array.astype(np.float64).ravel()
    return values[np.isfinite(values)]


def stream(chunks: Sequence[bytes], arrivals: Sequence[float] | None = None) -> str:
    """The pieces of a streamed answer, one below the other, in the order they came; with the seconds to each."""
    return f'<ol class="hk-stream">{"".join(f"<li>{each}</li>" for each in _pieces(chunks, arrivals))}</ol>'


def _pieces(chunks: Sequence[bytes], arrivals: Sequence[float] | None) -> Iterator[str]:
    for number, chunk in enumerate(chunks[:_MANY]):
        after = f"after {duration(arrivals[number])} · " if arrivals is not None else ""
        yield f'{code(excerpt(piece(chunk), 600))}<span class="hk-soft">{after}{byte_size(len(chunk))}</span>'
    if len(chunks) > _MANY:
        yield f'<span class="hk-soft">… {len(chunks) - _MANY} more</span>'


def piece(chunk: bytes) -> str:
    """A piece of a stream as text, or its first bytes."""
    text = chunk[:MAX_TEXT].decode(errors="replace")
    return text if "\ufffd" not in text and "\0" not in text else f"{chunk[:24].hex(' ')}{' …' * (len(chunk) > 24)}"
