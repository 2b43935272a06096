"""What a notebook shows of a Check.

Its texts are what is in files, absolute paths among them, and a stranger may have written these: nothing is
shortened, and what is no character to be read is escaped.
"""

from __future__ import annotations

from collections import Counter
from typing import get_args

from handlerkit.check import Check
from handlerkit.formatting import printable
from handlerkit.messages import Finding, Severity
from handlerkit.view.html import elements, findings
from handlerkit.view.output import View

_SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_BADGES: dict[Severity, elements.BadgeKind] = {"error": "bad", "warning": "odd", "info": "note"}
_UNFOLDED = 12  # findings
_MOST = 200  # findings of a display; an archive from elsewhere may hold any number


def check_view(check: Check) -> View:
    """The display of a Check."""
    return View("\n".join(_lines(check)), elements.page(*drawn(check)))


def drawn(check: Check) -> list[str]:
    """The parts of its page, for those who show more than a Check."""
    counts, holds = _counts(check), f'<span class="hk-soft">{elements.escape(check.environment)}</span>'
    badges = "".join(_badge(severity, said) for severity, said in counts.items()) or _NOTHING
    return [
        elements.headline(_head(check), holds + badges),
        _boxes(check.findings[:_MOST]),
        *(f'<div class="hk-soft">{elements.escape(line)}</div>' for line in _last(check)),
    ]


def _lines(check: Check) -> list[str]:
    holds = f" ({check.environment})" if check.environment else ""
    found = [line for one in check.findings[:_MOST] for line in findings.lines(one, one.severity, "  ", printable)]
    counts = ", ".join(_counts(check).values()) or "nothing found"
    return [f"{_head(check)}{holds}: {counts}", *found, *_last(check)]


def _head(check: Check) -> str:
    return printable(f"checked {check.name} for {check.target}")


def _last(check: Check) -> list[str]:
    """What was looked at, if nothing was found; how much is left out, if that is too much."""
    if more := len(check.findings[_MOST:]):
        return [f"… {more} more in .findings"]
    looked = ", ".join(word.replace("_", " ") for word in check.subjects)
    return [f"looked at: {looked}"] if looked and not check.findings else []


_NOTHING = elements.badge("ok", "nothing found")


def _boxes(found: tuple[Finding, ...]) -> str:
    """Each with its severity as a word; folded beyond a dozen."""
    boxes = [findings.box(one, f"{_badge(one.severity, one.severity)} ", printable) for one in found]
    rest = "".join(boxes[_UNFOLDED:])
    return "".join(boxes[:_UNFOLDED]) + (elements.details("more", rest, str(len(boxes) - _UNFOLDED)) if rest else "")


def _counts(check: Check) -> dict[Severity, str]:
    counted = Counter(finding.severity for finding in check.findings)
    return {
        severity: f"{counted[severity]} {severity}{'s' * (counted[severity] > 1 and severity != 'info')}"
        for severity in _SEVERITIES
        if counted[severity]
    }


def _badge(severity: Severity, word: str) -> str:
    return elements.badge(_BADGES[severity], word)
