"""Causes in plain words: what happened, where, what TorchServe logs and answers, and what to change.

One catalogue. Each rule looks at the evidence of one load or one call while its objects are alive, not at a message,
and gives a Finding or None. Of the rules for a failure the first that fits explains it; the warnings say, also of a
success, what was lost or changed without an error.

- evidence: what a rule looks at. context_probe: the calls of its context that a handler makes.
- rules: one file a subject; its `__init__` says how to add one. warnings: which of them may speak of a success.
- findings: those that a caller asks for by name.
- source_search, live_values: the lines and the values that a finding names. inferred_values: the values, where only a
  log tells of the exception. model_code: what a load reads once.
  contents: what the values of a request hold.
- effects: what TorchServe does about each kind of failure.

It may import envelope, model, messages and below.
"""

from __future__ import annotations

from dataclasses import replace

from handlerkit.messages import Finding
from handlerkit.why import warnings
from handlerkit.why.context_probe import record_calls, record_debug
from handlerkit.why.evidence import (
    Attempt,
    CodeFiles,
    Evidence,
    Notebook,
    RecordedCall,
    Returned,
    Rule,
    Setup,
    kind_of_body,
    place,
)
from handlerkit.why.model_code import ModelCode, read_code
from handlerkit.why.rules import answers, loading, raised, return_value
from handlerkit.why.rules.timing import without_batch_waits

__all__ = [
    "Attempt",
    "CodeFiles",
    "Evidence",
    "ModelCode",
    "Notebook",
    "RecordedCall",
    "Returned",
    "Setup",
    "explain",
    "kind_of_body",
    "may_explain",
    "place",
    "read_code",
    "record_calls",
    "record_debug",
    "without_batch_waits",
]


def may_explain(attempt: Attempt) -> bool:
    """Whether `explain` can have anything to say. This is asked after every call, and takes microseconds; only if it is
    true is the evidence gathered, which is in the worker's process."""
    return attempt.failed or warnings.may_warn(attempt)


def explain(evidence: Evidence) -> tuple[Finding, ...]:
    """The cause of a failure, if there is one, and the warnings; nothing if all is well."""
    try:
        cause = _cause(evidence)
        beside = [found for found in warnings.warn(evidence) if cause is None or found.name != cause.name]
    except RecursionError:  # a body or an answer that is nested deeper than JSON is read
        return ()
    return tuple(beside) if cause is None else (cause, *beside)


def _cause(evidence: Evidence) -> Finding | None:
    for rule in _rules(evidence):
        if (found := rule(evidence)) is not None:
            return replace(found, effect=answers.cut_stream(evidence) or found.effect)
    return None


def _rules(evidence: Evidence) -> tuple[Rule, ...]:
    """The rules for a failure of this kind; none for a success."""
    attempt = evidence.attempt
    if attempt.loading:
        return loading.RULES
    if evidence.error is not None or attempt.death is not None:
        return raised.RULES
    if all(response.ok for response in attempt.responses):
        return ()
    answer = attempt.answer
    taken = answer is not None and (answer.code == 200 or answer.is_intermediate)
    return answers.RULES if taken else return_value.RULES
