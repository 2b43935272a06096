"""What a notebook shows of a LoadError, a Report and Envelopes."""

from __future__ import annotations

from collections.abc import Sequence

from handlerkit.errors import LoadError
from handlerkit.formatting import MAX_TEXT, excerpt, plain, shorten, tally
from handlerkit.messages import describe_response
from handlerkit.serving.torchserve_facts import METRIC
from handlerkit.verify import Difference, Enveloped, Envelopes, Report
from handlerkit.view.diff.comparison import Comparison, changed
from handlerkit.view.html import elements, exchange, findings
from handlerkit.view.output import View


def load_error_view(problem: LoadError) -> View:
    """The display of a LoadError."""
    answer = describe_response(problem.response)
    text = [problem.args[0], f"registering the model answers {answer}", *findings.findings_text(problem.findings)]
    parts = [
        elements.headline(problem.args[0], exchange.badge(problem.response)),
        findings.findings(problem.findings),
    ]
    if problem.error:
        text += findings.error_text(problem.error)
        parts.append(findings.error(problem.error))
    lines = [line for line in problem.logs if not line.startswith(METRIC)]
    answered = elements.code(excerpt(problem.response.text)) if problem.response.body else ""
    parts.append(
        elements.folds(
            elements.details("registering the model answers", answered, answer) if answered else "",
            elements.details("log", elements.code(plain("\n".join(lines))[-2 * MAX_TEXT :])) if lines else "",
        )
    )
    return View(plain("\n".join(text)), elements.page(*parts))


def report_view(report: Report) -> View:
    """The display of a Report."""
    different = [row for row in report.rows if row.verdict == "different"]
    if different:
        head, verdicts = f"{len(different)} of {len(report.rows)} answers differ on {report.place}", ""
    else:
        head = f"verified on {report.place}"
        verdicts = tally([row.verdict for row in report.rows]) or "nothing compared"
        verdicts += ", and the handler gets the same" if report.compares_handed_over else ""
    stands_in = report.environment.stands_in if report.environment else ""
    text, rows = [": ".join(filter(None, [head, verdicts])), *([stands_in] if stands_in else [])], []
    columns = ["request", "verdict"]
    columns += ["here → there"] if any(row.differences for row in report.rows) else []
    columns += ["left out"] if any(row.volatile for row in report.rows) else []
    columns += ["forced by the endpoint"] if any(row.forced for row in report.rows) else []
    for row in report.rows:
        text.append(f"{row.label}  {row.verdict}" + (f"  left out: {', '.join(row.volatile)}" if row.volatile else ""))
        text += [f"  {found.where}: {found.ours} -> {found.theirs}" for found in row.differences]
        text += [f"  forced by the endpoint: {', '.join(found.where for found in row.forced)}"] if row.forced else []
        cells = [elements.escape(row.label), exchange.verdict(row)]
        cells += [_differences(row.differences)] if "here → there" in columns else []
        cells += [elements.escape(", ".join(row.volatile))] if "left out" in columns else []
        cells += [_differences(row.forced)] if "forced by the endpoint" in columns else []
        rows.append(cells)
    table = elements.wide_table(columns, rows, "verdicts")
    line = elements.headline(head, f"<span>{elements.escape(verdicts)}</span>")
    line += f'<div class="hk-line hk-soft">{elements.escape(stands_in)}</div>' if stands_in else ""
    causes = () if report else report.other.findings
    apart, drawn = changed(Comparison(report.run, report.other, report.rows)) if not report else ([], "")
    return View(
        plain("\n".join(text + findings.findings_text(causes) + apart)),
        elements.page(line, plain(table) if rows else "", findings.findings(causes), drawn),
    )


def _differences(found: Sequence[Difference]) -> str:
    return "".join(
        f"<div>{elements.escape(one.where)}: <code>{elements.escape(one.ours)}</code> → "
        f"<code>{elements.escape(one.theirs)}</code></div>"
        for one in found
    )


def envelopes_view(compared: Envelopes) -> View:
    """The display of Envelopes."""
    count = len(compared.samples)
    head = f"{count} sample{'s' * (count != 1)} to {compared.model} in each envelope"
    verdicts = tally(compared.verdicts) or "nothing compared"
    text, rows = [f"{head}: {verdicts}"], []
    names = tuple(compared.samples[0].answers) if compared.samples else ()
    for sample in compared.samples:
        text.append(sample.label)
        cells = [elements.escape(sample.label)]
        for name, found in sample.answers.items():
            word, status = found.verdict * (name != "none"), _statuses(found)
            text.append(f"  {name:8}  {'  '.join(filter(None, (word, status, found.why)))}")
            cells.append(_verdict(found, word, status))
        rows.append(cells)
    table = elements.wide_table(("sample", *names), rows, "verdicts")
    line = elements.headline(head, f"<span>{elements.escape(verdicts)}</span>")
    return View(plain("\n".join(text)), elements.page(line, plain(table) if rows else "", _changes(compared)))


def _verdict(found: Enveloped, word: str, status: str) -> str:
    same, different = found.verdict == "same", found.verdict == "different"
    badge = elements.badge("ok" if same else "odd" if different else "bad", word or status)
    beside = f' <span class="hk-soft">{elements.escape(status)}</span>' if word else ""
    why = f"<div>{elements.escape(shorten(found.why, 300))}</div>" if found.why else ""
    return f'<div class="hk-item">{badge}{beside}</div>{why}'


def _statuses(found: Enveloped) -> str:
    """Those of the answers, each once."""
    answers = found.run.responses if found.run else ()
    return ", ".join(dict.fromkeys(str(response.status or "no answer") for response in answers))


def _changes(compared: Envelopes) -> str:
    """What the failures' findings say, folded: each once, though it may be in several envelopes."""
    found = [one for sample in compared.samples for one in sample.answers.values() if one.verdict == "failed"]
    said = tuple(dict.fromkeys(finding for one in found if one.run for finding in one.run.findings))
    return elements.folds(elements.details("what to change", findings.findings(said), str(len(said)))) if said else ""
