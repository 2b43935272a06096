"""What went wrong, as html and text: findings, and the exception behind them."""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from handlerkit.formatting import MAX_TEXT, excerpt, file_name, plain
from handlerkit.messages import ErrorInfo, Finding, Frame, Severity
from handlerkit.view.html.elements import code, details, escape

_HEADS: dict[Severity, str] = {"error": "cause", "warning": "warning", "info": "note"}
_MARKS: dict[Severity, str] = {
    severity: "" if severity == "error" else f'<span class="hk-soft">{head}</span> '
    for severity, head in _HEADS.items()
}


def findings(causes: Sequence[Finding]) -> str:
    """Those of an answer: what is no error is marked with its severity."""
    return "".join(box(cause, _MARKS[cause.severity]) for cause in causes)


def box(finding: Finding, mark: str = "", said: Callable[[str], str] = plain) -> str:
    """One finding as html, with `mark`, which is html, before its message; `said` makes its texts fit for a display."""
    kind = "" if finding.severity == "error" else " hk-quiet"
    cells = "".join(f"<dt>{name}</dt><dd>{escape(said(text))}</dd>" for name, text in _rows(finding))
    return f'<div class="hk-finding{kind}"><p>{mark}{escape(said(finding.message))}</p><dl>{cells}</dl></div>'


def findings_text(causes: Sequence[Finding]) -> list[str]:
    """Those of an answer, as lines."""
    return [line for one in causes for line in lines(one, _HEADS[one.severity])]


def lines(finding: Finding, head: str, indent: str = "", said: Callable[[str], str] = plain) -> list[str]:
    """One finding as lines: `head` and its message, and what else it says below; `said` as of `box`."""
    below = [f"{indent}{name}: {said(text)}" for name, text in _rows(finding)]
    return [f"{head}: {said(finding.message)}", *below]


def _rows(finding: Finding) -> list[tuple[str, str]]:
    rows = [("where", finding.where), ("TorchServe", finding.effect), ("fix", finding.fix)]
    return [(name, text) for name, text in rows if text]


def own_frames(error: ErrorInfo) -> tuple[Frame, ...]:
    """The frames in the handler's own files; the last one if there are none."""
    foreign = ("site-packages", "dist-packages", "<frozen", f"{sys.base_prefix}/lib/", str(Path(__file__).parents[2]))
    own = tuple(
        frame
        for frame in error.frames
        if not any(part in frame.file for part in foreign) and not _is_installed(frame.file)
    )
    return own or error.frames[-1:]


@functools.cache
def _is_installed(file: str) -> bool:
    """Whether a file without its folders, such as ts/service.py, belongs to a package of the worker's environment."""
    package, folder, _ = file.partition("/")
    if not folder or not package.isidentifier():
        return False
    spec = importlib.util.find_spec(package)  # which does not import it
    return package in sys.stdlib_module_names or "site-packages" in str(spec and spec.origin)


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
