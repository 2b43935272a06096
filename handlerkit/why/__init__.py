"""Causes in plain words: what happened, where, what TorchServe logs and answers, and what to change.

One catalogue. Each rule looks at the live evidence of one load or one call, not at a message, and gives a Finding or
None. Of the rules for a failure the first that fits explains it; the quiet ones tell, also of a success, what was lost
or changed without an error. What the frontend answers without asking the worker has its sentences in `frontend`.
"""

from __future__ import annotations

from dataclasses import replace

from handlerkit.messages import Finding
from handlerkit.why.context_probe import note_debug, watch
from handlerkit.why.evidence import Evidence, Notebook, RecordedCall, Setup, place
from handlerkit.why.rules import loading, raised
from handlerkit.why.rules.answers import ANSWER_RULES, broken_off
from handlerkit.why.rules.changed_files import files_changed, files_gone, files_unfinished
from handlerkit.why.rules.frontend import client_timeout, no_worker, queue_full, rejected, staged_again, told
from handlerkit.why.rules.request import kind_of_body
from handlerkit.why.rules.return_value import REMOTE_RETURN_RULES, RETURN_RULES
from handlerkit.why.rules.settings import declares_metrics, ignored_settings, unusable
from handlerkit.why.rules.warnings import rules_for, without_waits, worth_knowing

__all__ = [
    "Evidence",
    "Notebook",
    "RecordedCall",
    "Setup",
    "client_timeout",
    "declares_metrics",
    "explain",
    "files_changed",
    "files_gone",
    "files_unfinished",
    "ignored_settings",
    "kind_of_body",
    "no_worker",
    "note_debug",
    "place",
    "queue_full",
    "rejected",
    "rules_for",
    "staged_again",
    "told",
    "unusable",
    "watch",
    "without_waits",
]


def explain(seen: Evidence) -> tuple[Finding, ...]:
    """The cause of a failure, if there is one, and what is worth knowing beside it; nothing where all is well."""
    try:
        return _explain(seen)
    except RecursionError:  # a body or an answer that is nested deeper than JSON is read
        return ()


def _explain(seen: Evidence) -> tuple[Finding, ...]:
    if seen.loading:
        return next(((found,) for rule in loading.LOAD_RULES if (found := rule(seen)) is not None), ())
    if seen.error is None and not seen.died and all(response.ok for response in seen.responses):
        return tuple(worth_knowing(seen)) if seen.responses else ()
    cause = _cause(seen)
    beside = [found for found in worth_knowing(seen) if cause is None or found.name != cause.name]
    return tuple(beside) if cause is None else (cause, *beside)


def _cause(seen: Evidence) -> Finding | None:
    rules = raised.RAISE_RULES
    if seen.error is None and not seen.died:
        refused = REMOTE_RETURN_RULES if seen.remote else RETURN_RULES
        taken = seen.answer is not None and (seen.answer.code == 200 or seen.answer.is_intermediate)
        rules = ANSWER_RULES if taken else refused
    for rule in rules:
        if (found := rule(seen)) is not None:
            return replace(found, effect=broken_off(seen) or found.effect)
    return None
