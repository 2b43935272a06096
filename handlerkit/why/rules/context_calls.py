"""What the handler asks its context for, or tells it, though it may mean something else."""

from __future__ import annotations

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import source_search
from handlerkit.why.evidence import NOTHING, Attempt, Evidence, RecordedCall, Rule


def may_warn(attempt: Attempt) -> bool:
    """Whether a rule of WARNINGS can have something to say."""
    return attempt.recorded


def header_casing(evidence: Evidence) -> Finding | None:
    found = {call.arguments[1] for call in evidence.calls if call.kind == "header_found"}
    for call in evidence.calls:
        if call.kind == "header_missed" and call.value not in found:
            key = call.arguments[1]
            message = (
                f"The handler asked for the header {key!r} and got None: the client sent {call.value!r}, and case "
                "matters here. curl writes Content-Type, other clients content-type."
            )
            fix = (
                "headers = {name.lower(): value for name, value in context.get_all_request_header(0).items()}, "
                f"and then headers.get({key.lower()!r})."
            )
            where = source_search.call_line(evidence, call)
            return Finding("header_casing", message, where, NOTHING, fix, "warning")
    return None


def _reads(evidence: Evidence, header: str) -> list[RecordedCall]:
    """The calls that read `explain` or `describe`."""
    return [call for call in evidence.calls if call.kind == "explain_or_describe" and call.arguments[1] == header]


def explain_is_text(evidence: Evidence) -> Finding | None:
    for call in _reads(evidence, facts.EXPLAIN):
        where = source_search.call_line(evidence, call) if call.value == "False" else ""
        if where and source_search.is_tested_for_truth(evidence, call.file_name, call.line):
            message = "The header explain is the text 'False', and an if takes any text that is not empty for true."
            fix = 'Compare it: if context.get_request_header(0, "explain") == "True".'
            return Finding("explain_is_text", message, where, NOTHING, fix, "warning")
    return None


def describe_header(evidence: Evidence) -> Finding | None:
    """BaseHandler goes by the header, which a client may send too."""
    attempt = evidence.attempt
    sent = any(name == facts.DESCRIBE and value == "True" for job in attempt.jobs for name, value in job.headers)
    if attempt.describe or not sent or not _reads(evidence, facts.DESCRIBE):
        return None
    message = (
        "The request has the header describe: True, which to BaseHandler means a question about the model itself: it "
        "answered with describe_handle() and predicted nothing."
    )
    return Finding("describe_header", message, "", NOTHING, "Send no header of that name.", "warning")


def first_row_decides(evidence: Evidence) -> Finding | None:
    """Whoever reads `explain` at index 0 alone decides for the whole batch."""
    jobs = evidence.attempt.jobs
    if len(jobs) < 2:
        return None
    indexes = {call.arguments[0] for call in _reads(evidence, facts.EXPLAIN)}
    values = [dict(job.headers).get(facts.EXPLAIN) for job in jobs]
    if indexes != {0} or len(set(values)) < 2:
        return None
    other = next(number for number, value in enumerate(values, 1) if value != values[0])
    wanted, got = ("a prediction", "an explanation") if values[0] == "True" else ("an explanation", "a prediction")
    message = f"Request {other} asked for {wanted}, but the header of request 1 decided: all {len(values)} got {got}."
    fix = "Look at context.get_request_header(index, 'explain') of each row, or set batch_size=1."
    return Finding("first_row_decides", message, "", NOTHING, fix, "warning")


def status_of_row_0(evidence: Evidence) -> Finding | None:
    """set_response_status without an index, several times: each goes to the first request."""
    calls = [call for call in evidence.calls if call.kind == "set_response_status" and call.arguments[2] is None]
    if len(evidence.attempt.jobs) < 2 or len(calls) < 2:
        return None
    message = (
        f"set_response_status was called {len(calls)} times without an index, and each call set request 1's status."
    )
    fix = "Name the request: context.set_response_status(code, phrase, index), counted from 0."
    return Finding("status_of_row_0", message, source_search.call_line(evidence, calls[-1]), NOTHING, fix, "warning")


def debug_lost(evidence: Evidence) -> Finding | None:
    if not any(call.kind == "debug" for call in evidence.calls):
        return None
    if not (where := source_search.find(evidence, r"\.debug\(")):
        return None
    message = "The handler logs at level DEBUG; a worker logs from INFO on, so that line is lost."
    return Finding("debug_lost", message, where, NOTHING, "Log it with .info(...), or print it.", "warning")


#: Asked if the handler made a call of its context that is recorded.
WARNINGS: tuple[Rule, ...] = (
    header_casing, explain_is_text, describe_header, first_row_decides, status_of_row_0, debug_lost,
)  # fmt: skip
