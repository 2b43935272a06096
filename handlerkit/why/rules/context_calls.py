"""What the handler asks its context for, or tells it, though it may mean something else."""

from __future__ import annotations

import difflib
import re

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.torchserve_facts import SYSTEM_PROPERTIES
from handlerkit.why import live_values, source_search
from handlerkit.why.effects import NOTHING
from handlerkit.why.evidence import Attempt, Evidence, RecordedCall, Rule

#: What TorchServe gives a handler beside its rows, by the names of their classes, and what they have for handlers.
_GIVEN = {
    "Context": facts.CONTEXT,
    "RequestProcessor": ("get_request_property", "get_request_properties", "add_response_property", "report_status"),
    "MetricsCacheYamlImpl": (
        "add_counter", "add_time", "add_size", "add_percent", "add_error", "add_metric", "get_metric",
    ),
}  # fmt: skip
#: What it has not, and where that is.
_ELSEWHERE = {
    "model": "super().initialize(context) loads the model, as self.model; an own initialize loads it from "
    'context.system_properties["model_dir"].',
    "model_dir": 'It is in context.system_properties["model_dir"].',
    "gpu_id": 'It is in context.system_properties["gpu_id"], None on a CPU.',
    "batch_size": 'It is in context.system_properties["batch_size"]; the batch at hand holds len(data) requests.',
    "device": 'torch.device(f"cuda:{gpu_id}"), of context.system_properties["gpu_id"], or "cpu" where that is None.',
    "data": "The rows of the batch are the argument data.",
    "body": "The rows of the batch are the argument data: row.get('body').",
    "config": "model-config.yaml is context.model_yaml_config.",
    "headers": "context.get_all_request_header(index) has the headers of one request.",
}
_PROPERTY = r"""system_properties\.get\(\s*["'](\w+)["']\s*\)"""


def no_such_attribute(evidence: Evidence) -> Finding | None:
    """An attribute or method of the context, or of what is in it, that no TorchServe has."""
    found = re.match(r"'(\w+)' object has no attribute '(\w+)'", evidence.text)
    if not isinstance(evidence.error, AttributeError) or found is None:
        return None
    kind, name = found.groups()
    if kind == "list" and name in _GIVEN["RequestProcessor"]:
        message = "context.request_processor is a list, with an element for each request of the batch."
        return _of_context(evidence, message, f"Write context.request_processor[index].{name}(...).")
    its = getattr(evidence.error, "obj", None)
    if kind not in _GIVEN or any(kind in source_search.classes(evidence, file) for file in evidence.source.files):
        return None
    if live_values.is_live(evidence) and its is not None and not type(its).__module__.startswith("ts."):
        return None
    what = {"Context": "The context", "RequestProcessor": "context.request_processor[index]"}.get(
        kind, "context.metrics"
    )
    message = f"{what} has no {name}: TorchServe knows no attribute or method of that name."
    near = [known for known in _GIVEN[kind] if set(name.split("_")) <= set(known.split("_"))]
    near = near or difflib.get_close_matches(name, _GIVEN[kind], 1, 0.8)
    plain = name.removeprefix("get_").removeprefix("request_")
    fix = _ELSEWHERE.get(plain, "") if kind == "Context" else ""
    fix = fix or (f"Did you mean {near[0]}?" if near else f"It has {', '.join(_GIVEN[kind][-8:])}.")
    return _of_context(evidence, message, fix)


def no_such_property(evidence: Evidence) -> Finding | None:
    """context.system_properties.get("model"), which is None, where that None is used."""
    read = live_values.gave_none(evidence, _PROPERTY) if "NoneType" in evidence.text else None
    if read is None or (name := read[1]) in SYSTEM_PROPERTIES:
        return None
    message = (
        f"context.system_properties has no {name!r}, so .get gives None: it holds {', '.join(SYSTEM_PROPERTIES[:5])}."
    )
    fix = _ELSEWHERE.get(name, "Settings of your own belong into model-config.yaml: context.model_yaml_config.")
    plain = {known.replace("_", ""): known for known in SYSTEM_PROPERTIES}
    if near := difflib.get_close_matches(name.replace("_", "").lower(), plain, 1, 0.8):
        fix = f"Did you mean {plain[near[0]]}?"
    where = evidence.where or source_search.assigned(evidence, live_values.none_source(evidence))
    return Finding("context", message, where, evidence.effect, fix)


def no_context(evidence: Evidence) -> Finding | None:
    """self.context, which BaseHandler.handle sets, in a handler that has a handle of its own, or while it loads."""
    frame = evidence.frame
    if frame is None or "NoneType" not in evidence.text or not live_values.is_none(evidence, "self.context"):
        return None
    if evidence.attempt.loading:
        message = "self.context is None while the handler loads: BaseHandler.handle sets it, with the first request."
        return _of_context(evidence, message, "Use the argument of initialize: context.system_properties.")
    message = "self.context is None: BaseHandler.handle sets it, and this handler has a handle of its own."
    fix = "Begin handle with: self.context = context; or use its argument context."
    return _of_context(evidence, message, fix)


def _of_context(evidence: Evidence, message: str, fix: str) -> Finding:
    return Finding("context", message, evidence.where, evidence.effect, fix)


#: Asked if a load or a call failed.
RULES: tuple[Rule, ...] = (no_such_attribute, no_such_property, no_context)


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
    message = (
        f"Request {other} asked for {wanted}, but the header of request 1 decided: each of the {len(values)} got {got}."
    )
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
