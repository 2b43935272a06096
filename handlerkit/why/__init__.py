"""Causes in plain words: what happened, where, what TorchServe logs and answers, and what to change.

One catalogue. Each rule looks at the evidence of one load or one call while its objects are alive, not at a message,
and gives a Finding or None. Of the rules for a failure the first that fits explains it; the warnings say, also of a
success, what was lost or changed without an error. `rules` says how to add one.
"""

from __future__ import annotations

from dataclasses import replace

from handlerkit.messages import Finding
from handlerkit.why import warnings
from handlerkit.why.context_probe import record_calls, record_debug
from handlerkit.why.evidence import Attempt, Evidence, Notebook, RecordedCall, Returned, Rule, Setup, Source, place
from handlerkit.why.rules import answers, loading, raised, return_value
from handlerkit.why.rules.changed_files import file_gone, files_changed, files_gone, files_unfinished
from handlerkit.why.rules.frontend import client_timeout, error_body, no_worker, queue_full, rejected, staged_again
from handlerkit.why.rules.handler_code import code_of, may_skip_stages, silenced
from handlerkit.why.rules.request import kind_of_body
from handlerkit.why.rules.settings import declares_metrics, ignored_settings, unusable_config
from handlerkit.why.rules.timing import without_batch_waits

__all__ = [
    "Attempt",
    "Evidence",
    "Notebook",
    "RecordedCall",
    "Returned",
    "Setup",
    "Source",
    "client_timeout",
    "code_of",
    "declares_metrics",
    "error_body",
    "explain",
    "file_gone",
    "files_changed",
    "files_gone",
    "files_unfinished",
    "ignored_settings",
    "kind_of_body",
    "may_explain",
    "may_skip_stages",
    "no_worker",
    "place",
    "queue_full",
    "record_calls",
    "record_debug",
    "rejected",
    "silenced",
    "staged_again",
    "unusable_config",
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
