"""Findings as lines that GitHub shows beside the code of a pull request."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handlerkit.check import Check
    from handlerkit.messages import Finding
    from handlerkit.model import Model

_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}
_PLACE = re.compile(r"(?P<file>[^,]+?)(?:, line (?P<line>\d+))?(?:,.*)?")


def workflow_commands(check: Check, model: Model | None) -> Iterator[str]:
    """A workflow command for each finding, after a line that says what was checked.

    Args:
        model: whose files the findings are in; without one, for an archive, no file of the repository is named.
    """
    yield f"checked {check.name} for {check.target}: {len(check.findings)} found"
    sources = {one.name: one.source for one in model.entries()} if model is not None else {}
    for finding in check.findings:
        place = _place(finding, sources)
        title = _property(f"{check.name}: {finding.name}")
        says = "\n".join(filter(None, [finding.message, finding.effect, finding.fix, "" if place else finding.where]))
        yield f"::{_LEVELS[finding.severity]} {place}title={title}::{_message(says)}"


def _place(finding: Finding, sources: dict[str, Path]) -> str:
    """The file, as it is called from the root of the repository, and the line."""
    found = _PLACE.fullmatch(finding.where)
    source = sources.get(found["file"]) if found else None
    if found is None or source is None:
        return ""
    root = Path(os.environ.get("GITHUB_WORKSPACE", ".")).absolute()
    file = Path(os.path.relpath(source, root)).as_posix()
    return f"file={_property(file)}," + (f"line={found['line']}," if found["line"] else "")


def _message(text: str) -> str:
    """As @actions/core escapes data: https://docs.github.com/actions/reference/workflow-commands-for-github-actions."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As @actions/core escapes the value of a property."""
    return _message(text).replace(":", "%3A").replace(",", "%2C")
