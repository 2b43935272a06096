"""What a notebook shows of a Run: text, html and a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from handlerkit.formatting import byte_size, counted, duration, excerpt, shorten
from handlerkit.messages import Call, Exchange, Geometry, Run, describe_response
from handlerkit.messages.texts import name_of
from handlerkit.view.contents.drawings import Drawing, drawing
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.html import elements, exchange, findings, fragments
from handlerkit.view.output import View
from handlerkit.view.shown_run import ShownRun, colors_of, geometry_of, hint_of, shown_as_of
from handlerkit.view.views import VIEWS

PAGE = 12  # exchanges on a page
_FEW = 5  # classes in a small drawing
_CALLS = 3  # calls whose times are shown unfolded
_SMALL = 18_000  # bytes of a small picture


def run_view(run: Run, *, shown_as: str = "", geometry: Geometry | None = None, page: int = 1) -> View:
    """The display of a Run.

    Args:
        shown_as: the name of the view to read its answers with; "" for the one that fits.
        geometry: what the handler did to the input image, instead of what the Run says.
        page: of many exchanges: which dozen of them, from 1 on. Only these are read and drawn.

    Raises ValueError for a view or a page that does not exist.
    """
    run = ShownRun.of(run, shown_as, geometry, colors_of(run))
    return _single(run) if len(run.exchanges) == 1 else _several(run, page)


def answer(run: Run, one: Exchange, shown_as: str = "") -> DecodedResponse:
    """Read an exchange of this Run with that view, or with the one that the Run is shown with."""
    return VIEWS.read(one, run.labels, geometry_of(run), shown_as or shown_as_of(run), colors_of(run))


def _single(run: Run) -> View:
    request, response = run.request, run.response
    drawn = drawing(answer(run, run.exchanges[0]))
    text = [
        f"{exchange.asked(request, run.model, '  ')}  ->  {exchange.answered(response, run.max_response_size)}",
        *_times_text(run.calls),
        *_causes_text(run),
        *drawn.lines,
        *([excerpt(drawn.text, 1000)] if drawn.text else []),
        *_shown_as_text([drawn]),
        *filter(None, [hint_of(run)]),
    ]
    before = [
        exchange.status_line(request, response, run.model, run.max_response_size),
        *_causes(run),
        *_times(run.calls),
    ]
    folds = [
        _folded(drawn, drawn.folded),
        exchange.headers(request.headers, response.headers),
        exchange.log(run.logs, run.metrics),
    ]
    around = len(elements.page(*before, drawn.html, *folds).encode()) + 1000
    return View(
        "\n".join(text),
        elements.page(*before, shown(drawn, elements.MAX_HTML - around), elements.folds(*folds), _hint(run)),
        drawn.image,
    )


def _shown_as_text(drawings: Sequence[Drawing]) -> list[str]:
    """What a page folds: that there is JSON below the drawing."""
    names = dict.fromkeys(drawn.shown_as for drawn in drawings if drawn.shown_as)
    return [f"JSON shown as {', '.join(names)}: --as json shows it as it is"] if names else []


def _hint(run: Run) -> str:
    hint = elements.escape(hint_of(run))
    return f'<div class="hk-soft">{hint}</div>' if hint else ""


def _folded(drawn: Drawing, body: str) -> str:
    """The answer as it is."""
    return elements.details("answer", body, f"JSON shown as {drawn.shown_as}" * bool(drawn.shown_as)) if body else ""


def shown(drawn: Drawing, budget: int) -> str:
    """The picture, its key and its facts, side by side if the picture is the request's."""
    facts = "".join(f"<div>{elements.escape(line)}</div>" for line in drawn.facts)
    said = f"<div>{facts}{elements.key(drawn.keys)}</div>" if facts or drawn.keys else ""
    image = elements.picture(drawn.image, budget, "; ".join(drawn.lines)[:300]) if drawn.image else ""
    whole = f'<div class="hk-beside">{image}{said}</div>' if drawn.aside and image else image + said
    return whole + drawn.html


def _several(run: Run, page: int) -> View:
    """A page of cards; the others are neither read nor drawn."""
    pages = max(1, -(-len(run.exchanges) // PAGE))
    if not 1 <= page <= pages:
        raise ValueError(f"page {page} is not there: this run has {pages} page{'s' * (pages != 1)}, from 1 on")
    first = (page - 1) * PAGE
    answers = counted(Counter(describe_response(response) for response in run.responses)) or "no exchanges"
    count = f"{len(run.exchanges)} request{'s' * (len(run.exchanges) != 1)} to {run.model}"
    text, cards = [f"{count}  ->  {answers}", *_causes_text(run)], []
    image, drawings = None, []
    for number, one in enumerate(run.exchanges[first : first + PAGE], start=first + 1):
        drawn = drawing(replace(answer(run, one), labeled=False))
        image = image or drawn.image
        drawings.append(drawn)
        name = name_of(one.request, number)
        said = "; ".join(drawn.lines) or shorten(" ".join(drawn.text.split()))
        text.append(f"{name}  ->  {exchange.answered(one.response)}  {said}")
        cards.append(_card(name, one, drawn))
    paged = f"page {page} of {pages}: hk.view(run, page={page % pages + 1}) shows another" if pages > 1 else ""
    text += [*_shown_as_text(drawings), *[paged] * bool(paged), *_times_text(run.calls), *filter(None, [hint_of(run)])]
    parts = [
        elements.headline(count, f"<span>{elements.escape(answers)}</span>"),
        *_causes(run),
        f'<div class="hk-grid">{"".join(cards)}</div>',
        f'<div class="hk-soft">{elements.escape(paged)}</div>' if paged else "",
        *_times(run.calls),
        elements.folds(exchange.log(run.logs, run.metrics)),
        _hint(run),
    ]
    return View("\n".join(text), elements.page(*parts), image)


def _card(name: str, one: Exchange, drawn: Drawing) -> str:
    """One exchange of several, small."""
    from handlerkit.view import draw

    image = elements.picture(draw.fit(drawn.image, 240, 190), _SMALL, kind="hk-small") if drawn.image else ""
    lines = "".join(f"<div>{elements.escape(shorten(line, 90))}</div>" for line in drawn.facts)
    is_text = drawn.text and not drawn.lines
    body = drawn.small or (elements.code(excerpt(drawn.text, 400)) if is_text else "" if drawn.text else drawn.html)
    json = elements.code(excerpt(fragments.pretty(one.response.text), 800)) if drawn.shown_as else ""
    size = f'<span class="hk-soft">{byte_size(len(one.response.body))}</span>'
    return (
        f'<div class="hk-card">{elements.headline(name, exchange.badge(one.response) + size)}'
        f"{image}{elements.key(drawn.keys[:_FEW])}{lines}{body}{_folded(drawn, json)}</div>"
    )


def _times(calls: Sequence[Call]) -> list[str]:
    names = [f"call {number} " if len(calls) > 1 else "" for number in range(1, len(calls) + 1)]
    bars = [
        f'<div><span class="hk-soft">{name}</span>{exchange.stages(call.timings)}</div>'
        for name, call in zip(names, calls[:PAGE], strict=False)
    ]
    return bars if len(calls) <= _CALLS else [elements.details("times", "".join(bars), _total(calls))]


def _total(calls: Sequence[Call]) -> str:
    return f"{len(calls)} calls, {duration(sum(call.timings.total for call in calls))}"


def _times_text(calls: Sequence[Call]) -> list[str]:
    if len(calls) == 1:
        return [exchange.times(calls[0].timings)]
    if len(calls) > _CALLS:
        return [_total(calls)]
    return [f"call {number}  {exchange.times(call.timings)}" for number, call in enumerate(calls, start=1)]


def _causes(run: Run) -> list[str]:
    return [findings.findings(run.findings), findings.error(run.error) if run.error else ""]


def _causes_text(run: Run) -> list[str]:
    return findings.findings_text(run.findings) + (findings.error_text(run.error) if run.error else [])
