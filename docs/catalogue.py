"""Writes causes.md: each finding of the catalogue, with a handler or a request that brings it about.

These are the cases of the catalogue's own tests. Each is loaded and called here, and the page shows what the kit said
of it, so the page cannot say what the code does not. A finding that needs more than that, such as a file that changes
meanwhile, has its message as it is written in the code.
"""

from __future__ import annotations

import ast
import io
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any
from unittest.mock import patch

from handlerkit.errors import LoadError
from handlerkit.messages import Finding

HERE = Path(__file__).parent
CASES = HERE.parent / "tests" / "why"
RULES = HERE.parent / "handlerkit" / "why"

HEAD = """\
# What can go wrong

The kit looks at the handler's own objects while they are alive, and says what happened, where, what TorchServe does
about it, and what to change. This is the catalogue: each finding beside a handler that brings it about. The sentences
are those of a run.
"""
SECTIONS = {
    "LOADING": ("The handler does not load", "Registering the model fails."),
    "SET_ASIDE": ("A setting does not count", "The model loads, but not as it was meant to."),
    "RAISED": ("A request fails", "The client gets an error."),
    "REJECTED": ("The server answers itself", "The request is not one that the handler gets."),
    "WARNINGS": ("Nothing fails", "The client gets a success, and not what was meant."),
}


def write(page: Path) -> None:
    """Run every case and write the page."""
    sys.path[:0] = str(CASES), str(CASES / "rules"), str(CASES / "findings")
    import test_why_frontend
    import test_why_loading
    import test_why_raised
    import test_why_registration
    import test_why_warnings

    cases = {
        "LOADING": test_why_loading.LOADING,
        "SET_ASIDE": test_why_registration.SET_ASIDE,
        "RAISED": test_why_raised.RAISED,
        "REJECTED": [case for _, case in test_why_frontend.REJECTED],
        "WARNINGS": test_why_warnings.WARNINGS,
    }
    lines = [HEAD]
    seen: set[str] = set()
    for key, (title, introduction) in SECTIONS.items():
        lines += [f"## {title}", introduction]
        shown: set[str] = set()
        for case in cases[key]:
            found = next((one for one in found_in(case) if one.name == case.name), None)
            if found is not None and case.name not in shown:
                shown.add(case.name)
                lines += [*entry(found), *(sent(case) if key == "REJECTED" else handler(case))]
        seen |= shown
    lines += ["## Besides", "What a request and a handler alone do not bring about."]
    lines += [f"- `{name}`: {escaped(text)}" for name, text in messages().items() if name not in seen]
    page.write_text("\n\n".join(lines) + "\n")


def found_in(case: Any) -> tuple[Finding, ...]:
    """The findings of a case's load, its registration and its call."""
    import torch
    from why_cases import start

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save({"w": torch.ones(1)}, folder / "state.pt")
        command = ["model_service_worker.py", "--sock-type", "unix"]  # a worker's, which one of the handlers reads
        try:
            with patch.object(sys, "argv", command), redirect_stderr(io.StringIO()), start(case, folder) as worker:
                requests = case.request if isinstance(case.request, tuple) else (case.request,)
                return (*worker.load_findings, *worker.predict(*requests).findings)
        except LoadError as problem:
            return problem.findings


def messages() -> dict[str, str]:
    """The message of each finding that is named in `handlerkit.why`, with "…" for what a run puts in."""
    found: dict[str, str] = {}
    for file in sorted(RULES.rglob("*.py")):
        functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for name, message in named(function):
                found.setdefault(name, written(message, function))
    return found


def named(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """Names and messages of the Findings that it makes, or returns as a tuple."""
    for node in ast.walk(function):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
            values = node.args
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
            values = node.value.elts
        if len(values) > 1 and isinstance(values[0], ast.Constant) and isinstance(values[0].value, str):
            yield values[0].value, values[1]


def written(value: ast.expr, function: ast.FunctionDef) -> str:
    """A text as it is written; a name is what was assigned to it last before."""
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.JoinedStr):
        return "".join(written(part, function) for part in value.values)
    if isinstance(value, ast.BinOp):
        return written(value.left, function) + written(value.right, function)
    if isinstance(value, ast.Name):
        before = [
            node
            for node in ast.walk(function)
            if isinstance(node, ast.Assign | ast.AugAssign) and (node.end_lineno or 0) < value.lineno
            and value.id in {getattr(target, "id", "") for target in getattr(node, "targets", None) or [node.target]}
        ]  # fmt: skip
        before.sort(key=lambda node: node.lineno)
        begins = max((at for at, node in enumerate(before) if isinstance(node, ast.Assign)), default=len(before))
        return "".join(written(node.value, function) for node in before[begins:]) or "…"
    return "…"


def entry(found: Finding) -> Iterator[str]:
    """A finding's sentences."""
    yield f"### `{found.name}`"
    yield escaped(found.message)
    rows = [("Where", found.where), ("TorchServe", found.effect), ("Fix", found.fix)]
    yield "\n".join(f"- **{name}**: {escaped(text)}" for name, text in rows if text)


def handler(case: Any) -> Iterator[str]:
    """The handler of a case, and its other files."""
    yield f"```python\n{textwrap.dedent(case.source).strip()}\n```"
    for name, text in case.extra.items():
        if text.strip():
            yield f"`{name}`:\n\n```text\n{text.strip()}\n```"


def sent(case: Any) -> Iterator[str]:
    """The request of a case, whose handler plays no part; what is too long is cut."""
    request = case.request
    head = [f"{request.method} {request.target('m')}", *(f"{name}: {value}" for name, value in request.headers)]
    yield "```text\n" + "\n".join(line if len(line) < 90 else f"{line[:80]} ..." for line in head) + "\n```"


def escaped(text: str) -> str:
    """Text as Markdown shows it, letter by letter."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|$" else letter for letter in text)


if __name__ == "__main__":
    write(HERE / "causes.md")
