"""`hk.keep` and `hk.cases`: exchanges written as cases, and read again."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from handlerkit.cases.case import Case
from handlerkit.cases.folder import SUFFIX, Bodies, checked_name, find_files, read_file, write_files
from handlerkit.cases.har import read_case, write_case
from handlerkit.cases.redact import redact
from handlerkit.errors import CaseError
from handlerkit.messages import Exchange, Response, Run
from handlerkit.serving.torchserve_facts import REQUEST_ID
from handlerkit.verify import MayDiffer
from handlerkit.verify.tolerance import names_of, without_paths

PathLike = str | os.PathLike[str]

#: What stands for the id that a server gives each request.
_ID = "REQUEST-ID"
#: Headers of servers and proxies that are others in each answer.
_OF_ONE_ANSWER = frozenset({
    "date", "age", "server-timing", "x-runtime", "x-response-time", "x-process-time", "traceparent",
    "x-envoy-upstream-service-time", "x-correlation-id", "x-trace-id", "x-amzn-requestid", "x-amzn-trace-id", "cf-ray",
    "x-cloud-trace-context",
})  # fmt: skip


def keep(
    run: Run,
    name: str,
    folder: PathLike = "cases",
    *,
    ignore: Collection[str] = (),
    rtol: float = 0,
    levels: int = 0,
    pixels: float = 0,
    iou: float = 1,
    secrets: bool = False,
    force: bool = False,
) -> Case:
    """Keep what an endpoint answered as a case: `FOLDER/NAME.har`, with pictures and large bodies beside it.

    Keeping the same answer again changes nothing. Requests' ids, times and the paths of the model's files are written
    in a form that stays. A secret (Authorization, cookies, tokens, keys, in headers, the query, forms and JSON) is
    replaced by "REDACTED", wherever it occurs; such a header is sent with the endpoint's own credentials later.

    Args:
        run: its requests, which are sent together again, and the answers that are expected.
        name: letters, digits, "_" and "-".
        folder: it is created where it is not there.
        ignore: headers by name, and paths of JSON bodies ("body.id", "body[*].id"), that may differ.
        rtol: relative tolerance for numbers in JSON, and for the scores of boxes.
        levels: how far apart a channel of a picture's pixel may be, of 255.
        pixels: the share of a picture's pixels that may be further apart, from 0 to 1.
        iou: the overlap from which on two boxes of one class are the same.
        secrets: keep them as they are.
        force: replace a case of this name.

    Raises CaseError for a name that cannot be one, for a case that is there and holds something else, for an answer
    that never came, and for a folder that cannot be written to; RequestError for a tolerance out of its range.
    """
    if not isinstance(run, Run):
        raise CaseError(f"keep takes a Run, not a {type(run).__name__}")
    may = MayDiffer(names_of(ignore), rtol, levels, pixels, iou)
    return write(of_run(run, checked_name(name), may, secrets=secrets), folder, force=force)


def cases(folder: PathLike = "cases") -> list[Case]:
    """The cases in a folder and below it, or in one file, sorted by name. Raises CaseError for one that is broken."""
    found = read_all(folder)
    if broken := [one for one in found if isinstance(one, Broken)]:
        raise CaseError(broken[0].why)
    return [one for one in found if isinstance(one, Case)]


@dataclass(frozen=True)
class Broken:
    """A file that is no case, and why."""

    name: str
    path: Path
    why: str


def read_all(folder: PathLike) -> list[Case | Broken]:
    """As `cases`, with those that are broken. Raises CaseError if there is none at all."""
    root = Path(folder).expanduser()
    files = [root] if root.suffix == SUFFIX else find_files(root)
    root = root.parent if root.suffix == SUFFIX else root
    return sorted((_read(file, root) for file in files), key=lambda one: one.name)


def of_run(run: Run, name: str, may: MayDiffer, *, secrets: bool = False, known: Iterable[str] = ()) -> Case:
    """A case of what was answered; `known` are secrets beside those that are found. Raises CaseError for an answer that
    never came."""
    if not run.exchanges:
        raise CaseError(f"there is nothing to keep as {name}: the Run holds no exchange")
    if any(response.status is None for response in run.responses):
        raise CaseError(f"there is nothing to keep as {name}: a request got no answer")
    exchanges, redacted = (run.exchanges, ()) if secrets else redact(run.exchanges, (*known, *run.secrets))
    return Case(
        name,
        run.model,
        tuple(Exchange(one.request, _steady(one.response, run)) for one in exchanges),
        replace(may, ignore=(*may.ignore, *_volatile(run))),
        next((call.envelope for call in run.calls), None),
        max((len(call.rows) for call in run.calls), default=1) or 1,
        secrets,
        redacted=redacted,
    )


def write(case: Case, folder: PathLike, *, force: bool) -> Case:
    """The case with its files, which are written."""
    root = Path(folder).expanduser()
    stem = case.name.rpartition("/")[2]
    text, files = write_case(case, stem)
    paths = write_files(root, stem, {**files, stem + SUFFIX: text.encode()}, force=force)
    return replace(
        case, path=root / (stem + SUFFIX), files=tuple(sorted(paths, key=lambda path: (path.suffix != SUFFIX, path)))
    )


def _read(file: Path, root: Path) -> Case | Broken:
    name = file.relative_to(root).as_posix().removesuffix(SUFFIX)
    bodies = Bodies(file)
    try:
        case = read_case(read_file(file, file.parent), name, file.name, bodies)
    except CaseError as problem:
        return Broken(name, file, str(problem))
    return replace(case, path=file, files=(file, *(file.parent / one for one in bodies.names)))


def _volatile(run: Run) -> Iterator[str]:
    """The headers of these answers that are others each time."""
    for response in run.responses:
        yield from (name.lower() for name, _ in response.headers if name.lower() in _OF_ONE_ANSWER)


def _steady(response: Response, run: Run) -> Response:
    """The answer without what is another each time."""
    number = response.header(REQUEST_ID)
    body = response.body
    if number:
        body = body.replace(number.encode(), _ID.encode())
    if run.paths:
        body = without_paths(body.decode("utf-8", "surrogateescape"), run.paths).encode("utf-8", "surrogateescape")
    headers = tuple(
        (name, _ID if name.lower() == REQUEST_ID.lower() else without_paths(value, run.paths))
        for name, value in response.headers
        if name.lower() not in _OF_ONE_ANSWER
    )
    chunks = response.chunks if body == response.body else None
    return replace(response, headers=headers, body=body, chunks=chunks, arrivals=None)
