"""The rows of a successful answer: bodies and headers that a client does not get as the handler meant them."""

from __future__ import annotations

import json

from handlerkit.formatting import byte_size
from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.wire import Prediction
from handlerkit.why import source_search
from handlerkit.why.effects import NOTHING
from handlerkit.why.evidence import Attempt, Evidence, Rule
from handlerkit.why.rules.answers import status_line

#: The part of max_response_size from which on an answer is nearly too long.
_NEAR = 0.9


def may_warn(attempt: Attempt) -> bool:
    """Whether a rule of WARNINGS, or of `answers`, can have something to say."""
    if attempt.answer is None or attempt.answer.code != 200:
        return False
    for row in attempt.answer.predictions:
        if row.status != 200 or row.headers or _is_odd(row.body, attempt.setup.max_response_size):
            return True
    return False


def _is_odd(body: bytes, limit: int) -> bool:
    if len(body) > _NEAR * limit:
        return True
    first = body[:1]
    return first == b"P" if first not in (b"{", b"[", b"N", b"I", b"-") else b"NaN" in body or b"Infinity" in body


def _rows(evidence: Evidence) -> tuple[Prediction, ...]:
    return evidence.attempt.answer.predictions if evidence.attempt.answer else ()


def pickled_tensor(evidence: Evidence) -> Finding | None:
    returned = evidence.returned
    for row in _rows(evidence):
        if row.content_type or row.body[:2] != b"PK" or b"/data.pkl" not in row.body[:100]:
            continue
        if returned is not None and not any(type(one).__name__ in ("Tensor", "Parameter") for one in returned.value):
            continue
        message = "The row is a tensor; the client gets torch.save's file (a zip with a pickle in it), not JSON."
        fix = "Return tensor.tolist(), one list per request."
        return Finding("pickled_tensor", message, source_search.return_line(evidence), NOTHING, fix, "warning")
    return None


def not_json(evidence: Evidence) -> Finding | None:
    for index, row in enumerate(_rows(evidence)):
        if b"NaN" not in row.body and b"Infinity" not in row.body:
            continue
        if _is_text(evidence, index, row) and "json" not in row.content_type and evidence.attempt.envelope != "json":
            continue
        if (literal := _literal(row.body)) is not None:
            message = f"The answer holds {literal}, which Python's json writes and the JSON standard does not allow: "
            message += "many clients, browsers among them, cannot read this answer."
            fix = "Return None instead: None if math.isnan(value) else value."
            return Finding("not_json", message, source_search.return_line(evidence), NOTHING, fix, "warning")
    return None


def _is_text(evidence: Evidence, index: int, row: Prediction) -> bool:
    """Whether the handler returned the row as text or bytes, as far as is known."""
    if evidence.returned is None:
        return row.body[:1] not in (b"{", b"[")
    values = evidence.returned.value
    return index < len(values) and isinstance(values[index], bytes | bytearray | str)


def _literal(body: bytes) -> str | None:
    """NaN, Infinity or -Infinity where the body is JSON except for them."""
    found: list[str] = []
    try:
        json.loads(body, parse_constant=found.append)
    except ValueError:
        return None
    return found[0] if found else None


def near_the_limit(evidence: Evidence) -> Finding | None:
    limit = evidence.attempt.setup.max_response_size
    size = max((len(row.body) for row in _rows(evidence)), default=0)
    if not _NEAR * limit < size <= limit:
        return None
    message = f"The answer has {size} of the {limit} bytes that max_response_size allows."
    effect = f"If it were too long, every client of the batch would get 500 '{facts.DIED}'."
    fix = "Raise max_response_size in config.properties, or answer with bytes (PNG, JPEG) instead of numbers."
    return Finding("near_the_limit", message, source_search.return_line(evidence), effect, fix, "warning")


def body_dropped(evidence: Evidence) -> Finding | None:
    for index, row in enumerate(_rows(evidence)):
        if row.status == 204 and row.body:
            where = status_line(evidence, row.status, index)
            message = f"The status 204 means 'no content', so the row's {byte_size(len(row.body))} are not sent."
            return Finding("body_dropped", message, where, NOTHING, "Answer with 200.", "warning")
    return None


def odd_status(evidence: Evidence) -> Finding | None:
    for index, row in enumerate(_rows(evidence)):
        if not 100 <= row.status < 600:
            message = f"The handler set the status {row.status}, which HTTP does not have: they go from 100 to 599."
            fix = "The order is set_response_status(code, phrase, index): code first, the request's index last."
            where = status_line(evidence, row.status, index)
            return Finding("odd_status", message, where, NOTHING, fix, "warning")
    return None


def header_in_vain(evidence: Evidence) -> Finding | None:
    owned = facts.STREAM_OWN_HEADERS if evidence.attempt.intermediate else facts.OWN_HEADERS
    for row in _rows(evidence):
        for name, value in row.headers:
            if name.lower() in owned:
                message = f"The header {name}: {value} is not sent: TorchServe writes its own."
                fix = "Leave it out, or use a header of another name."
                return Finding("header_in_vain", message, _setter(evidence, "header"), NOTHING, fix, "warning")
    return None


def header_twice(evidence: Evidence) -> Finding | None:
    for row in _rows(evidence):
        names: dict[str, str] = {}
        for name, value in row.headers:
            other = names.setdefault(name.lower(), name)
            if other != name and value != dict(row.headers)[other]:
                message = f"The handler set {other} and {name}, which are one header to HTTP; only one of them is sent."
                if name.lower() == "content-type":
                    message += " set_response_content_type writes 'content-type'."
                fix, where = f"Set {name.lower()!r} once.", _setter(evidence, "header|content_type")
                return Finding("header_twice", message, where, NOTHING, fix, "warning")
    return None


def header_letters(evidence: Evidence) -> Finding | None:
    for row in _rows(evidence):
        for name, value in row.headers:
            if any(ord(letter) > 255 for letter in value):
                sent = value.encode("latin-1", "replace").decode("latin-1")
                message = f"The header {name} is sent as {sent!r}: letters that Latin-1 lacks become question marks."
                fix = "Write it in ASCII, such as urllib.parse.quote(value)."
                return Finding("header_letters", message, _setter(evidence, "header"), NOTHING, fix, "warning")
    return None


def _setter(evidence: Evidence, part: str) -> str:
    """The line that sets this part of the answer."""
    return source_search.find(evidence, rf"set_(all_)?response_({part})")


#: Asked if a row of a successful answer has a status of its own, a header, or an odd body.
WARNINGS: tuple[Rule, ...] = (
    pickled_tensor, not_json, near_the_limit, body_dropped, odd_status, header_in_vain, header_twice, header_letters,
)  # fmt: skip
