"""What a notebook shows of a WorkerServer and of what its clients asked."""

from __future__ import annotations

from handlerkit.endpoints.lent.served_runs import ServedRuns
from handlerkit.endpoints.worker_server import WorkerServer
from handlerkit.formatting import byte_size, duration
from handlerkit.view.html import elements, exchange
from handlerkit.view.html.elements import escape
from handlerkit.view.output import View

#: Runs in the table: of a server, and of what was asked.
_FEW, _MANY = 5, 25
_FOLLOWS = "with the handler as it is when a request comes"


def server_view(server: WorkerServer) -> View:
    """The display of a WorkerServer: where it is, how it is asked, and what was asked last."""
    if not server.running:
        head = f"{server.model} is not served any more"
        return View(head, elements.page(elements.headline(head)))
    head = f"{server.model} is served at {server.url}"
    bears = ' -H "Authorization: Bearer $TOKEN"' if server.has_token else ""
    curl = f"curl{bears} -T FILE {server.url}/predictions/{server.model}"
    asked, table = _last(server.served, _FEW)
    parts = [
        elements.headline(head, f'<span class="hk-soft">{_FOLLOWS}</span>'),
        elements.code(curl),
        table,
    ]
    return View("\n".join([f"{head}, {_FOLLOWS}", f"  {curl}", *asked]), elements.page(*parts))


def served_view(served: ServedRuns) -> View:
    """The display of ServedRuns."""
    asked, table = _last(served, _MANY)
    return View("\n".join(asked), elements.page(table))


def _last(served: ServedRuns, most: int) -> tuple[list[str], str]:
    """The last Runs as lines and as a table, each with its place in the sequence: [-1] is the newest."""
    runs, total = tuple(served), served.total
    counted = f"{total} request{'s' * (total != 1)} came in" if total else "no request has come in yet"
    shown = runs[-most:]
    count = sum(len(run.exchanges) for run in shown)
    lines, rows = [f"{counted}, of which the last {count} are shown" if count < total else counted], []
    for place, run in enumerate(shown, -len(shown)):
        time = duration(sum(call.timings.total for call in run.calls)) if run.calls else ""
        for one in run.exchanges:
            asked, answered = exchange.asked(one.request, run.model, "  "), exchange.answered(one.response)
            lines.append(f"  [{place}]  {asked}  ->  {answered}  {time}".rstrip())
            cells = f"[{place}]", asked, exchange.badge(one.response), byte_size(len(one.response.body)), time
            rows.append([cell if index == 2 else escape(cell) for index, cell in enumerate(cells)])
    table = elements.wide_table((), rows, "requests") if rows else ""
    return lines, f'<div class="hk-soft">{lines[0]}</div>{table}'
