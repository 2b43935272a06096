"""What `hk.view` shows, and IPython below a cell: one line a type in DISPLAYS.

To show a new type, write a function that makes a View of it, in a module of its own (such as reports), and add it here:
the type by its module and name, since IPython gets them before the type is imported, and a function that imports the
one that draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handlerkit.view.output import View


def view(shown: object, **options: Any) -> View:
    """The display of a Run, a Bench, or another type of DISPLAYS.

    A Run takes options:
        shown_as: the name of the view to read its answers with; "" for the one that fits.
        geometry: what the handler did to the input image (a Geometry), instead of what is known of it.
        page: of a Run with many exchanges: which dozen of them, from 1 on. Only these are read and drawn.

    Raises TypeError for any other type, ValueError for a view or a page that does not exist.
    """
    for kind in type(shown).__mro__:
        if (load := DISPLAYS.get((kind.__module__, kind.__qualname__))) is not None:
            return load()(shown, **options)
    names = ", ".join(name for _, name in DISPLAYS)
    raise TypeError(f"a view shows one of {names}, not a {type(shown).__name__}")


def _run() -> Callable[..., View]:
    from handlerkit.view.render import run_view

    return run_view


def _load_error() -> Callable[..., View]:
    from handlerkit.view.reports import load_error_view

    return load_error_view


def _report() -> Callable[..., View]:
    from handlerkit.view.reports import report_view

    return report_view


def _envelopes() -> Callable[..., View]:
    from handlerkit.view.reports import envelopes_view

    return envelopes_view


def _endpoints() -> Callable[..., View]:
    from handlerkit.view.diff.endpoints import endpoints_view

    return endpoints_view


def _check() -> Callable[..., View]:
    from handlerkit.view.checks import check_view

    return check_view


def _comparison() -> Callable[..., View]:
    from handlerkit.view.diff.comparison import comparison_view

    return comparison_view


def _bench() -> Callable[..., View]:
    from handlerkit.view.benchmark.report import bench_view

    return bench_view


def _worker_server() -> Callable[..., View]:
    from handlerkit.view.servers import server_view

    return server_view


def _served_runs() -> Callable[..., View]:
    from handlerkit.view.servers import served_view

    return served_view


def _case() -> Callable[..., View]:
    from handlerkit.view.cases import case_view

    return case_view


def _case_report() -> Callable[..., View]:
    from handlerkit.view.cases import report_view

    return report_view


#: (module, class): what draws it.
DISPLAYS: dict[tuple[str, str], Callable[[], Callable[..., View]]] = {
    ("handlerkit.messages.run", "Run"): _run,
    ("handlerkit.errors", "LoadError"): _load_error,
    ("handlerkit.verify.report", "Report"): _report,
    ("handlerkit.verify.envelopes", "Envelopes"): _envelopes,
    ("handlerkit.verify.endpoints", "ComparedEndpoints"): _endpoints,
    ("handlerkit.check", "Check"): _check,
    ("handlerkit.view.diff.comparison", "Comparison"): _comparison,
    ("handlerkit.endpoints.worker_server", "WorkerServer"): _worker_server,
    ("handlerkit.endpoints.lent.served_runs", "ServedRuns"): _served_runs,
    ("handlerkit.bench.results", "Bench"): _bench,
    ("handlerkit.cases.case", "Case"): _case,
    ("handlerkit.cases.report", "CaseReport"): _case_report,
}
