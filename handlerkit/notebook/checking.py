"""The check before an export: what it found, or that it failed itself, which stops no export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handlerkit.check import Check, check
from handlerkit.errors import ArchiveError, TargetError
from handlerkit.messages import Run
from handlerkit.model import Model, PathLike


@dataclass(frozen=True)
class Checked:
    """A Check, or None where it failed: `problem` is then the line that says so."""

    check: Check | None
    problem: str = ""


def before_export(model: Model, target: PathLike, runs: Sequence[Run]) -> Checked:
    """Check a model that is about to be written. Raises TargetError for a target that is not known."""
    try:
        return Checked(check(model, target=target, runs=runs))
    except TargetError:
        raise
    except Exception as problem:
        said = " ".join(f"{type(problem).__name__}: {problem}".split())
        return Checked(None, f"not checked: the check itself failed ({said})")


def refuse_errors(model: Model, checked: Checked) -> None:
    """Raises ArchiveError, which says what to change, for an error that was found, and where nothing was checked."""
    if checked.check is None:
        raise ArchiveError(f"{model.name} is not written, as --strict asks for a check: {checked.problem}")
    if not checked.check:
        errors = [finding for finding in checked.check.findings if finding.severity == "error"]
        head = f"{model.name} is not written, as --strict asks: the check for {checked.check.target} found"
        raise ArchiveError("\n".join([f"{head} {len(errors)} error{'s' * (len(errors) > 1)}", *map(str, errors)]))
