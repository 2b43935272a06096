"""Cases are run: their requests are sent again, and the answers compared with those that were kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from handlerkit.cases import store
from handlerkit.cases.case import Case
from handlerkit.cases.places import Place, Progress, Served, running
from handlerkit.cases.redact import is_redacted, redact
from handlerkit.cases.report import CaseReport, CaseResult, CaseVerdict, PlaceReport
from handlerkit.endpoints.capabilities import asks_for_token, environment_of, forced_head
from handlerkit.endpoints.remote import Remote
from handlerkit.errors import CaseError, HandlerkitError, LoadError, ServerError, WorkerError
from handlerkit.messages import Endpoint, Exchange, Finding, Request, Run, describe_response
from handlerkit.verify.responses import ComparedResponse, compare_runs

_WORDS: dict[str, CaseVerdict] = {"identical": "same", "equal": "within tolerance", "different": "different"}
Found = Sequence[Case | store.Broken]


def run_cases(
    found: Found, *places: Place | Endpoint, known: Iterable[str] = (), progress: Progress = lambda what: None
) -> CaseReport:
    """Run the cases in each place, and compare what is answered there with what was kept.

    Args:
        found: what `cases` returns; a broken one is reported as that.
        places: Workers, Servers, Remotes and other endpoints, or places of `handlerkit.cases.places`.
        known: secrets that an answer may repeat, such as the token of an endpoint.
        progress: is told in a few words what is going on.
    """
    known = tuple(known)
    chosen = [place if isinstance(place, Place) else running(place) for place in places]
    reports = tuple(_run(found, place, known, progress) for place in chosen)
    changes = tuple(_changes(reports[0], other) for other in reports[1:])
    return CaseReport(reports, changes)


def accept(report: CaseReport, known: Iterable[str] = ()) -> CaseReport:
    """Keep what was answered where it differs, or is new; each case is written whole. Raises CaseError for the report
    of several places, and for a case that cannot be written."""
    if len(report.places) != 1:
        raise CaseError("what one place answered can be accepted, not the answers of several")
    place, known = report.places[0], tuple(known)
    # all of them are made before the first is written: one that cannot be kept leaves the others as they are
    accepted = [(result, _accepted(result, known)) for result in place.results]
    results = []
    for result, case in accepted:
        if case is None:
            results.append(result)
        else:
            store.write(case, case.path.parent, force=result.verdict == "different")
            results.append(replace(result, verdict="kept", why=_no_success(case)))
    return replace(report, places=(replace(place, results=tuple(results)),))


def _accepted(result: CaseResult, known: tuple[str, ...]) -> Case | None:
    """The case with what was answered; None where there is nothing to accept."""
    if result.verdict not in ("different", "new") or result.run is None or result.case is None:
        return None
    case = result.case
    # what was sent is what the case says, and not what an endpoint made of it
    asked = zip(case.exchanges, result.run.exchanges, strict=True)
    run = replace(result.run, exchanges=tuple(Exchange(one.request, other.response) for one, other in asked))
    answered = store.of_run(run, case.name, case.may_differ, secrets=case.secrets, known=known)
    if result.verdict == "new":
        return replace(answered, path=case.path)
    asked = zip(case.exchanges, answered.exchanges, strict=True)
    exchanges = tuple(Exchange(one.request, other.response) for one, other in asked)
    return replace(case, exchanges=exchanges, may_differ=answered.may_differ)


def _no_success(case: Case) -> str:
    """What to say of a case whose answer, which was just kept, is an error."""
    failed = [one.response for one in case.exchanges if (one.response.status or 0) >= 400]
    return f"the answer that is kept is an error, {describe_response(failed[0])}" if failed else ""


def _run(found: Found, place: Place, known: tuple[str, ...], progress: Progress) -> PlaceReport:
    results: dict[int, CaseResult] = {
        number: CaseResult(one.name, "broken", why=one.why)
        for number, one in enumerate(found)
        if isinstance(one, store.Broken)
    }
    started, findings, environment = 0.0, dict[Finding, None](), ""
    for served, group in _groups(found).items():
        progress(f"{place.name}: {served.model}")
        begun = time.perf_counter()
        try:
            with place.open(served) as endpoint:
                started += time.perf_counter() - begun
                environment = environment or str(environment_of(endpoint) or "")
                for number, case in group:
                    results[number] = _result(case, endpoint, known)
        except (LoadError, ServerError, WorkerError) as problem:
            findings |= dict.fromkeys(getattr(problem, "findings", ()))
            results |= _without(group, results, "does not load", str(problem.args[0]))
        except HandlerkitError as problem:
            results |= _without(group, results, "cannot run", str(problem))
    return PlaceReport(place.name, tuple(results[at] for at in sorted(results)), environment, started, tuple(findings))


def _groups(found: Found) -> dict[Served, list[tuple[int, Case]]]:
    groups: dict[Served, list[tuple[int, Case]]] = {}
    for number, case in enumerate(found):
        if isinstance(case, Case):
            groups.setdefault(Served(case.model, case.envelope, case.batch_size), []).append((number, case))
    return groups


def _without(
    group: Sequence[tuple[int, Case]], results: dict[int, CaseResult], verdict: CaseVerdict, why: str
) -> dict[int, CaseResult]:
    """The results of those that were not sent."""
    return {
        number: CaseResult(case.name, verdict, case.model, why, case=case)
        for number, case in group
        if number not in results
    }


def _result(case: Case, endpoint: Endpoint, known: tuple[str, ...]) -> CaseResult:
    requests = [_sent(one.request, endpoint) for one in case.exchanges]
    begun = time.perf_counter()
    try:
        run = endpoint.predict(*requests)
    except HandlerkitError as problem:
        if isinstance(problem, LoadError | ServerError | WorkerError):
            raise
        return CaseResult(case.name, "cannot run", case.model, str(problem), case=case)
    seconds = time.perf_counter() - begun
    if any(response.status is None for response in run.responses):
        why = " ".join(finding.message for finding in run.findings) or "a request got no answer"
        return CaseResult(case.name, "cannot run", case.model, why, case=case)
    if not case.secrets:
        run = replace(run, exchanges=redact(run.exchanges, (*known, *run.secrets))[0])
    run = _named(case, run)
    if case.is_new:
        return CaseResult(case.name, "new", case.model, run=run, seconds=seconds, case=case)
    expected = _named(case, replace(run, exchanges=case.exchanges, calls=(), findings=(), paths={}))
    rows = compare_runs(expected, run, case.may_differ, forced_head(endpoint))
    return CaseResult(case.name, _verdict(rows), case.model, "", rows, expected, run, seconds, case)


def _sent(request: Request, endpoint: Endpoint) -> Request:
    """A header that was redacted is left to an endpoint elsewhere, which has credentials of its own, and Authorization
    to a server that asks for its token; otherwise a model is shown the placeholder, which its answer may repeat."""
    elsewhere, asks = isinstance(endpoint, Remote), asks_for_token(endpoint)
    headers = tuple(
        (name, value)
        for name, value in request.headers
        if not (is_redacted(value) and (elsewhere or (asks and name.lower() == "authorization")))
    )
    return replace(request, headers=headers)


def _named(case: Case, run: Run) -> Run:
    """The Run with the requests called as the case."""
    several = len(run.exchanges) > 1
    return replace(
        run,
        exchanges=tuple(
            Exchange(replace(one.request, label=f"{case.name} {number}" if several else case.name), one.response)
            for number, one in enumerate(run.exchanges, start=1)
        ),
    )


def _verdict(rows: Iterable[ComparedResponse]) -> CaseVerdict:
    found = {row.verdict for row in rows}
    return next(_WORDS[word] for word in ("different", "equal", "identical") if word in found)


def _changes(first: PlaceReport, other: PlaceReport) -> tuple[str, ...]:
    """What is different from the first place."""
    return tuple(_change(one, two) for one, two in zip(first.results, other.results, strict=True))


def _change(one: CaseResult, two: CaseResult) -> str:
    if one.run is None or two.run is None or one.case is None:
        return ""
    return _verdict(compare_runs(one.run, two.run, one.case.may_differ))
