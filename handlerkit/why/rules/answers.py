"""Answers the handler made itself that a client does not take for a success: statuses and streams."""

from __future__ import annotations

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import source_search
from handlerkit.why.evidence import Evidence, Rule

_BROKEN = "The client has the status and the pieces sent so far; then the connection is cut, without an error."


def stream_code(seen: Evidence) -> Finding | None:
    """An intermediate answer that carries an error."""
    bad = seen.answer
    if bad is None or bad.code == 200:
        return None
    what = f"The handler sent an intermediate answer with code {bad.code}, which ends the request as an error."
    served = (
        f"The client gets {bad.code} with its text as the message. The handler's last answer then belongs to no "
        f"request, and the next client, who did nothing wrong, can get 500 '{facts.DIED}'."
    )
    where = source_search.find(seen, "send_intermediate_predict_response")
    return Finding("stream_code", what, where, served, "Send intermediate answers with code 200; to fail, raise.")


def stream_header(seen: Evidence) -> Finding | None:
    if not any(response.status is None for response in seen.responses) or not _set(seen, facts.STREAM_NEXT):
        return None
    what = f"The handler set the header {facts.STREAM_NEXT}, by which TorchServe itself marks the pieces of a stream."
    served = "The frontend waits for further pieces that never come: the client gets no answer."
    change = "Leave that header out; send pieces with ts.handler_utils.utils.send_intermediate_predict_response."
    return Finding("stream_header", what, source_search.find(seen, facts.STREAM_NEXT), served, change)


def stream_status(seen: Evidence) -> Finding | None:
    if not seen.intermediate or not any(row.status >= 400 for row in seen.intermediate[0].predictions):
        return None
    status = max(row.status for row in seen.intermediate[0].predictions)
    what = f"The handler began a stream with status {status}; from 400 on, TorchServe closes the connection at once."
    served = "The client gets the status and no piece of the stream."
    where = source_search.find(seen, "set_response_status|set_all_response_status")
    return Finding("stream_status", what, where, served, "Answer an error in one piece, without a stream.")


def own_status(seen: Evidence) -> Finding | None:
    """The handler said so itself, by context.set_response_status."""
    if seen.answer is None or seen.answer.code != 200 or seen.error is not None:
        return None
    rows = seen.answer.predictions
    index = next((index for index, row in enumerate(rows) if row.status >= 400), None)
    if index is None:
        return None
    row = rows[index]
    said = f"{row.status} {row.reason}".rstrip()
    which = f" for request {index + 1} of {len(rows)}" if len(rows) > 1 else ""
    what = f"The handler itself set the status {said}{which}; the body is the row it returned."
    where = source_search.find(seen, r"set_response_status|set_all_response_status")
    served = "The client gets that status, and the connection closes; the other requests of the batch are not affected."
    change = "" if row.reason else 'A phrase tells the client more: context.set_response_status(404, "Not found", 0).'
    return Finding("own_status", what, where, served, change, severity="warning")


def _set(seen: Evidence, name: str) -> bool:
    return seen.answer is not None and any(
        key.lower() == name for row in seen.answer.predictions for key, _ in row.headers
    )


def broken_off(seen: Evidence) -> str:
    """What a client has in place of an error, once a piece of a stream is out; "" where none is."""
    failed = seen.error is not None or seen.died or seen.answer is None or seen.answer.code != 200
    return _BROKEN if failed and seen.intermediate and seen.intermediate[0].code == 200 else ""


#: Asked where nothing was raised and the worker took what came back.
ANSWER_RULES: tuple[Rule, ...] = (stream_code, stream_header, stream_status, own_status)
