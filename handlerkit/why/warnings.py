"""What goes wrong without an error: the answer is a 200, and not what was meant.

Facts only: a rule warns if something was lost, changed or waited for, not if it might be. Each subject has a list of
rules, and a quick look at whether one of them can speak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from handlerkit.messages import Finding
from handlerkit.why.evidence import Attempt, Evidence, Rule
from handlerkit.why.rules import answers, context_calls, envelopes, handler_code, metrics, request, rows, timing


class WarningRules(NamedTuple):
    """The rules of a file, all of which may warn, and its look at whether one of them can."""

    may_warn: Callable[[Attempt], bool]
    rules: tuple[Rule, ...]


SUBJECTS = (
    WarningRules(request.may_warn, request.WARNINGS),
    WarningRules(context_calls.may_warn, context_calls.WARNINGS),
    WarningRules(envelopes.may_warn, envelopes.WARNINGS),
    WarningRules(rows.may_warn, rows.WARNINGS),
    WarningRules(answers.may_warn, answers.WARNINGS),
    WarningRules(timing.may_warn, timing.WARNINGS),
    WarningRules(metrics.may_warn, metrics.WARNINGS),
    WarningRules(handler_code.may_warn, handler_code.WARNINGS),
)


def may_warn(attempt: Attempt) -> bool:
    """Whether any rule can have something to say."""
    for subject in SUBJECTS:  # noqa: SIM110  # any() of a generator takes twice as long
        if subject.may_warn(attempt):
            return True
    return False


def warn(evidence: Evidence) -> Iterator[Finding]:
    """What every rule says that has something to say."""
    for subject in SUBJECTS:
        if subject.may_warn(evidence.attempt):
            for rule in subject.rules:
                if (found := rule(evidence)) is not None:
                    yield found
