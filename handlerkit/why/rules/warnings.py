"""What goes wrong without an error: the answer is a 200, and not what was meant.

Facts only: a rule speaks where something was lost, changed or waited for, not where it might be. As this is asked after
every call, `rules_for` first looks, within microseconds, which of them can have anything to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from handlerkit.messages import Finding, HttpRequest, LogLine, Metric
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.wire import Job, Prediction, WorkerResponse
from handlerkit.why import source_search
from handlerkit.why.evidence import NOTHING, Evidence, Rule, Setup
from handlerkit.why.rules.envelopes import QUIET_ENVELOPE_RULES
from handlerkit.why.rules.raised import timeout_not_in_force
from handlerkit.why.rules.request import ASKED_RULES, kind_of_body, telling

_DECLARED = tuple(f"{facts.METRIC}{name}." for name in facts.DECLARED_METRICS)
_NEAR = 0.9


def worth_knowing(seen: Evidence) -> list[Finding]:
    """Everything that is worth knowing of a call, whether or not it failed."""
    rules = rules_for(
        seen.setup, seen.envelope, seen.requests, seen.jobs, tuple(map(kind_of_body, seen.rows)), seen.answer,
        seen.intermediate, bool(seen.noted), seen.logs, seen.describe,
    )  # fmt: skip
    return [found for rule in rules if (found := rule(seen)) is not None]


def rules_for(
    setup: Setup,
    envelope: str | None,
    requests: Sequence[HttpRequest],
    jobs: Sequence[Job],
    bodies: Sequence[str],
    answer: WorkerResponse | None,
    intermediate: Sequence[WorkerResponse],
    noted: bool,
    logs: Sequence[LogLine],
    describe: bool,
) -> list[Rule]:
    """The rules that can have something to say of a call; its arguments are what Evidence would hold, but for `bodies`,
    which are `kind_of_body` of the rows. There are some wherever a request of a successful batch got a status of its
    own."""
    rules: list[Rule] = []
    if not describe:
        for request, job, body in zip(requests, jobs, bodies, strict=False):
            if telling(request, job, body):
                rules += ASKED_RULES
                break
    if noted:
        rules += NOTED_RULES
    if answer is not None and answer.code == 200:
        if envelope is not None:
            rules += QUIET_ENVELOPE_RULES
        for one in answer.predictions:
            if one.status != 200 or one.headers or _is_odd(one.body, setup.max_response_size):
                rules += ROW_RULES
                break
        if intermediate:
            rules.append(late_head)
        if len(jobs) < setup.batch_size and setup.max_batch_delay > 0 and not describe:
            rules.append(batch_waits)
    if not setup.own_metrics:
        for line in logs:
            if line.text.startswith(facts.METRIC) and not line.text.startswith(_DECLARED):
                rules += METRIC_RULES
                break
    if setup.asked_timeout is not None:
        rules.append(timeout_not_in_force)
    return rules


def _is_odd(body: bytes, limit: int) -> bool:
    if len(body) > _NEAR * limit:
        return True
    first = body[:1]
    return first == b"P" if first not in (b"{", b"[", b"N", b"I", b"-") else b"NaN" in body or b"Infinity" in body


def batch_waits(seen: Evidence) -> Finding | None:
    count, setup = len(seen.jobs), seen.setup
    what = (
        f"{count} of {setup.batch_size} requests were there, so the server waits {setup.max_batch_delay} ms for more "
        "before it calls the handler; that time is not in the figures here."
    )
    change = "A smaller max_batch_delay, or batch_size=1 where requests come one by one."
    return Finding("batch_waits", what, "", NOTHING, change, "warning")


def without_waits(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings without `batch_waits`, for where something ended the wait."""
    return (finding for finding in findings if finding.name != "batch_waits")


# --- what the handler asked the context for ---------------------------------------------------------------------------


def header_casing(seen: Evidence) -> Finding | None:
    found = {note.arguments[1] for note in seen.noted if note.method == "found"}
    for note in seen.noted:
        if note.method == "missed" and note.value not in found:
            key = note.arguments[1]
            what = (
                f"The handler asked for the header {key!r} and got None: the client sent {note.value!r}, and upper and "
                "lower case count here. curl writes Content-Type, other clients content-type."
            )
            change = (
                "headers = {name.lower(): value for name, value in context.get_all_request_header(0).items()}, "
                f"and then headers.get({key.lower()!r})."
            )
            return Finding("header_casing", what, source_search.noted(seen, note), NOTHING, change, "warning")
    return None


def explain_is_text(seen: Evidence) -> Finding | None:
    for note in seen.noted:
        if note.method == "asked" and note.arguments[1] == "explain" and note.value == "False":
            where = source_search.noted(seen, note)
            if where and source_search.tests_text(seen, source_search.name(note), note.line):
                what = "The header explain is the text 'False', and a text that is not empty counts as true in an if."
                change = 'Compare it: if context.get_request_header(0, "explain") == "True".'
                return Finding("explain_is_text", what, where, NOTHING, change, "warning")
    return None


def describe_header(seen: Evidence) -> Finding | None:
    """BaseHandler goes by the header, and it passes a client's own on."""
    if seen.describe:
        return None
    sent = any(name == "describe" and value == "True" for job in seen.jobs for name, value in job.headers)
    looked = any(note.method == "asked" and note.arguments[1] == "describe" for note in seen.noted)
    if not sent or not looked:
        return None
    what = (
        "The request has a header describe: True, by which BaseHandler knows a question about the model itself: it "
        "answered with describe_handle() and predicted nothing."
    )
    return Finding("describe_header", what, "", NOTHING, "Send no header of that name.", "warning")


def first_row_decides(seen: Evidence) -> Finding | None:
    """Whoever asks for explain at index 0 alone decides for the whole batch."""
    if len(seen.jobs) < 2:
        return None
    notes = [note for note in seen.noted if note.method == "asked"]
    asked = {note.arguments[0] for note in notes if note.arguments[1] == "explain"}
    values = [dict(job.headers).get("explain") for job in seen.jobs]
    if asked != {0} or len(set(values)) < 2:
        return None
    odd = next(number for number, value in enumerate(values, 1) if value != values[0])
    did = "explained" if values[0] == "True" else "predicted"
    what = f"Request {odd} asked for the other of prediction and explanation, but the first one's header decided: "
    what += f"all {len(values)} were {did}."
    change = "Look at context.get_request_header(index, 'explain') of each row, or set batch_size=1."
    return Finding("first_row_decides", what, "", NOTHING, change, "warning")


def status_of_row_0(seen: Evidence) -> Finding | None:
    """set_response_status without an index, several times: each goes to the first request."""
    notes = [note for note in seen.noted if note.method == "set_response_status" and note.arguments[2] is None]
    if len(seen.jobs) < 2 or len(notes) < 2:
        return None
    note = notes[-1]
    what = f"set_response_status was called {len(notes)} times without an index, and each time set request 1's status."
    change = "Name the request: context.set_response_status(code, phrase, index), counted from 0."
    return Finding("status_of_row_0", what, source_search.noted(seen, note), NOTHING, change, "warning")


def debug_lost(seen: Evidence) -> Finding | None:
    if not any(note.method == "debug" for note in seen.noted) or not (where := source_search.find(seen, r"\.debug\(")):
        return None
    what = "The handler logs at the level DEBUG; a worker logs from INFO on, so that line is lost."
    return Finding("debug_lost", what, where, NOTHING, "Log it with .info(...), or print it.", "warning")


NOTED_RULES: tuple[Rule, ...] = (
    header_casing, explain_is_text, describe_header, first_row_decides, status_of_row_0, debug_lost,
)  # fmt: skip


# --- what it answered -------------------------------------------------------------------------------------------------


def _rows(seen: Evidence) -> tuple[Prediction, ...]:
    return seen.answer.predictions if seen.answer else ()


def pickled_tensor(seen: Evidence) -> Finding | None:
    for row in _rows(seen):
        if row.content_type or row.body[:2] != b"PK" or b"/data.pkl" not in row.body[:100]:
            continue
        if not seen.remote and not any(type(value).__name__ in ("Tensor", "Parameter") for value in seen.returned):
            continue
        what = "The row is a tensor, and is answered as torch.save's file (a zip with a pickle in it), not as JSON."
        change = "Return tensor.tolist(), one list per request."
        return Finding("pickled_tensor", what, source_search.answering(seen), NOTHING, change, "warning")
    return None


def not_json(seen: Evidence) -> Finding | None:
    for index, row in enumerate(_rows(seen)):
        if b"NaN" not in row.body and b"Infinity" not in row.body:
            continue
        value = seen.returned[index] if not seen.remote and index < len(seen.returned) else None
        typed = row.body[:1] not in (b"{", b"[") if seen.remote else isinstance(value, bytes | bytearray | str)
        if typed and "json" not in row.content_type and seen.envelope != "json":
            continue
        if (literal := _literal(row.body)) is not None:
            what = f"The answer holds {literal}, which Python's json writes and the JSON standard does not know: many "
            what += "clients, browsers among them, cannot read this answer."
            change = "Put None in its place: None if math.isnan(value) else value."
            return Finding("not_json", what, source_search.answering(seen), NOTHING, change, "warning")
    return None


def _literal(body: bytes) -> str | None:
    """NaN, Infinity or -Infinity where the body is JSON but for them."""
    found: list[str] = []
    try:
        json.loads(body, parse_constant=found.append)
    except ValueError:
        return None
    return found[0] if found else None


def near_the_limit(seen: Evidence) -> Finding | None:
    limit = seen.setup.max_response_size
    size = max((len(row.body) for row in _rows(seen)), default=0)
    if not _NEAR * limit < size <= limit:
        return None
    what = f"The answer has {size} of the {limit} bytes that max_response_size allows."
    served = f"One byte more than that, and every client of the batch gets 500 '{facts.DIED}'."
    change = "Raise max_response_size in config.properties, or answer with bytes (PNG, JPEG) instead of numbers."
    return Finding("near_the_limit", what, source_search.answering(seen), served, change, "warning")


def body_dropped(seen: Evidence) -> Finding | None:
    for row in _rows(seen):
        if row.status == 204 and row.body:
            what = f"The status 204 means 'no content', so the {len(row.body)} bytes of the row are not sent."
            return Finding("body_dropped", what, _setting(seen, "status"), NOTHING, "Answer with 200.", "warning")
    return None


def odd_status(seen: Evidence) -> Finding | None:
    for row in _rows(seen):
        if not 100 <= row.status < 600:
            what = f"The status {row.status} was set, which is none of HTTP's: they go from 100 to 599."
            change = "The order is set_response_status(code, phrase, index): code first, the request's index last."
            return Finding("odd_status", what, _setting(seen, "status"), NOTHING, change, "warning")
    return None


def header_in_vain(seen: Evidence) -> Finding | None:
    owned = facts.STREAM_OWN_HEADERS if seen.intermediate else facts.OWN_HEADERS
    for row in _rows(seen):
        for name, value in row.headers:
            if name.lower() in owned:
                what = f"The header {name}: {value} was set in vain: TorchServe writes that one itself."
                where, change = _setting(seen, "header"), "Leave it out, or use a header of another name."
                return Finding("header_in_vain", what, where, NOTHING, change, "warning")
    return None


def header_twice(seen: Evidence) -> Finding | None:
    for row in _rows(seen):
        names: dict[str, str] = {}
        for name, value in row.headers:
            other = names.setdefault(name.lower(), name)
            if other != name and value != dict(row.headers)[other]:
                what = f"The headers {other} and {name} were both set; they are one to HTTP, and only one is sent."
                if name.lower() == "content-type":
                    what += " set_response_content_type writes 'content-type'."
                change = f"Set {name.lower()!r} once."
                return Finding("header_twice", what, _setting(seen, "header|content_type"), NOTHING, change, "warning")
    return None


def header_letters(seen: Evidence) -> Finding | None:
    for row in _rows(seen):
        for name, value in row.headers:
            if any(ord(letter) > 255 for letter in value):
                sent = value.encode("latin-1", "replace").decode("latin-1")
                what = f"The header {name} is sent as {sent!r}: letters beyond Latin-1 become question marks."
                change = "Write it in ASCII, such as urllib.parse.quote(value)."
                return Finding("header_letters", what, _setting(seen, "header"), NOTHING, change, "warning")
    return None


def _setting(seen: Evidence, what: str) -> str:
    return source_search.find(seen, rf"set_(all_)?response_({what})")


ROW_RULES: tuple[Rule, ...] = (
    pickled_tensor, not_json, near_the_limit, body_dropped, odd_status, header_in_vain, header_twice, header_letters,
)  # fmt: skip


def late_head(seen: Evidence) -> Finding | None:
    """The first piece of a stream has sent the head."""
    first = seen.intermediate[0]
    if seen.answer is None or first.code != 200:
        return None
    pieces = [*seen.intermediate[1:], seen.answer]
    for index, row in enumerate(first.predictions):
        head = (row.status, row.reason, _without_mark(row))
        for piece in pieces:
            if index < len(piece.predictions):
                later = piece.predictions[index]
                if (later.status, later.reason, _without_mark(later)) != head:
                    what = "A status or header was set after the first piece of the stream; the client never sees it."
                    change = "Set it before the first send_intermediate_predict_response."
                    where = _setting(seen, "status|header|content_type")
                    return Finding("late_head", what, where, NOTHING, change, "warning")
    return None


def _without_mark(row: Prediction) -> dict[str, str]:
    return {name: value for name, value in row.headers if name != facts.STREAM_NEXT}


# --- what it measured -------------------------------------------------------------------------------------------------


def metric_failed(seen: Evidence) -> Finding | None:
    for line in seen.logs:
        if found := re.match(r"\[METRICS\]Failed to update metric with name:(\S+) .*value: \S+: (.*)", line.text):
            what = f"The metric {found[1]} was not counted: {found[2]}."
            change = "Give a metric the same dimensions each time, and a counter no negative number."
            return Finding(
                "metric_failed", what, _metric(seen), "Only this line of the log says so.", change, "warning"
            )
    return None


def metric_dropped(seen: Evidence) -> Finding | None:
    samples = (Metric.parse(line.text) for line in seen.logs if not line.text.startswith(_DECLARED))
    names = dict.fromkeys(sample.name for sample in samples if sample is not None)
    if not names:
        return None
    what = f"TorchServe drops the metrics {', '.join(names)}: a metric has to be declared, and these are not."
    served = "They are neither in model_metrics.log nor on the metrics page (port 8082)."
    change = "Set model_metrics_auto_detect=true in config.properties, or name a metrics_config that declares them."
    return Finding("metric_dropped", what, _metric(seen), served, change, "warning")


def _metric(seen: Evidence) -> str:
    return source_search.find(seen, r"\.add_(counter|time|size|percent|error|metric)\(|add_or_update\(")


METRIC_RULES: tuple[Rule, ...] = (metric_failed, metric_dropped)
