"""Who answers beside the session's worker: what `endpoint` of Session.verify and Session.bench names, which is what
`cases.places` knows by a word, or an endpoint that runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

from handlerkit import endpoints
from handlerkit.cases import places
from handlerkit.cases.places import Progress, RegisteredModel, Served
from handlerkit.endpoints.capabilities import for_model
from handlerkit.endpoints.remote import Remote
from handlerkit.errors import RequestError
from handlerkit.messages import Endpoint, Run
from handlerkit.notebook.progress import step
from handlerkit.notebook.session_model import SessionModel
from handlerkit.verify import Report, verify


def is_url(endpoint: object) -> bool:
    """Whether it is a text with :// in it."""
    return isinstance(endpoint, str) and "://" in endpoint


def refuse_unused(endpoint: object, token: str | None, target: object = None) -> None:
    """Raises RequestError for a token that nobody would be sent, and for a target in which nothing would run."""
    if token is not None and not is_url(endpoint):
        raise RequestError("a token goes with a URL: name one as the endpoint, or give hk.Remote(url, token=...)")
    if target is not None and endpoint is not None and endpoint not in endpoints.ENDPOINTS:
        raise RequestError("this endpoint has an environment of its own: leave the target out")


@contextmanager
def running(endpoint: Endpoint | str, token: str | None, model: str) -> Iterator[Endpoint | str]:
    """An endpoint that asks for this model: one that runs already, that of a URL, or that of an app's folder, which is
    started for as long as the block takes; the name of one that is still to serve the model, as it is. Raises as
    `places.named`."""
    if not isinstance(endpoint, str):
        yield for_model(endpoint, model)
    elif not places.has_models(endpoint):
        yield endpoint
    else:
        place = places.named(endpoint, {}, token=token)
        with closing(place), place.open(Served(model, None, 1)) as asked:
            yield asked


def serve(
    word: str, model: SessionModel, registered: Mapping[str, Any], progress: Progress
) -> AbstractContextManager[Endpoint]:
    """What this word names, which serves the model with these arguments of Server. Raises as `places.named`."""
    options = dict(registered)
    target = options.pop("target", None)
    models = {model.name: RegisteredModel(model.build(), options)}
    place = places.named(word, models, target=None if target is None else str(target), progress=progress)
    return place.open(Served(model.name, None, 1))


def verify_on(
    endpoint: Endpoint | str,
    token: str | None,
    run: Run,
    model: SessionModel,
    registered: Mapping[str, Any],
    ignore: Collection[str],
    rtol: float,
) -> Report:
    """Compare with the answers of an endpoint that runs already, or of one that is started with these arguments of
    Server for as long as that takes."""
    with running(endpoint, token, model.name) as asked:
        if not isinstance(asked, str):
            return verify(run, asked, ignore, rtol)
        with step("preparing") as progress, serve(asked, model, registered, progress) as started:
            return verify(run, started, ignore, rtol)


def refuse_load(endpoint: Endpoint | str, requests: int, clients: int, yes: bool) -> None:
    """Raises RequestError for a load on another machine, unless somebody has said yes to it."""
    if isinstance(endpoint, Remote) and not (endpoint.is_local or yes):
        raise RequestError(
            f"this would send about {requests} requests to {endpoint.url}, {clients} at a time, and that is not this "
            "machine: add --yes (yes=True) if it may have such a load"
        )
