"""What went wrong, as html and text: findings, and the exception behind them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from handlerkit.messages import ErrorInfo, Finding, Frame
from handlerkit.view.html import code, details, escape
from handlerkit.view.words import MAX_TEXT, excerpt, file_name, plain


def findings(causes: Sequence[Finding]) -> str:
    boxes = []
    for cause in causes:
        what = escape(plain(cause.message))
        rows = [("where", cause.where), ("TorchServe", cause.effect), ("change", cause.fix)]
        cells = "".join(f"<dt>{name}</dt><dd>{escape(plain(text))}</dd>" for name, text in rows if text)
        kind = "hk-finding" if cause.severity == "error" else "hk-finding hk-quiet"
        told = what if cause.severity == "error" else f'<span class="hk-soft">worth knowing</span> {what}'
        boxes.append(f'<div class="{kind}"><p>{told}</p><dl>{cells}</dl></div>')
    return "".join(boxes)


def findings_text(causes: Sequence[Finding]) -> list[str]:
    lines = []
    for cause in causes:
        head = "cause" if cause.severity == "error" else "worth knowing"
        rows = [(head, cause.message), ("where", cause.where), ("TorchServe", cause.effect), ("change", cause.fix)]
        lines += [f"{name}: {plain(text)}" for name, text in rows if text]
    return lines


def own_frames(error: ErrorInfo) -> tuple[Frame, ...]:
    """The frames in the handler's own files; the last one where there are none."""
    foreign = ("site-packages", "dist-packages", "<frozen", f"{sys.base_prefix}/lib/", str(Path(__file__).parents[1]))
    own = tuple(
        frame
        for frame in error.frames
        if not any(part in frame.file for part in foreign) and not _is_installed(frame.file)
    )
    return own or error.frames[-1:]


def _is_installed(file: str) -> bool:
    """Whether a file without its folders, such as ts/service.py, belongs to an installed package."""
    package = sys.modules.get(file.partition("/")[0]) if "/" in file else None
    return "site-packages" in str(getattr(package, "__file__", ""))


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
