"""Time: what a call waits for, and the timeout that is in force."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from handlerkit.formatting import duration
from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import source_search
from handlerkit.why.effects import DIED, NOTHING
from handlerkit.why.evidence import Attempt, Evidence, Rule, once_per_load


def may_warn(attempt: Attempt) -> bool:
    """Whether a rule of WARNINGS can have something to say."""
    return attempt.setup.overridden_timeout is not None or ("batch_waits" not in attempt.reported and _waits(attempt))


def _waits(attempt: Attempt) -> bool:
    setup = attempt.setup
    if len(attempt.jobs) >= setup.batch_size or setup.max_batch_delay <= 0 or attempt.describe:
        return False
    return attempt.answer is not None and attempt.answer.code == 200


def batch_waits(evidence: Evidence) -> Finding | None:
    if not _waits(evidence.attempt):
        return None
    count, setup = len(evidence.attempt.jobs), evidence.attempt.setup
    message = (
        f"The batch holds {count} of {setup.batch_size} requests, so the server waits {setup.max_batch_delay} ms for "
        "more before it calls the handler; the times shown here leave that out."
    )
    fix = "Lower max_batch_delay, or set batch_size=1 if requests come one by one."
    return Finding("batch_waits", message, "", NOTHING, fix, "warning")


def without_batch_waits(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings of a batch that was closed before its time was over."""
    return tuple(finding for finding in findings if finding.name != "batch_waits")


def timeout_set_aside(evidence: Evidence) -> Finding | None:
    """The worker was killed earlier than the register call's response_timeout says."""
    setup, death = evidence.attempt.setup, evidence.attempt.death
    if death is None or death.kind != "timeout":
        return None
    if setup.overridden_timeout is None or setup.overridden_timeout <= setup.response_timeout:
        return None
    return _set_aside(evidence, setup.overridden_timeout, DIED)


def timeout_not_in_force(evidence: Evidence) -> Finding | None:
    """The call took longer than the register call's response_timeout, and was not ended."""
    setup = evidence.attempt.setup
    if setup.overridden_timeout is None:
        return None
    if not setup.overridden_timeout < evidence.attempt.seconds <= setup.response_timeout:
        return None
    return replace(_set_aside(evidence, setup.overridden_timeout, NOTHING), severity="warning")


def response_timeout(evidence: Evidence) -> str:
    """How to raise the timeout of calls that is in force."""
    if (file := _config_file(evidence)) is not None:
        return f"raise responseTimeout in {file}: with a config file, no other response timeout counts."
    return "raise response_timeout where the model is registered, or default_response_timeout in config.properties."


def startup_timeout(evidence: Evidence) -> str:
    """How to raise the timeout of loads that is in force."""
    if (file := _config_file(evidence)) is not None:
        return f"raise startupTimeout in {file}: with a config file, no other startup timeout counts."
    return "raise startup_timeout where the model is registered, or default_startup_timeout in config.properties."


def _config_file(evidence: Evidence) -> str | None:
    return source_search.manifest(evidence).get("configFile")


def _set_aside(evidence: Evidence, registered: int, effect: str) -> Finding:
    attempt = evidence.attempt
    message = (
        f"The call took {duration(attempt.seconds)}. The model was registered with a response_timeout of {registered} "
        f"s, but {attempt.setup.response_timeout} s is in force: the model has a config file, and then only its "
        f"responseTimeout counts ({facts.RESPONSE_TIMEOUT} s without one)."
    )
    return Finding(
        "timeout_set_aside",
        message,
        "",
        effect,
        f"Write responseTimeout: {registered} into {_config_file(evidence) or 'model-config.yaml'}.",
    )


#: Asked if the batch is smaller than it may be, or if a config file overrides the register call's response_timeout.
WARNINGS: tuple[Rule, ...] = (once_per_load(batch_waits), timeout_not_in_force)
