"""Pieces of html and text that views are made of.

What a display says is the same each time but for times and what stands in data URIs (notebooks are compared by that):
no ids, no addresses, no temporary paths. `plain` takes them out of text that others wrote, `duration` writes every time
in a form that one pattern finds: a number, a space, and ns, µs, ms, s or min.
"""

from __future__ import annotations

import base64
import functools
import html
import io
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from handlerkit.messages import ErrorInfo, Finding, Frame, Headers, LogLine, Metric, Request, Response, describe
from handlerkit.timing import STAGES, Timings
from handlerkit.view import draw

if TYPE_CHECKING:
    from PIL import Image

escape = html.escape

#: An html output stays below this many bytes; the text around a picture is cut so that room for one is left.
MAX_HTML = 300_000
MAX_TEXT = 4096

_SECONDS = {"ms": 1e-3, "milliseconds": 1e-3, "s": 1.0, "seconds": 1.0, "us": 1e-6, "microseconds": 1e-6}
#: Log lines of TorchServe's own that hold times and ids; a Metric shows the first kind.
_BOOKKEEPING = ("[METRICS]", "Backend received inference at")
_OTHER = (150, 150, 150)


def duration(seconds: float) -> str:
    """`84 µs`, `1.2 ms`, `3.4 s`: three digits at most up to a minute, one after the point below a hundred."""
    value, unit = seconds * 1e9, "ns"
    for step, name in ((1000, "µs"), (1000, "ms"), (1000, "s"), (60, "min")):
        if (round(value) if value >= 99.95 else round(value, 1)) < step:
            break
        value, unit = value / step, name
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{round(value, 1):g} {unit}"


def size(count: int) -> str:
    """`89 B`, `12.4 KB`, `6.6 MB`: decimal units, as in max_response_size's 6553500."""
    value, unit = float(count), "B"
    for name in ("KB", "MB", "GB"):
        if round(value, 1) < 1000:
            break
        value, unit = value / 1000, name
    return f"{round(value, 1):g} {unit}"


def percent(share: float) -> str:
    """`31.2 %`, `<0.1 %`."""
    return "<0.1 %" if 0 < share < 0.0005 else f"{round(100 * share, 1):g} %"


def excerpt(text: str, limit: int = MAX_TEXT, whole: int | None = None) -> str:
    """The text's beginning and how much was left out; `whole` is its length where `text` is only a part."""
    whole = len(text) if whole is None else whole
    return text if whole <= limit else f"{text[:limit]}\n… {size(whole - limit)} more"


def shorten(line: str, limit: int = 120) -> str:
    """One line of that many characters at most."""
    return line if len(line) <= limit else line[: limit - 1] + "…"


def plain(text: str) -> str:
    """Without what differs from run to run or only a terminal understands: addresses, temporary folders, colours."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    text = re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x…", text)
    for root in dict.fromkeys((str(Path.cwd()), sys.prefix, sys.base_prefix)):
        text = text.replace(root.rstrip("/") + "/", "") if root != "/" else text
    for root in {tempfile.gettempdir(), str(Path(tempfile.gettempdir()).resolve()), "/tmp", "/var/tmp"}:
        below = rf"(?<![\w.]){re.escape(root)}(?![\w-])(/[^\s\"'<>|:;,()]*)?"
        text = re.sub(below, lambda found: _last(found[0]), text)
    return text


def _last(path: str) -> str:
    return "…/" + path.rstrip("/").rpartition("/")[2] if path.count("/") > 1 else "…"


def file_name(path: str) -> str:
    """A file as its user calls it: without the folders above the current one, and without temporary ones."""
    short = plain(path)
    return Path(path).name if short.startswith(("/", "…")) else short


# --- what was asked and answered ------------------------------------------------------------------------------------


def asked(request: Request, model: str, gap: str) -> str:
    """`POST /predictions/coins · coins.png`."""
    return f"{request.method} {request.target(model)}" + (f"{gap}{request.label}" if request.label else "")


def answered(response: Response, limit: int | None = None) -> str:
    """`200 image/png, 110.2 KB (1.7 % of max_response_size)`."""
    status = describe(response)
    kind = response.content_type or "no content type"
    pieces = f", {len(response.chunks)} chunks" if response.chunks is not None else ""
    share = f" ({percent(len(response.body) / limit)} of max_response_size)" if limit else ""
    return f"{status}{',' * (' ' in status)} {kind}, {size(len(response.body))}{pieces}{share}"


def pill(response: Response) -> str:
    """The status, coloured by whether it is a success."""
    kind = "ok" if response.ok else "bad" if response.status is None or response.status >= 400 else "odd"
    return f'<span class="hk-pill hk-{kind}">{escape(describe(response))}</span>'


def status_line(request: Request, response: Response, model: str, limit: int) -> str:
    share = len(response.body) / limit if limit else 0
    meter = f'<span class="hk-meter"><span style="width:{min(100, 100 * share):.1f}%"></span></span>'
    pieces = f" · {len(response.chunks)} chunks" if response.chunks is not None else ""
    return (
        f'<div class="hk-line"><span class="hk-asked">{escape(asked(request, model, " · "))}</span>{pill(response)}'
        f'<span class="hk-soft">{escape(response.content_type or "no content type")} · {size(len(response.body))}'
        f"{pieces} · {percent(share)} of max_response_size {size(limit)}</span>{meter if share >= 0.05 else ''}</div>"
    )


def times(timings: Timings) -> str:
    """`decode 84 µs  preprocess 1.2 ms ...  total 8.7 ms`: two spaces apart, since columns would follow the times."""
    rows = [*timings, ("total", timings.total)]
    return "  ".join(f"{name} {duration(seconds)}" for name, seconds in rows)


def stages(timings: Timings) -> str:
    """A bar of the stages, as a picture since its widths are times, and their names and times below."""
    x, rects, legend = 0.0, [], []
    for name, seconds in timings:
        ink = f"rgb{draw.colour(STAGES.index(name)) if name in STAGES else _OTHER}".replace(" ", "")
        width = 1000 * seconds / timings.total if timings.total else 0.0
        rects.append(f'<rect x="{x:.1f}" width="{width:.1f}" height="10" fill="{ink}"/>')
        legend.append(f"{_swatch(ink)}{escape(name)} <b>{duration(seconds)}</b>")
        x += width
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="10" viewBox="0 0 1000 10" '
        f'preserveAspectRatio="none">{"".join(rects)}</svg>'
    )
    legend.append(f"total <b>{duration(timings.total)}</b>")
    items = "".join(f'<span class="hk-item">{item}</span>' for item in legend)
    return (
        f'<img class="hk-stages" alt="" src="{_data_uri("svg+xml", svg.encode())}"><div class="hk-items">{items}</div>'
    )


# --- pictures and their keys ----------------------------------------------------------------------------------------


def picture(image: Image.Image, budget: int, alt: str = "", kind: str = "hk-picture") -> str:
    """An <img> whose data URI stays within `budget` characters: less quality first, then fewer pixels."""
    image = draw.fit(image)
    width = image.width
    while True:
        for quality in (85, 70):
            format_, data = encode(image, quality)
            if len(data) * 4 / 3 + 300 + len(alt) <= budget or max(image.size) <= 32:
                uri = _data_uri(format_, data)
                return f'<img class="{kind}" width="{width}" alt="{escape(alt)}" src="{uri}">'
        image = draw.fit(image, max(1, round(image.width * 0.75)), max(1, round(image.height * 0.75)))


def encode(image: Image.Image, quality: int = 85) -> tuple[str, bytes]:
    """JPEG, but PNG where JPEG would lose something that is seen: transparency, flat colours, small pictures."""
    buffer = io.BytesIO()
    if image.mode in ("1", "P", "RGBA", "LA", "PA") or image.width * image.height <= 128 * 128:
        image.save(buffer, "PNG", compress_level=6)
        return "png", buffer.getvalue()
    draw.rgb(image).save(buffer, "JPEG", quality=quality)
    return "jpeg", buffer.getvalue()


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _swatch(ink: str) -> str:
    return f'<span class="hk-swatch" style="background:{ink}"></span>'


def key(rows: Iterable[tuple[str, str, tuple[int, int, int], float | None]]) -> str:
    """(name, value, colour, share) rows: a bar each where there are shares, otherwise swatches on a line."""
    bars, items = [], []
    for name, value, colour, share in rows:
        ink = f"rgb{colour}".replace(" ", "")
        if share is None:
            items.append(f'<span class="hk-item">{_swatch(ink)}{escape(name)} <b>{escape(value)}</b></span>')
        else:
            bar = f'<span class="hk-bar" style="width:{max(0.3, 100 * min(1.0, share)):.1f}%;background:{ink}"></span>'
            bars.append(
                f'<span class="hk-name">{escape(name)}</span><span class="hk-track">{bar}</span><b>{escape(value)}</b>'
            )
    whole = f'<div class="hk-bars">{"".join(bars)}</div>' if bars else ""
    return whole + (f'<div class="hk-items">{"".join(items)}</div>' if items else "")


# --- what went wrong ------------------------------------------------------------------------------------------------


def findings(causes: Sequence[Finding]) -> str:
    boxes = []
    for cause in causes:
        what = escape(plain(cause.what))
        rows = [("where", cause.where), ("TorchServe", cause.served), ("change", cause.change)]
        cells = "".join(f"<dt>{name}</dt><dd>{escape(plain(text))}</dd>" for name, text in rows if text)
        kind = "hk-finding hk-quiet" if cause.quiet else "hk-finding"
        told = f'<span class="hk-soft">worth knowing</span> {what}' if cause.quiet else what
        boxes.append(f'<div class="{kind}"><p>{told}</p><dl>{cells}</dl></div>')
    return "".join(boxes)


def findings_text(causes: Sequence[Finding]) -> list[str]:
    lines = []
    for cause in causes:
        head = "worth knowing" if cause.quiet else "cause"
        rows = [(head, cause.what), ("where", cause.where), ("TorchServe", cause.served), ("change", cause.change)]
        lines += [f"{name}: {plain(text)}" for name, text in rows if text]
    return lines


def own_frames(error: ErrorInfo) -> tuple[Frame, ...]:
    """The frames in the handler's own files; the last one where there are none."""
    foreign = ("site-packages", "dist-packages", "<frozen", f"{sys.base_prefix}/lib/", str(Path(__file__).parents[1]))
    own = tuple(frame for frame in error.frames if not any(part in frame.file for part in foreign))
    return own or error.frames[-1:]


def error(info: ErrorInfo) -> str:
    """The handler's own lines, and the whole traceback to unfold."""
    rows = "".join(
        f'<div><span class="hk-soft">{escape(file_name(frame.file))}:{frame.line} in {escape(frame.function)}</span>'
        f"<pre>    {escape(frame.source)}</pre></div>"
        for frame in own_frames(info)
    )
    said = f"<div><b>{escape(info.type)}</b>: {escape(excerpt(plain(info.message), 1000))}</div>"
    whole = details("whole traceback", code(traceback(info)))
    return f'<div class="hk-error">{rows}{said}</div>{whole}'


def error_text(info: ErrorInfo) -> list[str]:
    lines = [
        f"  {file_name(frame.file)}:{frame.line} in {frame.function}: {frame.source}" for frame in own_frames(info)
    ]
    return [*lines, f"  {info.type}: {excerpt(plain(info.message), 1000)}"]


def traceback(info: ErrorInfo) -> str:
    """The traceback's end, its files under short names."""
    text = re.sub(r'File "([^"]+)"', lambda found: f'File "{file_name(found[1])}"', info.traceback)
    return plain(text if len(text) <= 4 * MAX_TEXT else "…\n" + text[-4 * MAX_TEXT :]).rstrip()


# --- folded parts ---------------------------------------------------------------------------------------------------


def details(summary: str, body: str, count: str = "") -> str:
    note = f' <span class="hk-soft">{escape(count)}</span>' if count else ""
    return f"<details><summary>{escape(summary)}{note}</summary>{body}</details>"


def code(text: str) -> str:
    return f'<pre class="hk-code">{escape(text)}</pre>'


def table(caption: str, rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    head = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<table class="hk-table">{head}<tbody>{body}</tbody></table>' if body else ""


def headers(request: Headers, response: Headers) -> str:
    both = table("request", map(_header, request)) + table("response", map(_header, response))
    return details("headers", f'<div class="hk-pair">{both}</div>') if both else ""


def _header(pair: tuple[str, str]) -> tuple[str, str]:
    """A header without what differs each time, and without secrets: a notebook is passed on."""
    name, value = pair
    if name.lower() == "x-request-id":
        value = "…"
    elif name.lower() == "content-type":
        value = re.sub(r"(boundary=).*", r"\1…", value)
    elif name.lower() in ("authorization", "proxy-authorization", "cookie"):
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


def folds(*parts: str) -> str:
    """Folded parts side by side; one that is opened takes the whole width."""
    return f'<div class="hk-folds">{"".join(parts)}</div>' if any(parts) else ""


@functools.cache
def _style() -> str:
    return (resources.files(__package__) / "static" / "style.css").read_text("utf-8")


def page(*parts: str, kind: str = "") -> str:
    """One display: the style, and the parts that are not empty."""
    return f'<style>{_style()}</style><div class="hk-view{kind}">{"".join(parts)}</div>'


def counted(words: Mapping[str, int]) -> str:
    """`3 × 200, 1 × 503 Prediction failed`."""
    return ", ".join(f"{count} × {word}" for word, count in words.items())
