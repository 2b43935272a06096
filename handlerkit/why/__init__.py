"""Causes in plain words: what happened, where, what TorchServe logs and answers, and what to change.

One catalogue. Each rule looks at the live evidence of one load or one call, not at a message, and gives a Finding or
None; the first that fits explains the failure.
"""

from __future__ import annotations

from handlerkit.messages import Finding
from handlerkit.why.calling import CALL_RULES
from handlerkit.why.evidence import Evidence
from handlerkit.why.loading import LOAD_RULES

__all__ = ["Evidence", "explain"]


def explain(evidence: Evidence) -> tuple[Finding, ...]:
    """The finding of the first rule that fits; nothing where nothing went wrong."""
    rules = LOAD_RULES if evidence.loading else CALL_RULES
    return next(((found,) for rule in rules if (found := rule(evidence)) is not None), ())
