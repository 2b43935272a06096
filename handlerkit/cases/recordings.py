"""Requests that others saved, as cases that have no answer yet: a browser's HAR, or a file of curl lines; and which
cases are run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from handlerkit.cases.case import Case
from handlerkit.cases.folder import SUFFIX
from handlerkit.cases.har import same_requests
from handlerkit.cases.redact import redact
from handlerkit.cases.store import Broken, PathLike, read_all
from handlerkit.errors import CaseError, RequestError
from handlerkit.messages import Exchange, Request, Response
from handlerkit.messages.part import read_file
from handlerkit.messages.shell_words import split_words
from handlerkit.serving.requests import routes
from handlerkit.verify.tolerance import EXACTLY, MayDiffer


def read_requests(file: PathLike) -> list[Request]:
    """The requests in a HAR that a browser saved, or in a file of curl commands: one after the other, each as it would
    be typed, with comments and lines that end with a backslash.

    Raises RequestError, which names the line, for what cannot be read.
    """
    path = Path(file).expanduser()
    if path.suffix == SUFFIX:
        return Request.har(path)
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError:
        raise RequestError(f"{path.name} is no text of curl commands") from None
    found = []
    for number, command in _commands(text):
        try:
            found.append(Request.curl(command))
        except RequestError as problem:
            raise RequestError(f"line {number} of {path.name}: {problem}") from None
    if not found:
        raise RequestError(f"{path.name} holds no curl command")
    return found


def new_cases(file: PathLike, folder: PathLike, model: str, kept: Sequence[Case | Broken] = ()) -> list[Case]:
    """A case for each request of a file, without an answer yet: FILE-1, FILE-2 and so on. Those that were kept already
    are left out.

    Args:
        model: of requests whose path names none.
        kept: the cases of the folder.

    Raises CaseError for a request that names no model, and for one whose name has been kept with another request.
    """
    stem = re.sub(r"[^\w-]+", "-", Path(file).stem).strip("-_") or "request"
    root, found, there = Path(folder).expanduser(), [], {one.name: one for one in kept}
    for number, request in enumerate(read_requests(file), start=1):
        named = _model_of(request) or model
        where = f"request {number} of {Path(file).name}"
        if not named:
            raise CaseError(f"{where} names no model: give one archive")
        name = f"{stem}-{number}"
        case = Case(name, named, (Exchange(request, Response(None)),), path=root / f"{name}{SUFFIX}")
        old = there.get(name)
        if old is None:
            found.append(case)
        elif isinstance(old, Case) and not _holds(old, case):
            raise CaseError(
                f"{where} is another than {old.path.as_posix()} holds: remove that case, or give the file another name"
            )
    return found


def _holds(kept: Case, case: Case) -> bool:
    """Whether a case was kept of the same request."""
    exchanges = case.exchanges if kept.secrets else redact(case.exchanges)[0]
    return same_requests(kept, replace(case, exchanges=exchanges))


def find_cases(
    folder: PathLike, from_: PathLike | None, names: Sequence[str] | None, model: str = ""
) -> list[Case | Broken]:
    """The cases of these models (None: of all), and those that are broken; with the requests of a file, which may be
    the first; `model` is that of requests that name none. Raises CaseError if there is none."""
    try:
        kept = read_all(folder)
    except CaseError:
        if from_ is None:
            raise
        kept = []
    new = new_cases(from_, folder, model, kept) if from_ is not None else []
    found = [one for one in (*kept, *new) if isinstance(one, Broken) or names is None or one.model in names]
    if not found and names is not None:
        others = ", ".join(sorted({one.model for one in (*kept, *new) if isinstance(one, Case)}))
        raise CaseError(
            f"no case in {Path(folder).as_posix()} is of {' or '.join(names)}: they are of {others or 'none'}"
        )
    return found


def for_new(
    found: Sequence[Case | Broken], from_: PathLike | None, may_differ: MayDiffer, secrets: bool
) -> list[Case | Broken]:
    """These, with what may differ in the answers to those that have none yet, and whether they keep their secrets.
    Raises CaseError where something of that is asked and no file `from_` brings new ones."""
    if from_ is None and (may_differ != EXACTLY or secrets):
        raise CaseError("a case has what was said when it was kept: tolerances and secrets go with new ones (--from)")
    return [
        replace(one, may_differ=may_differ, secrets=secrets) if isinstance(one, Case) and one.is_new else one
        for one in found
    ]


def _commands(text: str) -> Iterator[tuple[int, str]]:
    """Each command with the number of its first line; one goes on while a quotation is open."""
    begun, command = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not command and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begun = begun if command else number
        command += re.sub(r"^\s*\$ ", "", line) if not command else line
        if command.endswith("\\") and not command.endswith("\\\\"):
            command = command[:-1] + " "
            continue
        try:
            split_words(command)
        except ValueError:
            command += "\n"
            continue
        yield begun, command
        command = ""
    if command.strip():
        yield begun, command


def _model_of(request: Request) -> str:
    try:
        return routes.find(request.method, unquote(request.path or ""), request.query).model or ""
    except routes.RouteError:
        return ""
