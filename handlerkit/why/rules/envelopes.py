"""Envelopes: what TorchServe wraps around a handler to read other services' requests, and what that does to them.

service_envelope in config.properties names one of `handlerkit.envelope.ENVELOPES`, which holds what is known of each;
the rules here that ask for a name are about what that envelope alone does.
"""

from __future__ import annotations

import json
from typing import Any

from handlerkit.envelope import named
from handlerkit.formatting import with_article
from handlerkit.messages import Finding
from handlerkit.why import source_search
from handlerkit.why.effects import FAILED, NOTHING
from handlerkit.why.evidence import Attempt, Evidence, Rule


def unreadable_input(evidence: Evidence) -> Finding | None:
    """The envelope itself raised, before the handler was called or after it."""
    envelope = evidence.attempt.envelope
    if evidence.error is None or envelope is None or not evidence.functions or evidence.frame is not None:
        return None
    inside = [function for file, function in evidence.functions if "request_envelope/" in file]
    if "parse_input" in inside and evidence.attempt.describe:
        message = f"The envelope {envelope} cannot read a describe request, which has no body."
        return Finding("envelope_input", message, "", FAILED, "Serve without an envelope, or with body, to describe.")
    if "parse_input" in inside:
        message = (
            f"The envelope {envelope} cannot read this request ({evidence.error_line}); the handler was not called."
        )
        return Finding("envelope_input", message, "", FAILED, f"Send {named(envelope).takes}.")
    where = source_search.return_line(evidence)
    if evidence.functions[-1][1] == "handle" and inside:
        message = f"The handler returned a tensor or an array, and the envelope {envelope} tests whether it is true."
        return Finding("envelope_output", message, where, FAILED, "Return tensor.tolist().")
    if "format_output" in inside:
        message = f"The envelope {envelope} cannot wrap what the handler returned ({evidence.error_line})."
        return Finding("envelope_output", message, where, FAILED, f"Return {named(envelope).returns}.")
    return None


def _misshapen(evidence: Evidence) -> tuple[str, str] | None:
    """(message, fix) for an input of KServe v2 whose data is no list: a text's first letter is all that is taken."""
    if evidence.attempt.envelope != "kservev2":
        return None
    for job in evidence.attempt.jobs:
        for parameter in job.parameters:
            try:
                inputs = json.loads(bytes(parameter.value))["inputs"]
            except (ValueError, KeyError, TypeError):
                continue
            for number, one in enumerate(inputs if isinstance(inputs, list) else ()):
                if not isinstance(one, dict) or isinstance(one.get("data", []), list):
                    continue
                kind = type(one["data"]).__name__
                message = f'inputs[{number}] has {with_article(kind)} as "data", and KServe v2 has a list there'
                if one.get("datatype") == "BYTES" and isinstance(one["data"], str):
                    message += f": the envelope takes its first element, the letter {one['data'][:1]!r}"
                return f"{message}.", f'Send a list: "data": [{json.dumps(one["data"])[:40]}], "shape": [1].'
    return None


def misshapen_input(evidence: Evidence) -> Finding | None:
    if evidence.error is None or (found := _misshapen(evidence)) is None:
        return None
    return Finding("envelope_input", found[0], evidence.where, FAILED, found[1])


def first_letter(evidence: Evidence) -> Finding | None:
    """The same in a call that succeeded."""
    if evidence.error is not None or (found := _misshapen(evidence)) is None:
        return None
    return Finding("envelope_input", found[0], "", NOTHING, found[1], "warning")


def rows_unwrapped(evidence: Evidence) -> Finding | None:
    """Behind an envelope the rows are the payloads themselves."""
    envelope = evidence.attempt.envelope
    if not isinstance(evidence.error, AttributeError) or "has no attribute 'get'" not in evidence.text or not envelope:
        return None
    message = f"The envelope {envelope} gives the handler the values themselves, not dicts with 'data' or 'body'."
    fix = "Use each element of data as it is, or serve the model without service_envelope."
    return Finding("envelope_rows", message, evidence.where, FAILED, fix)


def no_instances(evidence: Evidence) -> Finding | None:
    """The kserve envelope hands None to the handler where the body has no "instances"."""
    if evidence.attempt.envelope != "kserve" or not evidence.attempt.jobs:
        return None
    for parameter in evidence.attempt.jobs[0].parameters:
        try:
            read = json.loads(bytes(parameter.value))
        except ValueError:
            continue
        if isinstance(read, dict) and "instances" not in read:
            message = 'The body has no "instances", so the envelope kserve gave the handler None for data.'
            return Finding("envelope_input", message, evidence.where, FAILED, f"Send {named('kserve').takes}.")
    return None


#: Asked if a call failed.
RULES: tuple[Rule, ...] = (misshapen_input, unreadable_input, no_instances, rows_unwrapped)


def may_warn(attempt: Attempt) -> bool:
    """Whether a rule of WARNINGS can have something to say."""
    return attempt.envelope is not None and attempt.answer is not None and attempt.answer.code == 200


def _answers(evidence: Evidence) -> list[Any]:
    """The answers as JSON; none where one is not."""
    try:
        return [json.loads(row.body) for row in evidence.attempt.answer.predictions] if evidence.attempt.answer else []
    except ValueError:
        return []


def cut_or_filled(evidence: Evidence) -> Finding | None:
    """The json envelope cuts the result by the numbers of instances, and does not ask whether they fit."""
    if evidence.attempt.envelope != "json" or evidence.attempt.describe:
        return None
    answers = _answers(evidence)
    if not answers or any(not isinstance(answer, dict) or "predictions" not in answer for answer in answers):
        return None
    wanted = sum(_instances(evidence, index) for index in range(len(answers)))
    where = source_search.return_line(evidence)
    if isinstance(answers[0]["predictions"], str):
        message = "The handler returned a str, and the json envelope cut it into pieces: one letter for each instance."
        fix = "Return [answer]: one element per instance."
        return Finding("envelope_letters", message, where, NOTHING, fix, "warning")
    given = sum(len(answer["predictions"]) for answer in answers)
    if evidence.returned is not None and hasattr(evidence.returned.inner, "__len__"):
        given = len(evidence.returned.inner)
    if given == wanted:
        return None
    message = f"The handler returned {given} element(s) for {wanted} instance(s), and the json envelope "
    message += "dropped those at the end." if given > wanted else "left the last ones without an answer."
    return Finding(
        "envelope_length", message, where, NOTHING, "Return one element for each element of data.", "warning"
    )


def _instances(evidence: Evidence, index: int) -> int:
    """How many instances a request asked for, read again: handlers and envelopes change the rows."""
    for name in ("data", "body"):
        for parameter in evidence.attempt.jobs[index].parameters:
            if parameter.name == name and parameter.value:
                try:
                    return len(json.loads(bytes(parameter.value))["instances"])
                except (ValueError, KeyError, TypeError):
                    return 0
    return 0


def flattened(evidence: Evidence) -> Finding | None:
    """The kservev2 envelope answers with flat data and a flat shape."""
    if evidence.attempt.envelope != "kservev2" or evidence.attempt.describe or evidence.returned is None:
        return None
    if not isinstance(evidence.returned.inner, list | tuple):
        return None
    import numpy as np

    try:
        shapes = [np.shape(item) for item in evidence.returned.inner]
    except ValueError:
        return None
    shape = next((shape for shape in shapes if len(shape) > 1), None)
    if shape is None:
        return None
    flat = int(np.prod(shape))
    message = (
        f"The kservev2 envelope answers with the shape [{flat}]; the handler returned {list(shape)}, which is lost."
    )
    fix = "Let the client put it back into shape, or answer with the shape as a second output."
    return Finding("envelope_shape", message, source_search.return_line(evidence), NOTHING, fix, "warning")


def stale_id(evidence: Evidence) -> Finding | None:
    """The kservev2 envelope keeps the id of a request that failed, for the next one without an id."""
    if evidence.attempt.envelope != "kservev2" or not evidence.attempt.jobs or evidence.attempt.describe:
        return None
    answers = _answers(evidence)
    if not answers or not isinstance(answers[0], dict):
        return None
    answered, job = answers[0].get("id"), evidence.attempt.jobs[0]
    if answered == job.request_id:
        return None
    for parameter in job.parameters:
        try:
            if json.loads(bytes(parameter.value)).get("id") == answered:
                return None
        except (ValueError, AttributeError):
            continue
    message = (
        f"The answer carries the id {answered!r}, which belongs to an earlier request that failed; this one sent none."
    )
    return Finding("envelope_id", message, "", NOTHING, "Send an id with every request.", "warning")


#: Asked if a call with an envelope succeeded.
WARNINGS: tuple[Rule, ...] = (cut_or_filled, flattened, stale_id, first_letter)
