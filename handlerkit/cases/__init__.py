"""Regression cases: what was answered once is answered again.

    case = keep(run, "coins")                  # cases/coins.har, with the pictures beside it
    report = run_cases(cases("cases"), endpoint)

case.py         a Case, as plain data
store.py        keep and cases: written, and read again
har.py          a case as HAR 1.2; bodies.py its bodies
folder.py       its files: names, writing all or none, what may be read
redact.py       secrets, which never reach a case unless that is asked for
members.py      the values of JSON, or of a Python object, in a text
recordings.py   requests that others saved: a browser's HAR, lines of curl
places.py       where cases run: a worker, a target, an endpoint of the registry, a URL
replay.py       runs cases, and compares what is answered with what was kept
report.py       what came of it; junit.py for CI

It may import verify, endpoints and below. A new thing that may differ is a member of `verify.tolerance.MayDiffer`.
"""

from handlerkit.cases.case import Case
from handlerkit.cases.replay import accept, run_cases
from handlerkit.cases.report import CaseReport, CaseResult, PlaceReport
from handlerkit.cases.store import Broken, cases, keep, read_all

__all__ = [
    "Broken",
    "Case",
    "CaseReport",
    "CaseResult",
    "PlaceReport",
    "accept",
    "cases",
    "keep",
    "read_all",
    "run_cases",
]
