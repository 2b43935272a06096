"""%export: the check, the requirements file that it asks for, and the archive or the app."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from handlerkit.app import App
from handlerkit.archive import Archive, Progress
from handlerkit.check import Check, check
from handlerkit.check.requirements import requirements
from handlerkit.errors import CheckError, HandlerkitError, ModelError, TargetError
from handlerkit.messages import Run
from handlerkit.model import Model, PathLike
from handlerkit.notebook.progress import bytes_written
from handlerkit.notebook.results import Exported, ExportedApp
from handlerkit.notebook.session_model import SessionModel, envelope_of, fingerprint
from handlerkit.targets import find

_WRITTEN_BY = "# Written by %export --requirements auto"
_HEAD = f"""{_WRITTEN_BY}: what the handler imports and the target does not bring, at the
# versions installed here. To change a version, or to add what no import names, edit this file, and leave
# --requirements auto out from then on: it writes the file again.
"""


def export(
    session_model: SessionModel,
    folder: PathLike,
    archive_format: str,
    *,
    force: bool,
    strict: bool,
    requirements: bool,
    target: PathLike,
) -> Exported:
    """Write the archive of what the model is now. Raises as Session.export."""
    with prepared(session_model, strict, requirements, target) as ready:
        model = ready.model
        path = Archive(model, archive_format).save(folder, force=force, progress=ready.progress)
    session_model.archive, session_model.fingerprint = path, fingerprint(model)
    written = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in written)
    names = tuple(one.name for one in model.entries())
    return Exported(Path(folder) / path.name, size, names, check=ready.check, failure=ready.failure, notes=ready.notes)


def export_app(
    session_model: SessionModel,
    folder: PathLike | None,
    *,
    force: bool,
    strict: bool,
    requirements: bool,
    target: PathLike,
) -> ExportedApp:
    """Write an app that serves what the model is now as its worker does. Raises as Session.export."""
    with prepared(session_model, strict, requirements, target) as ready:
        options = session_model.served(envelope_of(session_model.last)) | {"target": target}
        variables = options.pop("environment", None) or {}
        app = App(ready.model, **options)
        path = app.save(folder or f"{ready.model.name}-app", force=force, progress=ready.progress)
        needed = app.requirements()
    notes = [*ready.notes, *needed.notes]
    if app.ignored:
        notes.append(f"without effect in an app: {', '.join(app.ignored)} of config_properties")
    if variables:
        notes.append(f"set where the app starts: {', '.join(variables)}, which this model's environment has")
    files = {file.relative_to(path).as_posix(): file.stat().st_size for file in path.rglob("*") if file.is_file()}
    return ExportedApp(
        Path(folder or path.name),
        tuple(sorted(files.items())),
        check=ready.check,
        failure=ready.failure,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class Ready:
    """A model that is about to be written: what was found, and what to tell of it."""

    model: Model
    check: Check | None
    failure: str
    notes: tuple[str, ...]
    progress: Progress


@contextmanager
def prepared(session_model: SessionModel, strict: bool, requirements: bool, target: PathLike) -> Iterator[Ready]:
    """Check what the model is now, in the block that writes it. Raises as Session.export."""
    notes: list[str] = []
    with ExitStack() as stack:
        if requirements:
            notes.append(stack.enter_context(requirements_written(session_model, target)))
        model = session_model.build()
        checked = before_export(model, target, session_model.runs)
        if failure := session_model.load_failure():
            notes.append(session_model.advice)
        if strict:
            refuse_errors(model, checked, failure)
        progress = stack.enter_context(bytes_written(f"writing {model.name}"))
        yield Ready(model, checked.check, failure, (*notes, *filter(None, [checked.problem])), progress)


@dataclass(frozen=True)
class Checked:
    """A Check, or None if the check failed: `problem` is then the line that says so."""

    check: Check | None
    problem: str = ""


def before_export(model: Model, target: PathLike, runs: Sequence[Run]) -> Checked:
    """Check a model that is about to be written. Raises TargetError for an unknown target."""
    try:
        return Checked(check(model, target=target, runs=runs))
    except TargetError:
        raise
    except Exception as problem:
        return Checked(None, f"not checked: the check itself failed ({_line(problem)})")


def refuse_errors(model: Model, checked: Checked, failure: str) -> None:
    """Raises CheckError, which says what to change, for an error that was found, if nothing was checked, and for
    a `failure` to load."""
    if failure:
        raise CheckError(f"{model.name} is not written, as --strict asks: {failure}")
    if checked.check is None:
        raise CheckError(f"{model.name} is not written, as --strict asks for a check: {checked.problem}")
    if not checked.check:
        errors = [finding for finding in checked.check.findings if finding.severity == "error"]
        head = f"{model.name} is not written, as --strict asks: the check for {checked.check.target} found"
        raise CheckError("\n".join([f"{head} {len(errors)} error{'s' * (len(errors) > 1)}", *map(str, errors)]))


@contextmanager
def requirements_written(model: SessionModel, target: PathLike) -> Iterator[str]:
    """Give a model the requirements file that a check for the target asks for, NAME-requirements.txt in the current
    folder; if nothing is needed, it has none. Gives the line that says so.

    Where the block raises, the file and the model are as they were before. Raises ModelError for a model that has
    another requirements file, and if that file is the user's own; TargetError.
    """
    name = find(target).name
    path, given = Path(f"{model.name}-requirements.txt"), model.options["requirements_file"]
    before = path.read_text() if path.is_file() else None
    _refuse_own(model.name, given, path, before)
    try:
        model.options["requirements_file"] = None
        lines = _asked_for(model.build(), target)
        if lines:
            path.write_text(_HEAD + "\n".join([*lines, ""]))
            model.options["requirements_file"] = str(path.absolute())
        else:
            path.unlink(missing_ok=True)
        yield f"{path} is written: {', '.join(lines)}" if lines else f"{name} brings all that {model.name} imports"
    except BaseException:
        model.options["requirements_file"] = given
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
            f"{path} exists, and not from --requirements auto: name it to %model with --requirements-file, "
            "or move it away"
        )


def _asked_for(model: Model, target: PathLike) -> tuple[str, ...]:
    try:
        return requirements(model, target=target)
    except HandlerkitError:
        raise
    except Exception as problem:
        raise HandlerkitError(
            f"what {model.name} requires could not be read from its code ({_line(problem)}): write the file yourself, "
            "and name it with --requirements-file"
        ) from problem


def _line(problem: Exception) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())
