"""Metrics that the handler logs and the server does not show."""

from __future__ import annotations

import re

from handlerkit.messages import Finding, Metric
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import source_search
from handlerkit.why.evidence import Attempt, Evidence, Rule, once_per_load

_DECLARED = tuple(f"{facts.METRIC}{name}." for name in facts.DECLARED_METRICS)


def may_warn(attempt: Attempt) -> bool:
    """Whether a rule of WARNINGS can have something to say."""
    if attempt.setup.declares_metrics:
        return False
    return any(line.text.startswith(facts.METRIC) and not line.text.startswith(_DECLARED) for line in attempt.logs)


def metric_failed(evidence: Evidence) -> Finding | None:
    for line in evidence.attempt.logs:
        if found := re.match(r"\[METRICS\]Failed to update metric with name:(\S+) .*value: \S+: (.*)", line.text):
            message = f"The metric {found[1]} was not counted: {found[2]}."
            fix = "Give a metric the same dimensions each time, and a counter no negative number."
            effect = "Only this line of the log says so."
            return Finding("metric_failed", message, _metric(evidence), effect, fix, "warning")
    return None


def metric_dropped(evidence: Evidence) -> Finding | None:
    logs = evidence.attempt.logs
    samples = (Metric.parse(line.text) for line in logs if not line.text.startswith(_DECLARED))
    names = dict.fromkeys(sample.name for sample in samples if sample is not None)
    if not names:
        return None
    what, are = ("metrics", "these are") if len(names) > 1 else ("metric", "this one is")
    message = f"TorchServe drops the {what} {', '.join(names)}: a metric has to be declared, and {are} not."
    effect = "It is neither in model_metrics.log nor on the metrics page (port 8082)."
    fix = "Set model_metrics_auto_detect=true in config.properties, or name a metrics_config that declares them."
    return Finding("metric_dropped", message, _metric(evidence), effect, fix, "warning")


def _metric(evidence: Evidence) -> str:
    return source_search.find(evidence, r"\.add_(counter|time|size|percent|error|metric)\(|add_or_update\(")


#: Asked if the handler logged a metric that TorchServe's own metrics.yaml does not declare.
WARNINGS: tuple[Rule, ...] = (metric_failed, once_per_load(metric_dropped))
