"""What happens before an archive is written: the check, which stops no export if it fails itself, and the requirements
file that it would ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from handlerkit.check import Check, check
from handlerkit.check.requirements import requirements
from handlerkit.errors import ArchiveError, HandlerkitError, ModelError, TargetError
from handlerkit.messages import Run
from handlerkit.model import Model, PathLike
from handlerkit.notebook.session_model import SessionModel
from handlerkit.targets import find

_WRITTEN_BY = "# Written by %export --requirements auto"
_HEAD = f"""{_WRITTEN_BY}: what the handler imports and the target does not bring, at the
# versions installed here. To change a version, or to add what no import names, edit this file, and leave
# --requirements auto out from then on: it writes the file anew.
"""


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
        return Checked(None, f"not checked: the check itself failed ({_told(problem)})")


def refuse_errors(model: Model, checked: Checked, failure: str) -> None:
    """Raises ArchiveError, which says what to change, for an error that was found, where nothing was checked, and for
    a `failure` to load."""
    if failure:
        raise ArchiveError(f"{model.name} is not written, as --strict asks: {failure}")
    if checked.check is None:
        raise ArchiveError(f"{model.name} is not written, as --strict asks for a check: {checked.problem}")
    if not checked.check:
        errors = [finding for finding in checked.check.findings if finding.severity == "error"]
        head = f"{model.name} is not written, as --strict asks: the check for {checked.check.target} found"
        raise ArchiveError("\n".join([f"{head} {len(errors)} error{'s' * (len(errors) > 1)}", *map(str, errors)]))


@contextmanager
def requirements_written(entry: SessionModel, target: PathLike) -> Iterator[str]:
    """Give a model the requirements file that a check for the target asks for, NAME-requirements.txt in the current
    folder; where nothing is needed, it has none. Gives the line that says so.

    Where the block raises, the file and the model are as they were before. Raises ModelError for a model that has
    another requirements file, and where that file is the user's own; TargetError.
    """
    name = find(target).name
    path, given = Path(f"{entry.name}-requirements.txt"), entry.options["requirements_file"]
    before = path.read_text() if path.is_file() else None
    _refuse_own(entry.name, given, path, before)
    try:
        entry.options["requirements_file"] = None
        lines = _asked_for(entry.build(), target)
        if lines:
            path.write_text(_HEAD + "\n".join([*lines, ""]))
            entry.options["requirements_file"] = str(path.absolute())
        else:
            path.unlink(missing_ok=True)
        yield f"{path} is written: {', '.join(lines)}" if lines else f"{name} brings all that {entry.name} imports"
    except BaseException:
        entry.options["requirements_file"] = given
        if before is not None:
            path.write_text(before)
        else:
            path.unlink(missing_ok=True)
        raise


def _refuse_own(name: str, given: str | None, path: Path, before: str | None) -> None:
    if given is not None and Path(given).absolute() != path.absolute():
        raise ModelError(
            f"{name} has a requirements file, {given}: add to it what %check asks for, or leave it out of %model for "
            "--requirements auto"
        )
    if before is not None and not before.startswith(_WRITTEN_BY):
        raise ModelError(
            f"{path} is there already, and not from --requirements auto: name it to %model with --requirements-file, "
            "or move it away"
        )


def _asked_for(model: Model, target: PathLike) -> tuple[str, ...]:
    try:
        return requirements(model, target=target)
    except HandlerkitError:
        raise
    except Exception as problem:
        raise HandlerkitError(
            f"what {model.name} requires could not be read from its code ({_told(problem)}): write the file yourself, "
            "and name it with --requirements-file"
        ) from problem


def _told(problem: Exception) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())
