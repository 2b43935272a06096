"""Who answers beside the session's worker: what `endpoint` of Session.verify and Session.bench names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from handlerkit import endpoints
from handlerkit.endpoints.capabilities import for_model
from handlerkit.endpoints.remote import Remote
from handlerkit.errors import RequestError
from handlerkit.messages import Endpoint, Run
from handlerkit.notebook.progress import step
from handlerkit.notebook.session_model import SessionModel
from handlerkit.verify import Report, verify


def is_path(name: str) -> bool:
    """Whether a text is neither a URL nor an endpoint's name."""
    return not is_url(name) and name not in endpoints.ENDPOINTS


def is_url(endpoint: object) -> bool:
    """Whether it is a text with :// in it."""
    return isinstance(endpoint, str) and "://" in endpoint


def refuse_unused(endpoint: object, token: str | None, target: object = None) -> None:
    """Raises RequestError for a token that nobody would be sent, and for a target in which nothing would run."""
    if token is not None and not is_url(endpoint):
        raise RequestError("a token goes with a URL: name one as the endpoint, or give hk.Remote(url, token=...)")
    if target is not None and (is_url(endpoint) or endpoints.is_endpoint(endpoint)):
        raise RequestError("this endpoint runs already, in an environment of its own: leave the target out")


@contextmanager
def running(endpoint: Endpoint | str, token: str | None, model: str) -> Iterator[Endpoint | str]:
    """A URL as a Remote that asks for this model, whose connections are closed at the end of the block; an endpoint
    that runs already; the name of one that is still to be started, as it is. Raises RequestError for what is no URL."""
    if not is_url(endpoint):
        yield endpoint if isinstance(endpoint, str) else for_model(endpoint, model)
        return
    with Remote(str(endpoint), model=model, token=token) as remote:
        yield remote


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
        with (
            step("preparing") as progress,
            endpoints.serve(asked, model.build(), **registered, progress=progress) as started,
        ):
            return verify(run, started, ignore, rtol)


def refuse_load(endpoint: Endpoint | str, requests: int, clients: int, yes: bool) -> None:
    """Raises RequestError for a load on another machine, unless somebody has said yes to it."""
    if isinstance(endpoint, Remote) and not (endpoint.is_local or yes):
        raise RequestError(
            f"this would send about {requests} requests to {endpoint.url}, {clients} at a time, and that is not this "
            "machine: add --yes (yes=True) if it may have such a load"
        )
