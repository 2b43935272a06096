"""Answers the handler made itself that a client does not take for a success: statuses and streams."""

from __future__ import annotations

import re

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.wire import Prediction
from handlerkit.why import source_search
from handlerkit.why.effects import NOTHING
from handlerkit.why.evidence import ALL, Attempt, Evidence, Rule

_CUT = "The client gets the status and the pieces sent so far; then the connection is cut, without an error."
_SET_STATUS = r"\.(set_response_status|set_all_response_status|report_status)\("


def may_warn(attempt: Attempt) -> bool:
    """Whether a rule of WARNINGS can have something to say."""
    return bool(attempt.intermediate) and attempt.answer is not None and attempt.answer.code == 200


def stream_code(evidence: Evidence) -> Finding | None:
    """An intermediate answer that carries an error."""
    answer = evidence.attempt.answer
    if answer is None or answer.code == 200:
        return None
    message = f"The handler sent an intermediate answer with code {answer.code}, which ends the request as an error."
    effect = (
        f"The client gets {answer.code} with its text as the message. The handler's last answer then belongs to no "
        f"request, and the next client, who did nothing wrong, can get 500 '{facts.DIED}'."
    )
    where = source_search.find(evidence, "send_intermediate_predict_response")
    return Finding("stream_code", message, where, effect, "Send intermediate answers with code 200; to fail, raise.")


def stream_header(evidence: Evidence) -> Finding | None:
    attempt = evidence.attempt
    rows = attempt.answer.predictions if attempt.answer is not None else ()
    if not any(name.lower() == facts.STREAM_NEXT for row in rows for name, _ in row.headers):
        return None
    if not any(response.status is None for response in attempt.responses):
        return None
    message = (
        f"The handler set the header {facts.STREAM_NEXT}, which TorchServe itself uses to mark the pieces of a stream."
    )
    effect = "The frontend waits for further pieces that never come: the client gets no answer."
    fix = "Leave that header out; send pieces with ts.handler_utils.utils.send_intermediate_predict_response."
    return Finding("stream_header", message, source_search.find(evidence, facts.STREAM_NEXT), effect, fix)


def stream_status(evidence: Evidence) -> Finding | None:
    intermediate = evidence.attempt.intermediate
    status = max((row.status for row in intermediate[0].predictions), default=0) if intermediate else 0
    if status < 400:
        return None
    message = f"The handler began a stream with status {status}; from 400 on, TorchServe closes the connection at once."
    effect = "The client gets the status and no piece of the stream."
    where = source_search.find(evidence, _SET_STATUS)
    return Finding("stream_status", message, where, effect, "Answer an error in one piece, without a stream.")


def own_status(evidence: Evidence) -> Finding | None:
    """The handler set it itself, with context.set_response_status."""
    answer = evidence.attempt.answer
    if answer is None or answer.code != 200 or evidence.error is not None:
        return None
    rows = answer.predictions
    index = next((index for index, row in enumerate(rows) if row.status >= 400), None)
    if index is None:
        return None
    row = rows[index]
    status = f"{row.status} {row.reason}".rstrip(" .")
    request = f" for request {index + 1} of {len(rows)}" if len(rows) > 1 else ""
    message = f"The handler itself set the status {status}{request}; the body is the row it returned."
    effect = "The client gets that status, and the connection closes; the other requests of the batch are not affected."
    fix = "" if row.reason else 'A phrase tells the client more: context.set_response_status(404, "Not found", 0).'
    where = status_line(evidence, row.status, index)
    return Finding("own_status", message, where, effect, fix, severity="warning")


def status_line(evidence: Evidence, status: int, index: int) -> str:
    """The line that set a status of a request: the call that did, where calls are known, else the only line that may
    have; "" if that is not certain."""
    for call in reversed(evidence.calls):
        if call.kind != "set_response_status" or call.arguments[0] != status:
            continue
        if call.arguments[2] == ALL or (call.arguments[2] or 0) == index:
            return source_search.call_line(evidence, call)
    lines = list(source_search.find_all(evidence, _SET_STATUS))
    lines = [one for one in lines if re.search(rf"\b{status}\b", one)] or lines
    return lines[0] if len(lines) == 1 else ""


def cut_stream(evidence: Evidence) -> str:
    """What a client gets in place of an error, once a piece of a stream is out; "" if there is none."""
    attempt = evidence.attempt
    return _CUT if attempt.failed and attempt.intermediate and attempt.intermediate[0].code == 200 else ""


def late_head(evidence: Evidence) -> Finding | None:
    """The first piece of a stream has sent the head."""
    attempt = evidence.attempt
    if attempt.answer is None or attempt.intermediate[0].code != 200:
        return None
    first, *later = *attempt.intermediate, attempt.answer
    for index, row in enumerate(first.predictions):
        if any(_head(piece.predictions[index]) != _head(row) for piece in later if index < len(piece.predictions)):
            message = "A status or header was set after the first piece of the stream; the client never sees it."
            fix = "Set it before the first send_intermediate_predict_response."
            where = source_search.find(evidence, "set_(all_)?response_(status|header|content_type)")
            return Finding("late_head", message, where, NOTHING, fix, "warning")
    return None


def _head(row: Prediction) -> tuple[int, str, dict[str, str]]:
    return row.status, row.reason, {name: value for name, value in row.headers if name != facts.STREAM_NEXT}


#: Asked if nothing was raised and the worker took what the handler returned; the first that fits explains the answer.
RULES: tuple[Rule, ...] = (stream_code, stream_header, stream_status, own_status)
#: Asked if a stream succeeded.
WARNINGS: tuple[Rule, ...] = (late_head,)
