"""What %keep and %test do with a model of the session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from handlerkit.cases import Case, CaseReport, places, run_cases, store
from handlerkit.cases.folder import checked_name
from handlerkit.cases.places import Place, Served
from handlerkit.cases.recordings import find_cases, for_new, read_requests
from handlerkit.errors import CaseError, RequestError
from handlerkit.formatting import visible
from handlerkit.messages import Endpoint, Run
from handlerkit.model import PathLike
from handlerkit.notebook.other_endpoints import refuse_unused
from handlerkit.notebook.progress import step
from handlerkit.notebook.session_model import SessionModel
from handlerkit.verify import MayDiffer
from handlerkit.view.cases import case_view


@dataclass(frozen=True)
class KeptCases:
    """Cases that were kept together."""

    cases: tuple[Case, ...]

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Case:
        return self.cases[index]

    def __repr__(self) -> str:
        return visible("\n".join(case_view(case).text for case in self.cases))


def keep_each(runs: Sequence[Run], name: str, **options: Any) -> KeptCases:
    """Each Run as NAME-1, NAME-2 and so on. Raises as `keep` does."""
    if not runs:
        raise CaseError("no client has asked %serve yet: there is nothing to keep")
    return KeptCases(tuple(store.keep(run, f"{name}-{number}", **options) for number, run in enumerate(runs, start=1)))


def answers(file: PathLike, name: str, model: SessionModel) -> list[Run]:
    """What the model's worker answers to each request of a file."""
    checked_name(name)
    requests = read_requests(file)
    with model.lend() as worker:
        return [worker.predict(request) for request in requests]


def run(
    model: SessionModel,
    folder: PathLike,
    targets: Sequence[PathLike],
    endpoint: Endpoint | str | None,
    token: str | None,
    from_: PathLike | None,
    may_differ: MayDiffer,
    secrets: bool,
) -> CaseReport:
    """Run the cases of this model: with its worker, on each target, or on an endpoint. Raises CaseError if there is
    none."""
    refuse_unused(endpoint, token, targets or None)
    if targets and endpoint not in (None, "server"):
        raise RequestError("a target is an environment of TorchServe: leave the target or the endpoint out")
    found = for_new(find_cases(folder, from_, [model.name], model.name), from_, may_differ, secrets)
    where = _places(model, targets, endpoint, token)
    with step("running the cases") if targets or endpoint else _silent() as progress, ExitStack() as stack:
        chosen = where(progress)
        for place in chosen:
            stack.callback(place.close)
        return run_cases(found, *chosen, known=[token] if token else (), progress=progress)


def _places(
    model: SessionModel, targets: Sequence[PathLike], endpoint: Endpoint | str | None, token: str | None
) -> Any:
    def made(progress: Any) -> list[Place]:
        if endpoint is not None and not isinstance(endpoint, str):
            return [places.running(endpoint)]
        models = {model.name: places.RegisteredModel(model.build(), model.registered)}
        if targets:
            return [places.servers("server", models, target=str(target), progress=progress) for target in targets]
        if endpoint is not None:
            return [places.named(endpoint, models, token=token, target=str(model.target), progress=progress)]
        return [_worker(model)]

    return made


def _worker(model: SessionModel) -> Place:
    """The session's own."""

    @contextmanager
    def open_(served: Served) -> Iterator[Endpoint]:
        with model.lend(served.batch_size) as worker:
            yield worker.with_envelope(served.envelope) if served.envelope else worker

    return Place("the worker", open_)


@contextmanager
def _silent() -> Iterator[Any]:
    yield lambda what: None
