"""What a notebook, a terminal and CI show of cases: one that was kept, and what came of many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from handlerkit.cases.case import Case
from handlerkit.cases.junit import junit
from handlerkit.cases.report import GOOD, CaseReport, CaseResult, PlaceReport
from handlerkit.errors import CaseError
from handlerkit.formatting import duration, file_name, plain, tally, visible
from handlerkit.messages import describe_response
from handlerkit.model import PathLike
from handlerkit.verify.tolerance import EXACTLY
from handlerkit.view.diff.comparison import Comparison, changed
from handlerkit.view.html import elements, findings
from handlerkit.view.html.elements import badge, escape, headline
from handlerkit.view.output import View

_DRAWN = 3  # differences that a notebook's display draws; a page draws all
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ background: #fff; color-scheme: light dark; font-family: system-ui, sans-serif }}
body {{ margin: 2em auto; max-width: 72em; padding: 0 1em }}
h1 {{ font-size: 18px }}
@media (prefers-color-scheme: dark) {{ body {{ background: #161616; color: #e2e2e2 }} }}
</style>
</head><body><main><h1>Cases</h1>{body}</main></body></html>
"""


def case_view(case: Case) -> View:
    """The display of a Case: what was kept, where, and what may differ."""
    answers = ", ".join(dict.fromkeys(describe_response(response) for response in case.run.responses))
    several = len(case.exchanges) > 1
    head = f"case {case.name}: {f'{len(case.exchanges)} requests together' if several else 'a request'} to {case.model}"
    lines = [f"{head}  ->  {answers}", *(f"  {line}" for line in _facts(case))]
    rows = [line.partition(": ")[::2] for line in _facts(case)]
    line = headline(head, f"<span>{escape(answers)}</span>")
    return View(plain("\n".join(lines)), elements.page(line, plain(elements.table("", rows))))


def _facts(case: Case) -> Iterator[str]:
    if case.files:
        first, *others = (file_name(str(path)) for path in case.files)
        yield f"files: {', '.join([first, *(Path(one).name for one in others)])}"
    may = case.may_differ
    allowed = [
        f"{key} {value:g}"
        for key in ("rtol", "levels", "pixels", "iou")
        if (value := getattr(may, key)) != getattr(EXACTLY, key)
    ]
    allowed += [f"anything at {', '.join(may.ignore)}"] if may.ignore else []
    if allowed:
        yield f"may differ: {', '.join(allowed)}"
    if case.redacted:
        yield f"redacted: {', '.join(case.redacted)}"
    if case.secrets:
        yield "kept with its secrets: share it with nobody"


def report_view(report: CaseReport, *, drawn: int = _DRAWN) -> View:
    """The display of a CaseReport. `drawn`: how many differences are drawn in html."""
    head = _head(report)
    several = len(report.places) > 1
    text = [head, *(_several_text(report) if several else _text(report.places[0]))]
    parts = [headline(head), plain(_table(report))]
    pairs = [(place, one) for place in report.places for one in place.results if _differs(one)]
    for number, (place, one) in enumerate(pairs):
        lines, figure = _compared(one)
        where = f" on {place.name}" if several else ""
        what = "what is answered" if one.verdict == "different" else "what is kept from now on"
        text += [f"{one.name}{where}: what was kept -> {what}", *(f"  {line}" for line in lines)]
        if number < drawn:
            parts.append(f'<div><div class="hk-soft">{escape(where.strip())}</div>{figure}</div>')
    if (more := len(pairs) - drawn) > 0:
        parts.append(f'<div class="hk-soft">{more} more that differ: --report page.html draws all</div>')
    found = tuple(dict.fromkeys(finding for place in report.places for finding in place.findings))
    text += findings.findings_text(found)
    return View(plain("\n".join(text)), elements.page(*parts, findings.findings(found)))


def report_page(report: CaseReport) -> str:
    """A page of its own that needs no network, with every difference drawn."""
    body = report_view(report, drawn=len(report.places) * max(1, *(len(one.results) for one in report.places))).html
    return _PAGE.format(title=escape(visible(_head(report))), body=body)


def write_report(report: CaseReport, page: PathLike | None = None, xml: PathLike | None = None) -> None:
    """Write the page, and JUnit's XML, to the files that are named. Raises CaseError for one that cannot be written."""
    for file, text in ((page, report_page), (xml, junit)):
        if file is not None:
            try:
                Path(file).expanduser().write_text(text(report), "utf-8")
            except OSError as problem:
                raise CaseError(f"cannot write {str(file)!r}: {problem.strerror}") from None


def _head(report: CaseReport) -> str:
    count = max((len(place.results) for place in report.places), default=0)
    cases = f"{count} case{'s' * (count != 1)}"
    if len(report.places) != 1:
        return f"{cases} on {', '.join(place.name for place in report.places)}"
    place = report.places[0]
    words = tally([one.verdict for one in place.results])
    return f"{cases} on {_place(place)}: {words}"


def _place(place: PlaceReport) -> str:
    return f"{place.name} ({place.environment})" if place.environment else place.name


def _text(place: PlaceReport) -> list[str]:
    width = max((len(one.name) for one in place.results), default=0)
    lines = []
    for one in place.results:
        time = duration(one.seconds) if one.seconds is not None else ""
        lines.append(f"  {one.name:{width}}  {one.verdict}  {time}".rstrip())
        lines += [f"    {one.why}"] if one.why else []
        lines += [f"    {line}" for line in _allowed(one)]
    return lines


def _allowed(one: CaseResult) -> list[str]:
    """What differs and may."""
    volatile = dict.fromkeys(name for row in one.rows for name in row.volatile)
    return [f"may differ: {', '.join(volatile)}"] if volatile and one.verdict == "within tolerance" else []


def _several_text(report: CaseReport) -> list[str]:
    """A table: a row for each case, a column for each place, and what changes from the first."""
    rows = [["", *(place.name for place in report.places), *_change_names(report)]]
    for number, one in enumerate(report.places[0].results):
        rows.append([one.name, *(_cell(place.results[number]) for place in report.places), *_change(report, number)])
    rows.append(["starting", *(duration(place.seconds) for place in report.places)])
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    where = [f"  {place.name}: {place.environment}" for place in report.places if place.environment]
    why = dict.fromkeys(
        f"  {one.name} on {place.name}: {one.why}" for place in report.places for one in place.results if one.why
    )
    return [*(f"  {line}" for line in lines), *where, *why]


def _cell(one: CaseResult) -> str:
    return f"{one.verdict}{f', {duration(one.seconds)}' if one.seconds is not None else ''}"


def _change_names(report: CaseReport) -> list[str]:
    first = report.places[0].name
    return [f"{first} -> {place.name}" for place in report.places[1:]]


def _change(report: CaseReport, number: int) -> list[str]:
    return [changes[number] or "-" for changes in report.changes]


def _table(report: CaseReport) -> str:
    several = len(report.places) > 1
    columns = ["case", "verdict", "time", "may differ"]
    if several:
        columns = ["case", *map(_place, report.places), *(one.replace("->", "→") for one in _change_names(report))]
    body = []
    for number, one in enumerate(report.places[0].results):
        cells = [escape(one.name)]
        if several:
            cells += [_badge(place.results[number], in_full=True) for place in report.places]
            cells += [escape(word) for word in _change(report, number)]
        else:
            time = duration(one.seconds) if one.seconds is not None else ""
            cells += [_badge(one), escape(time), escape(", ".join(_allowed(one)).removeprefix("may differ: "))]
            cells[1] += f"<div>{escape(one.why)}</div>" if one.why else ""
        body.append(cells)
    if several:
        starting = ("starting", *(duration(place.seconds) for place in report.places))
        body.append([f'<span class="hk-soft">{escape(cell)}</span>' for cell in starting])
    return elements.wide_table(columns, body, "cases")


def _badge(one: CaseResult, *, in_full: bool = False) -> str:
    verdict = badge("ok" if one.verdict in GOOD else "odd" if one.verdict == "new" else "bad", one.verdict)
    time = (
        f' <span class="hk-soft">{escape(duration(one.seconds))}</span>' if in_full and one.seconds is not None else ""
    )
    return verdict + time + (f"<div>{escape(one.why)}</div>" if in_full and one.why else "")


def _differs(one: CaseResult) -> bool:
    """Whether there are two answers to compare: one that was accepted took the place of another."""
    return one.verdict == "different" or (one.verdict == "kept" and one.expected is not None)


def _compared(one: CaseResult) -> tuple[list[str], str]:
    """What hk.compare shows of a case."""
    assert one.expected is not None
    assert one.run is not None
    return changed(Comparison(one.expected, one.run, one.rows))
