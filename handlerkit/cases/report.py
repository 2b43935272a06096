"""What came of cases, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlerkit.cases.case import Case
from handlerkit.formatting import tally
from handlerkit.messages import Finding, Run
from handlerkit.verify import ComparedResponse

#: "new" is an answer to a request that has no case yet; "kept" is one that --accept has written.
CaseVerdict = Literal["same", "within tolerance", "different", "does not load", "cannot run", "broken", "new", "kept"]
GOOD = ("same", "within tolerance", "kept")


@dataclass(frozen=True)
class CaseResult:
    """One case in one place.

    Attributes:
        name: the case's.
        model: the name of its model.
        verdict: "broken" is a case that cannot be read, "cannot run" one whose request cannot be sent or gets
            no answer, or whose place cannot be made, such as a target's environment.
        why: the reason of a verdict without rows.
        rows: what differs, for each of its requests.
        expected, run: what was kept and what was answered, with secrets redacted as in the case.
        seconds: how long the answers took.
        case: None for one that is broken.
    """

    name: str
    verdict: CaseVerdict
    model: str = ""
    why: str = ""
    rows: tuple[ComparedResponse, ...] = ()
    expected: Run | None = None
    run: Run | None = None
    seconds: float | None = None
    case: Case | None = None

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return self.verdict in GOOD


@dataclass(frozen=True)
class PlaceReport:
    """All cases in one place.

    Attributes:
        name: the worker, a target, an endpoint or a URL.
        environment: its Python, torch and target, as far as it tells.
        results: by the cases' order.
        seconds: how long it took to start.
        findings: why models do not load.
    """

    name: str
    results: tuple[CaseResult, ...]
    environment: str = ""
    seconds: float = 0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class CaseReport:
    """What came of cases in one place or several; true if all are as they should be.

    Attributes:
        places: in their order; the others are also compared with the first.
        changes: for each place after the first, the verdict of its answers beside the first one's; "" where one of the
            two has none.
    """

    places: tuple[PlaceReport, ...]
    changes: tuple[tuple[str, ...], ...] = ()

    def __bool__(self) -> bool:
        return all(result.ok for place in self.places for result in place.results)

    def __repr__(self) -> str:
        told = (f"{place.name}: {tally([one.verdict for one in place.results])}" for place in self.places)
        return f"<CaseReport {'; '.join(told)}>"
