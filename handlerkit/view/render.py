"""What a notebook shows of a Run, a LoadError, a Report and Envelopes: text, html and a picture.

Which drawing fits an answer is decided here alone: READERS, asked in their order.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from handlerkit.errors import LoadError
from handlerkit.messages import Call, Exchange, Run, describe
from handlerkit.predictions import Labels
from handlerkit.verify import Enveloped, Envelopes, Report
from handlerkit.view import html
from handlerkit.view.readers import Drawing, document, index_map, picture, prediction, raw

if TYPE_CHECKING:
    from PIL import Image

Reader = Callable[[Exchange, Labels], Drawing | None]
#: The first that does not return None decides; `raw` takes everything.
READERS: tuple[Reader, ...] = (index_map, picture, prediction, document, raw)

_SHOWN = 12  # exchanges of a Run that are drawn
_FEW = 5  # classes in a small drawing


@dataclass(frozen=True)
class View:
    """A display: `text`, `html`, and the answer's picture (PIL) or None."""

    text: str
    html: str
    image: Image.Image | None = None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": self.text, "text/html": self.html}
        wanted = set(include or bundle) - set(exclude or ())
        return {kind: data for kind, data in bundle.items() if kind in wanted}

    def __repr__(self) -> str:
        return self.text


@functools.singledispatch
def view(shown: object) -> View:
    """The display of a Run, a LoadError, a Report or Envelopes. Raises TypeError for anything else."""
    raise TypeError(f"a view shows a Run, a LoadError, a Report or Envelopes, not a {type(shown).__name__}")


def drawing(exchange: Exchange, labels: Labels = None) -> Drawing:
    """The drawing of one answer. A reader that fails leaves a line that says so to the next; errors are not drawn."""
    failed: tuple[str, ...] = ()
    for reader in READERS if exchange.response.ok else (document, raw):
        try:
            found = reader(exchange, labels)
        except Exception as problem:
            kind = reader.__name__.replace("_", " ")
            failed += (f"not drawn as {kind}: {type(problem).__name__}: {html.plain(str(problem))}",)
        else:
            if found is not None:
                return replace(found, facts=failed + found.facts)
    return Drawing(failed)


@view.register
def _(run: Run) -> View:
    return _single(run) if len(run.exchanges) == 1 else _several(run)


def _single(run: Run) -> View:
    request, response = run.request, run.response
    drawn = drawing(run.exchanges[0], run.labels)
    text = [
        f"{html.asked(request, run.model, '  ')}  ->  {html.answered(response, run.max_response_size)}",
        *_times_text(run.calls),
        *_causes_text(run),
        *drawn.lines,
    ]
    if drawn.body and not drawn.keys and not drawn.image:
        text.append(html.excerpt(drawn.body, 1000))
    before = [
        html.status_line(request, response, run.model, run.max_response_size),
        *_causes(run),
        *_times(run.calls),
    ]
    folded = [html.headers(request.headers, response.headers), html.log(run.logs, run.metrics)]
    around = len(html.page(*before, *folded).encode()) + 6 * len(drawn.body)
    shown, answer = _drawn(drawn, html.MAX_HTML - around)
    after = html.folds(answer, *folded)
    return View("\n".join(text), html.page(*before, shown, after), drawn.image)


def _several(run: Run) -> View:
    answers = html.counted(Counter(describe(response) for response in run.responses)) or "no exchanges"
    count = f"{len(run.exchanges)} request{'s' * (len(run.exchanges) != 1)} to {run.model}"
    text = [f"{count}  ->  {answers}", *_causes_text(run)]
    cards = []
    drawn = [drawing(exchange, run.labels) for exchange in run.exchanges[:_SHOWN]]
    for number, (exchange, one) in enumerate(zip(run.exchanges, drawn, strict=False), start=1):
        name = exchange.request.label or f"request {number}"
        facts = one.lines or [html.shorten(" ".join(one.body.split()))]
        text.append(f"{name}  ->  {html.answered(exchange.response)}  {'; '.join(facts)}")
        small = html.picture(_small(one.image), 18_000, kind="hk-small") if one.image else ""
        lines = "".join(f"<div>{html.escape(html.shorten(line, 90))}</div>" for line in one.facts)
        body = html.code(html.excerpt(one.body, 400)) if one.body and not one.lines else ""
        cards.append(
            f'<div class="hk-card"><div class="hk-line"><b>{html.escape(name)}</b>{html.pill(exchange.response)}'
            f'<span class="hk-soft">{html.size(len(exchange.response.body))}</span></div>'
            f"{small}{html.key(one.keys[:_FEW])}{lines}{body}</div>"
        )
    more = len(run.exchanges) - _SHOWN
    if more > 0:
        text.append(f"... and {more} more")
    text += _times_text(run.calls)
    parts = [
        f'<div class="hk-line"><b>{html.escape(count)}</b><span>{html.escape(answers)}</span></div>',
        *_causes(run),
        f'<div class="hk-grid">{"".join(cards)}</div>',
        f'<div class="hk-soft">and {more} more</div>' if more > 0 else "",
        *_times(run.calls),
        html.folds(html.log(run.logs, run.metrics)),
    ]
    return View("\n".join(text), html.page(*parts), next((one.image for one in drawn if one.image), None))


@view.register
def _(problem: LoadError) -> View:
    answer = describe(problem.response)
    text = [problem.args[0], f"registering it answers {answer}", *html.findings_text(problem.findings)]
    parts = [
        f'<div class="hk-line"><b>{html.escape(problem.args[0])}</b>{html.pill(problem.response)}</div>',
        html.findings(problem.findings),
    ]
    if problem.error:
        text += html.error_text(problem.error)
        parts.append(html.error(problem.error))
    lines = [line for line in problem.logs if not line.startswith("[METRICS]")]
    answered = html.code(html.excerpt(problem.response.text)) if problem.response.body else ""
    parts.append(
        html.folds(
            html.details("registering it answers", answered, answer) if answered else "",
            html.details("log", html.code(html.plain("\n".join(lines))[-2 * html.MAX_TEXT :])) if lines else "",
        )
    )
    return View(html.plain("\n".join(text)), html.page(*parts))


@view.register
def _(report: Report) -> View:
    verdicts = html.counted(Counter(row.verdict for row in report.rows)) or "nothing compared"
    head = f"verified on {report.endpoint}"
    text, rows = [f"{head}: {verdicts}"], []
    columns = ["request", "verdict"]
    columns += ["here → there"] if any(row.differences for row in report.rows) else []
    columns += ["left out"] if any(row.volatile for row in report.rows) else []
    for row in report.rows:
        text.append(f"{row.label}  {row.verdict}" + (f"  left out: {', '.join(row.volatile)}" if row.volatile else ""))
        text += [f"  {found.where}: {found.ours} -> {found.theirs}" for found in row.differences]
        kind = {"identical": "ok", "equal": "ok"}.get(row.verdict, "bad")
        found = "".join(
            f"<div>{html.escape(one.where)}: <code>{html.escape(one.ours)}</code> → "
            f"<code>{html.escape(one.theirs)}</code></div>"
            for one in row.differences
        )
        verdict = f'<span class="hk-pill hk-{kind}">{html.escape(row.verdict)}</span>'
        cells = [html.escape(row.label), verdict]
        cells += [found] if "here → there" in columns else []
        cells += [html.escape(", ".join(row.volatile))] if "left out" in columns else []
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    names = "".join(f"<th>{name}</th>" for name in columns)
    table = f'<table class="hk-table"><thead><tr>{names}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    line = f'<div class="hk-line"><b>{html.escape(head)}</b><span>{html.escape(verdicts)}</span></div>'
    return View(html.plain("\n".join(text)), html.page(line, html.plain(table) if rows else ""))


@view.register
def _(compared: Envelopes) -> View:
    count = len(compared.samples)
    head = f"{count} sample{'s' * (count != 1)} to {compared.model} in each envelope"
    verdicts = html.counted(Counter(compared.verdicts)) or "nothing compared"
    text, rows = [f"{head}: {verdicts}"], []
    names = tuple(compared.samples[0].answers) if compared.samples else ()
    for sample in compared.samples:
        text.append(sample.label)
        cells = ""
        for name, found in sample.answers.items():
            word, status = found.verdict * (name != "none"), _statuses(found)
            text.append(f"  {name:8}  {'  '.join(filter(None, (word, status, found.why)))}")
            cells += f"<td>{_verdict(found, word, status)}</td>"
        rows.append(f"<tr><td>{html.escape(sample.label)}</td>{cells}</tr>")
    columns = "".join(f"<th>{name}</th>" for name in ("sample", *names))
    table = (
        f'<table class="hk-table hk-envelopes"><thead><tr>{columns}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )
    line = f'<div class="hk-line"><b>{html.escape(head)}</b><span>{html.escape(verdicts)}</span></div>'
    return View(html.plain("\n".join(text)), html.page(line, html.plain(table) if rows else "", _changes(compared)))


def _verdict(found: Enveloped, word: str, status: str) -> str:
    kind = {"same": "ok", "different": "odd"}.get(found.verdict, "bad")
    pill = f'<span class="hk-pill hk-{kind}">{html.escape(word or status)}</span>'
    beside = f' <span class="hk-soft">{html.escape(status)}</span>' if word else ""
    why = f"<div>{html.escape(html.shorten(found.why, 300))}</div>" if found.why else ""
    return f'<div class="hk-item">{pill}{beside}</div>{why}'


def _statuses(found: Enveloped) -> str:
    """Those of the answers, each once."""
    answers = found.run.responses if found.run else ()
    return ", ".join(dict.fromkeys(str(response.status or "no answer") for response in answers))


def _changes(compared: Envelopes) -> str:
    """What the failures' findings say, folded: each once, though it may stand in several envelopes."""
    found = [one for sample in compared.samples for one in sample.answers.values() if one.verdict == "failed"]
    findings = tuple(dict.fromkeys(finding for one in found if one.run for finding in one.run.findings))
    return html.folds(html.details("what to change", html.findings(findings), str(len(findings)))) if findings else ""


def _drawn(drawn: Drawing, budget: int) -> tuple[str, str]:
    """The picture, its keys and facts, beside each other where the picture is the request's; and what is folded."""
    facts = "".join(f"<div>{html.escape(line)}</div>" for line in drawn.facts)
    said = f"<div>{facts}{html.key(drawn.keys)}</div>" if facts or drawn.keys else ""
    image = html.picture(drawn.image, budget, "; ".join(drawn.lines)[:300]) if drawn.image else ""
    shown = f'<div class="hk-beside">{image}{said}</div>' if drawn.aside and image else image + said
    if drawn.folded:
        return shown, html.details("answer", html.code(drawn.body)) if drawn.body else ""
    return shown + (html.code(drawn.body) if drawn.body else ""), ""


def _small(image: Image.Image) -> Image.Image:
    from handlerkit.view import draw

    return draw.fit(image, 240, 190)


def _times(calls: Sequence[Call]) -> list[str]:
    names = [f"call {number} " if len(calls) > 1 else "" for number in range(1, len(calls) + 1)]
    return [
        f'<div><span class="hk-soft">{name}</span>{html.stages(call.timings)}</div>'
        for name, call in zip(names, calls[:_SHOWN], strict=False)
    ]


def _times_text(calls: Sequence[Call]) -> list[str]:
    if len(calls) == 1:
        return [html.times(calls[0].timings)]
    return [f"call {number}  {html.times(call.timings)}" for number, call in enumerate(calls[:_SHOWN], start=1)]


def _causes(run: Run) -> list[str]:
    return [html.findings(run.findings), html.error(run.error) if run.error else ""]


def _causes_text(run: Run) -> list[str]:
    return html.findings_text(run.findings) + (html.error_text(run.error) if run.error else [])
