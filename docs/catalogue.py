"""Writes causes.md: each finding of the catalogue, with a handler that brings it about.

The handlers are the cases of the catalogue's own tests. Each is loaded and called here, and the page shows what the kit
said of it, so the page cannot say what the code does not.
"""

from __future__ import annotations

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
    "WARNINGS": ("Nothing fails", "The client gets a success, and not what was meant."),
}


def write(page: Path) -> None:
    """Run every case and write the page."""
    sys.path[:0] = str(CASES), str(CASES / "rules"), str(CASES / "findings")
    import test_why_loading
    import test_why_raised
    import test_why_registration
    import test_why_warnings

    cases = {
        "LOADING": test_why_loading.LOADING,
        "SET_ASIDE": test_why_registration.SET_ASIDE,
        "RAISED": test_why_raised.RAISED,
        "WARNINGS": test_why_warnings.WARNINGS,
    }
    lines = [HEAD]
    for key, (title, introduction) in SECTIONS.items():
        lines += [f"## {title}", introduction]
        shown: set[str] = set()
        for case in cases[key]:
            found = next((one for one in found_in(case) if one.name == case.name), None)
            if found is not None and case.name not in shown:
                shown.add(case.name)
                lines += entry(found, case)
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


def entry(found: Finding, case: Any) -> Iterator[str]:
    """One finding: its sentences, and the handler."""
    yield f"### `{found.name}`"
    yield escaped(found.message)
    rows = [("Where", found.where), ("TorchServe", found.effect), ("Fix", found.fix)]
    yield "\n".join(f"- **{name}**: {escaped(text)}" for name, text in rows if text)
    yield f"```python\n{textwrap.dedent(case.source).strip()}\n```"
    for name, text in case.extra.items():
        if text.strip():
            yield f"`{name}`:\n\n```text\n{text.strip()}\n```"


def escaped(text: str) -> str:
    """Text as Markdown shows it, letter by letter."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|$" else letter for letter in text)


if __name__ == "__main__":
    write(HERE / "causes.md")
