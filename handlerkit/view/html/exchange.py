"""What was asked and answered, and what the worker said: the parts of a display that are alike for every answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from handlerkit.formatting import MAX_TEXT, byte_size, duration, percent, plain
from handlerkit.messages import Headers, LogLine, Metric, Request, Response, describe_response
from handlerkit.messages.secret_names import is_secret_name
from handlerkit.serving.torchserve_facts import CALL_BEGINS, METRIC, REQUEST_ID
from handlerkit.timing import STAGES, Timings
from handlerkit.verify import ComparedResponse
from handlerkit.view import draw
from handlerkit.view.html import elements
from handlerkit.view.html.elements import code, data_uri, details, escape, swatch, table

_SECONDS = {"ms": 1e-3, "milliseconds": 1e-3, "s": 1.0, "seconds": 1.0, "us": 1e-6, "microseconds": 1e-6}
#: Log lines of TorchServe's own that hold times and ids; a Metric shows the first kind.
_BOOKKEEPING = (METRIC, CALL_BEGINS)
_OTHER = (115, 115, 115)


def asked(request: Request, model: str, gap: str) -> str:
    """`POST /predictions/coins · coins.png as image/png`."""
    kind = f"as {request.content_type}" if request.content_type else "without a content type"
    label = f"{gap}{request.label} {kind}" if request.label else ""
    return f"{request.method} {request.target(model)}{label}"


def answered(response: Response, limit: int | None = None) -> str:
    """`200 image/png, 110.2 KB (1.7 % of max_response_size)`."""
    status = describe_response(response)
    if response.status is None:
        return status
    kind = response.content_type or "no content type"
    pieces = f", {_chunks(response.chunks)}" if response.chunks is not None else ""
    share = f" ({percent(len(response.body) / limit)} of max_response_size)" if limit else ""
    return f"{status}{',' * (' ' in status)} {kind}, {byte_size(len(response.body))}{pieces}{share}"


def badge(response: Response) -> str:
    """The status, colored by whether it is a success."""
    failed = response.status is None or response.status >= 400
    return elements.badge("ok" if response.ok else "bad" if failed else "odd", describe_response(response))


def verdict(row: ComparedResponse) -> str:
    """Of a comparison, colored by whether the answers are the same."""
    return elements.badge("bad" if row.verdict == "different" else "ok", row.verdict)


def status_line(request: Request, response: Response, model: str, limit: int) -> str:
    share = len(response.body) / limit if limit else 0
    of_limit = f"{escape(percent(share))} of max_response_size {byte_size(limit)}"
    meter = f'<span class="hk-meter"><span style="width:{min(100, 100 * share):.1f}%"></span></span>'
    pieces = f" · {_chunks(response.chunks)}" if response.chunks is not None else ""
    size = (
        f'<span class="hk-soft">{escape(response.content_type or "no content type")} · {byte_size(len(response.body))}'
        f"{pieces} · {of_limit}</span>{meter if share >= 0.05 else ''}"
    )
    return (
        f'<div class="hk-line"><span class="hk-asked">{escape(asked(request, model, " · "))}</span>{badge(response)}'
        f"{size if response.status is not None else ''}</div>"
    )


def _chunks(chunks: Sequence[bytes]) -> str:
    return f"{len(chunks)} chunk{'s' * (len(chunks) != 1)}"


def times(timings: Timings) -> str:
    """`decode 84 µs  preprocess 1.2 ms ...  total 8.7 ms`: two spaces apart, since columns would follow the times."""
    rows = [*timings, ("total", timings.total)]
    return "  ".join(f"{name} {duration(seconds)}" for name, seconds in rows)


def stages(timings: Timings) -> str:
    """A bar of the stages, as a picture since its widths are times, and their names and times below."""
    colors = stage_colors(timings.stages)
    x, rects, legend = 0.0, [], []
    for name, seconds in timings:
        color = f"rgb{colors[name]}".replace(" ", "")
        width = 1000 * seconds / timings.total if timings.total else 0.0
        rects.append(f'<rect x="{x:.1f}" width="{width:.1f}" height="10" fill="{color}"/>')
        legend.append(f"<span>{swatch(color)}{escape(name)}</span> <b>{duration(seconds)}</b>")
        x += width
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="10" viewBox="0 0 1000 10" '
        f'preserveAspectRatio="none">{"".join(rects)}</svg>'
    )
    legend.append(f"<span>total</span> <b>{duration(timings.total)}</b>")
    items = "".join(f'<span class="hk-item">{item}</span>' for item in legend)
    return (
        f'<img class="hk-stages" alt="" src="{data_uri("svg+xml", svg.encode())}"><div class="hk-items">{items}</div>'
    )


def stage_colors(stages: Iterable[str]) -> dict[str, draw.Color]:
    """The color of each stage: a handler's own have those that the usual ones leave, in their order."""
    own = [name for name in stages if name not in STAGES]
    return {name: draw.color(place) for place, name in enumerate((*STAGES, *own))} | {"other": _OTHER}


def headers(request: Headers, response: Headers) -> str:
    both = table("request", map(_header, request)) + table("response", map(_header, response))
    return details("headers", f'<div class="hk-pair">{both}</div>') if both else ""


def _header(pair: tuple[str, str]) -> tuple[str, str]:
    """A header without what differs each time, and without secrets: a notebook is passed on."""
    name, value = pair
    if name.lower() == REQUEST_ID:
        value = "…"
    elif name.lower() == "content-type":
        value = re.sub(r"(boundary=).*", r"\1…", value)
    elif is_secret_name(name):
        value = f"{value.partition(' ')[0]} …" if " " in value else "…"
    return name, plain(value if len(value) <= 300 else value[:300] + "…")


def log(lines: Sequence[LogLine], metrics: Sequence[Metric]) -> str:
    """The worker's lines without TorchServe's own book-keeping, and the metrics its lines hold."""
    texts = [line.text for line in lines if not line.text.startswith(_BOOKKEEPING)]
    whole = "\n".join(plain(text) for text in texts).rstrip()
    if len(whole) > 2 * MAX_TEXT:  # the end says why
        whole = "…\n" + whole[-2 * MAX_TEXT :]
    shown = details("log", code(whole), f"{len(texts)} line{'s' * (len(texts) != 1)}") if whole else ""
    rows = [(sample.name, _sample(sample)) for sample in metrics[:50]]
    return shown + (details("metrics", table("", rows), str(len(metrics))) if rows else "")


def _sample(sample: Metric) -> str:
    """`1.2 ms {Level: Model}`."""
    factor = _SECONDS.get(sample.unit.lower())
    value = duration(sample.value * factor) if factor else f"{sample.value:g} {sample.unit}"
    dimensions = ", ".join(f"{name}: {text}" for name, text in sample.dimensions)
    return f"{value} {{{dimensions}}}" if dimensions else value
