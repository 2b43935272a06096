"""Envelopes: what TorchServe wraps around a handler to read other services' requests, and what that does to them.

service_envelope in config.properties names one of `handlerkit.envelope.ENVELOPES`, which holds what is known of each;
the rules here that ask for a name are about what that envelope alone does.
"""

from __future__ import annotations

import json
from typing import Any

from handlerkit.envelope import named
from handlerkit.messages import Finding
from handlerkit.why import source_search
from handlerkit.why.evidence import FAILED, NOTHING, Evidence, Rule


def unreadable_input(seen: Evidence) -> Finding | None:
    """The envelope itself raised, before the handler was called or after it."""
    if seen.error is None or seen.envelope is None or not seen.functions or seen.frame is not None:
        return None
    inside = [function for file, function in seen.functions if "request_envelope/" in file]
    if "parse_input" in inside and seen.describe:
        what = f"The envelope {seen.envelope} cannot read a describe request, which has no body."
        return Finding("envelope_input", what, "", FAILED, "Serve without an envelope, or with body, to describe.")
    if "parse_input" in inside:
        what = f"The envelope {seen.envelope} cannot read this request ({seen.name}), and the handler was not called."
        return Finding("envelope_input", what, "", FAILED, f"Send {named(seen.envelope).takes}.")
    if seen.functions[-1][1] == "handle" and inside:
        what = f"The handler returned a tensor or an array, and the envelope {seen.envelope} asks whether it is true."
        return Finding("envelope_output", what, source_search.answering(seen), FAILED, "Return tensor.tolist().")
    if "format_output" in inside:
        what = f"The envelope {seen.envelope} cannot wrap what the handler returned ({seen.name})."
        change = f"Return {named(seen.envelope).returns}."
        return Finding("envelope_output", what, source_search.answering(seen), FAILED, change)
    return None


def rows_unwrapped(seen: Evidence) -> Finding | None:
    """Behind an envelope the rows are the payloads themselves."""
    if not isinstance(seen.error, AttributeError) or "has no attribute 'get'" not in seen.text or not seen.envelope:
        return None
    what = f"The envelope {seen.envelope} hands the values themselves to the handler, not dicts with 'data' or 'body'."
    change = "Use each element of data as it is, or serve the model without service_envelope."
    return Finding("envelope_rows", what, seen.where, FAILED, change)


def no_instances(seen: Evidence) -> Finding | None:
    """The kserve envelope hands None to the handler where the body has no "instances"."""
    if seen.envelope != "kserve" or not seen.jobs:
        return None
    for parameter in seen.jobs[0].parameters:
        try:
            read = json.loads(bytes(parameter.value))
        except ValueError:
            continue
        if isinstance(read, dict) and "instances" not in read:
            what = 'The body has no "instances", so the envelope kserve gave the handler None for data.'
            return Finding("envelope_input", what, seen.where, FAILED, f"Send {named('kserve').takes}.")
    return None


#: Asked where a call failed.
ENVELOPE_RULES: tuple[Rule, ...] = (unreadable_input, no_instances, rows_unwrapped)


def _answers(seen: Evidence) -> list[Any]:
    """The answers as JSON; none where one is not."""
    try:
        return [json.loads(row.body) for row in seen.answer.predictions] if seen.answer else []
    except ValueError:
        return []


def cut_or_filled(seen: Evidence) -> Finding | None:
    """The json envelope cuts the result by the numbers of instances, and does not ask whether they fit."""
    if seen.envelope != "json" or seen.describe:
        return None
    answers = _answers(seen)
    if not answers or any(not isinstance(answer, dict) or "predictions" not in answer for answer in answers):
        return None
    asked = [_instances(seen, index) for index in range(len(answers))]
    where, wanted = source_search.answering(seen), sum(asked)
    if isinstance(answers[0]["predictions"], str):
        what = "The handler returned a str, and the json envelope cut it into pieces: one letter for each instance."
        return Finding(
            "envelope_letters", what, where, NOTHING, "Return [answer]: one element per instance.", "warning"
        )
    told = sum(len(answer["predictions"]) for answer in answers)
    given = len(seen.result) if not seen.remote and hasattr(seen.result, "__len__") else told
    if given == wanted:
        return None
    what = f"The handler returned {given} element(s) for {wanted} instance(s), and the json envelope "
    what += "dropped those at the end." if given > wanted else "left the last ones without an answer."
    return Finding("envelope_length", what, where, NOTHING, "Return one element for each element of data.", "warning")


def _instances(seen: Evidence, index: int) -> int:
    """How many instances a request asked for, read anew: handlers and envelopes change the rows."""
    for name in ("data", "body"):
        for parameter in seen.jobs[index].parameters:
            if parameter.name == name and parameter.value:
                try:
                    return len(json.loads(bytes(parameter.value))["instances"])
                except (ValueError, KeyError, TypeError):
                    return 0
    return 0


def flattened(seen: Evidence) -> Finding | None:
    """The kservev2 envelope answers with flat data and a flat shape."""
    if seen.envelope != "kservev2" or seen.remote or seen.describe or not isinstance(seen.result, list | tuple):
        return None
    import numpy as np

    try:
        shapes = [np.shape(item) for item in seen.result]
    except ValueError:
        return None
    shape = next((shape for shape in shapes if len(shape) > 1), None)
    if shape is None:
        return None
    flat = int(np.prod(shape))
    what = f"The kservev2 envelope answers with the shape [{flat}]; the handler returned {list(shape)}, which is lost."
    change = "Let the client put it back into shape, or answer with the shape as a second output."
    return Finding("envelope_shape", what, source_search.answering(seen), NOTHING, change, "warning")


def stale_id(seen: Evidence) -> Finding | None:
    """The kservev2 envelope keeps the id of a request that failed, for the next one without an id."""
    if seen.envelope != "kservev2" or not seen.jobs or seen.describe:
        return None
    answers = _answers(seen)
    if not answers or not isinstance(answers[0], dict):
        return None
    told, job = answers[0].get("id"), seen.jobs[0]
    if told == job.request_id:
        return None
    for parameter in job.parameters:
        try:
            if json.loads(bytes(parameter.value)).get("id") == told:
                return None
        except (ValueError, AttributeError):
            continue
    what = f"The answer carries the id {told!r}, which belongs to an earlier request that failed; this one sent none."
    return Finding("envelope_id", what, "", NOTHING, "Send an id with every request.", "warning")


#: Asked where a call with an envelope succeeded.
QUIET_ENVELOPE_RULES: tuple[Rule, ...] = (cut_or_filled, flattened, stale_id)
