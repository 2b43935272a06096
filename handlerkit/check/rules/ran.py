"""What was seen while the handler ran, and a server elsewhere may not have."""

from __future__ import annotations

from collections.abc import Iterator

from handlerkit.check.rules.effects import LOAD, REQUEST, after
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding, Severity, SideEffect
from handlerkit.targets import Target


def seen_while_running(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files elsewhere, connections, programs and imports, each once."""
    reported: set[tuple[str, str]] = set()
    for one in (one for run in subject.runs for call in run.calls for one in call.seen):
        if (one.kind, one.what) in reported:
            continue
        reported.add((one.kind, one.what))
        found = _imported(one, subject, target) if one.kind == "import" else _done(one)
        if found is not None:
            yield found


def _done(one: SideEffect) -> Finding:
    when = "while it was loaded" if one.loading else "in a request"
    effect = LOAD if one.loading else REQUEST
    elsewhere = after("Where that is not possible", effect)
    if one.kind == "read":
        name = one.what.rpartition("/")[2]
        message = f"{one.what} was read {when}: it lies outside the archive."
        fix = f'Put {name} into the archive (extra_files), and open it in properties.get("model_dir").'
        return Finding("seen_read", message, one.where, elsewhere, fix, "warning")
    if one.kind == "write":
        message = f"{one.what} was written {when}: that folder need not be there, or not for writing."
        fix = "Write to tempfile.gettempdir(), or log what you want to keep."
        return Finding("seen_write", message, one.where, elsewhere, fix, "warning")
    if one.kind == "process":
        message = f"A program was started {when}: {one.what}"
        fix = f"Have {one.what.split()[0]} in the image that serves the model."
        return Finding("seen_process", message, one.where, elsewhere, fix, "warning")
    severity: Severity = "warning" if one.loading else "info"
    message = f"{one.what} was asked over the network {when}."
    fix = "Archive what it fetches (extra_files), or see that the server reaches that host."
    return Finding("seen_network", message, one.where, elsewhere, fix, severity)


def _imported(one: SideEffect, subject: Subject, target: Target) -> Finding | None:
    """A module that is imported by name alone, so that reading does not see it, or by a request."""
    program, packages = subject.program(target.python), subject.packages(target)
    read = {found.module.partition(".")[0] for found in program.imports}
    verdict = packages.verdict(one.what)
    if verdict == "missing" and one.what not in read and one.what not in program.tops:
        message = f"{one.what} was imported, and is not in the archive, its requirements or the target {target.name}."
        requirement = packages.requirement(one.what) or one.what
        fix = f"Add {requirement} to {subject.said.get('requirementsFile') or 'requirements.txt'}."
        return Finding("seen_import", message, one.where, LOAD if one.loading else REQUEST, fix)
    if not one.loading and verdict == "there":
        message = f"{one.what} was imported by a request: the first one in each worker waits for that."
        fix = f"Import {one.what} where the file begins, or in initialize."
        return Finding("seen_import", message, one.where, "The first answer is late.", fix, "info")
    return None


RAN_RULES = (seen_while_running,)
