"""A Run beside another endpoint's answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from handlerkit.endpoints.capabilities import environment_of, for_model, forced_head, recording
from handlerkit.formatting import tally
from handlerkit.messages import Endpoint, Run
from handlerkit.targets.target import Environment
from handlerkit.verify.handed_over import compare_handed_over
from handlerkit.verify.responses import ComparedResponse, compare_runs
from handlerkit.verify.tolerance import MayDiffer, names_of


@dataclass(frozen=True)
class Report:
    """The comparison of a Run with another endpoint's answers; true when no row differs.

    `run` and `other` are the two Runs that were compared, `environment` is where the other one was answered, as far as
    the endpoint tells; `compares_handed_over`: whether what the handler gets was compared, too.
    """

    endpoint: str
    rows: tuple[ComparedResponse, ...]
    run: Run
    other: Run
    environment: Environment | None = None
    compares_handed_over: bool = False

    @property
    def place(self) -> str:
        """The endpoint, its Python, torch and target."""
        return f"{self.endpoint}, {self.environment}" if self.environment else self.endpoint

    def __bool__(self) -> bool:
        return all(row.verdict != "different" for row in self.rows)

    def __repr__(self) -> str:
        stands_in = f"; {self.environment.stands_in}" if self.environment and self.environment.stands_in else ""
        return f"<Report {self.place}: {tally([row.verdict for row in self.rows])}{stands_in}>"


def verify(run: Run, endpoint: Endpoint, ignore: Collection[str] = (), rtol: float = 0) -> Report:
    """Send `run`'s requests to `endpoint` and compare status, headers and bytes.

    Args:
        run: the answers that the endpoint's are compared with.
        endpoint: the one that answers again.
        ignore: "reason", headers by name, and paths of JSON bodies ("body.scores", "body[0].id", "body[*].id"), that
            may differ.
        rtol: relative tolerance for numbers in JSON bodies (as math.isclose); 0 asks for the same bytes.

    A row is identical if every byte is the same, equal if it is the same within `rtol` and `ignore`, else different.
    What a proxy of the endpoint makes of every answer's head (its attribute `forces`, as RayServe and Remote have it)
    leaves an answer equal too, and `forced` names each such difference.
    The paths of the model's files, and what a description tells of one worker (its id, pid, start time and the like),
    differ from endpoint to endpoint: they make an answer equal, and `volatile` names each that did.
    Where both sides can tell what the handler gets (a Worker, whose calls are in `run`; RayServe and an app's folder),
    its headers and rows of `data` have to be the same, too, but for the address in Host.
    """
    asked = for_model(endpoint, run.model)
    with recording(asked) as recorded:
        other = asked.predict(*run.requests)
    head = forced_head(asked)
    rows = compare_runs(run, other, MayDiffer(names_of(ignore), rtol), head)
    if compares := recorded is not None and bool(run.calls):
        rows = compare_handed_over(rows, run, recorded.messages, head)
    return Report(other.endpoint, rows, run, other, environment_of(endpoint), compares)
