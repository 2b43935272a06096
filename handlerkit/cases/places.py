"""Where cases run. A place opens an endpoint for the cases of one model, envelope and batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from handlerkit import endpoints, targets
from handlerkit.endpoints.capabilities import for_model, name_of, with_envelope
from handlerkit.endpoints.http.address import Address
from handlerkit.errors import CaseError, ConfigError, TargetError
from handlerkit.messages import Endpoint
from handlerkit.model import Model
from handlerkit.unpack import read_manifest

Progress = Callable[[str], None]


class RegisteredModel(NamedTuple):
    """A model, or an archive, and the arguments of Worker that it is registered with."""

    source: Model | Path
    options: Mapping[str, Any] = MappingProxyType({})


class Served(NamedTuple):
    """What cases have to have in common to share an endpoint."""

    model: str
    envelope: str | None
    batch_size: int


@dataclass(frozen=True)
class Place:
    """A place by its name. `open` raises HandlerkitError where the model does not load; `close` ends what stays open
    from one time to the next."""

    name: str
    open: Callable[[Served], AbstractContextManager[Endpoint]]
    close: Callable[[], None] = lambda: None


def kept_open(place: Place) -> Place:
    """This place, which opens each endpoint once."""
    stack, opened = ExitStack(), dict[Served, Endpoint]()
    stack.callback(place.close)

    def open_(served: Served) -> AbstractContextManager[Endpoint]:
        if served not in opened:
            opened[served] = stack.enter_context(place.open(served))
        return nullcontext(opened[served])

    return Place(place.name, open_, stack.close)


def by_name(setups: Iterable[RegisteredModel]) -> dict[str, RegisteredModel]:
    """By the models' names. Raises ArchiveError for what is no archive, CaseError for two of one name."""
    found: dict[str, RegisteredModel] = {}
    for setup in setups:
        source = setup.source
        name = source.name if isinstance(source, Model) else str(read_manifest(source)["model"]["modelName"])
        if name in found:
            raise CaseError(f"two models are called {name}: leave one out")
        found[name] = setup
    return found


def has_models(word: str) -> bool:
    """Whether what `named` makes of this word has models of its own: a URL, and the folder of an app."""
    return "://" in word or (not is_name(word) and Path(word).expanduser().is_dir())


def is_place(word: str) -> bool:
    """Whether `named` has something to look at: a URL, a name, a file or a folder."""
    return "://" in word or is_name(word) or Path(word).expanduser().exists()


def is_name(word: str) -> bool:
    """Whether it names an endpoint of the registry or a target, and no file or folder."""
    return word in endpoints.ENDPOINTS or word in targets.NAMES


def named(
    word: str,
    models: Mapping[str, RegisteredModel],
    *,
    token: str | None = None,
    target: str | None = None,
    progress: Progress | None = None,
) -> Place:
    """The place that a word of a command names: a URL, the folder of an exported app, an endpoint of the registry, or a
    target of TorchServe.

    Args:
        models: what an endpoint of the registry or a target serves.
        token: sent to the URL.
        target: the environment of an endpoint of the registry.

    Raises RequestError for what is no URL of a server, ServerError for a folder without an app, ConfigError for any
    other word.
    """
    if "://" in word:
        return remote(word, token)
    if has_models(word):
        return app(word)
    if word in endpoints.ENDPOINTS:
        return servers(word, models, target=target, progress=progress)
    try:
        return servers("server", models, target=word, progress=progress)
    except TargetError:
        if Path(word).expanduser().is_file():  # what is wrong with it
            raise
        known = ", ".join([*endpoints.ENDPOINTS, *targets.NAMES])
        raise ConfigError(
            f"there is no endpoint {word!r}: it is a URL, the folder of an exported app, a requirements or lock file, "
            f"or one of {known}"
        ) from None


def app(folder: str) -> Place:
    """The folder of an exported app, whose own app.py serves it until `close`. Raises ServerError for another
    folder."""
    from handlerkit.endpoints.app_server import AppServer

    server = AppServer(folder)

    def open_(served: Served) -> AbstractContextManager[Endpoint]:
        return nullcontext(server.start().for_model(served.model))

    return Place(folder, open_, server.stop)


def running(endpoint: Endpoint, name: str = "") -> Place:
    """An endpoint that runs already, in the envelope that it has."""

    def open_(served: Served) -> AbstractContextManager[Endpoint]:
        chosen = for_model(endpoint, served.model)
        return nullcontext(with_envelope(chosen, served.envelope) if served.envelope else chosen)

    return Place(name or name_of(endpoint), open_)


def remote(url: str, token: str | None = None) -> Place:
    """A TorchServe or an app at a URL. Raises RequestError for what is no URL of one."""
    Address.read(url)

    @contextmanager
    def open_(served: Served) -> Iterator[Endpoint]:
        from handlerkit.endpoints.remote import Remote

        with Remote(url, model=served.model, token=token) as endpoint:
            yield endpoint

    return Place(url, open_)


def workers(models: Mapping[str, RegisteredModel]) -> Place:
    """A worker of each model."""

    @contextmanager
    def open_(served: Served) -> Iterator[Endpoint]:
        from handlerkit.endpoints.worker import Worker

        setup = _setup(models, served)
        worker = Worker(setup.source, **_registered(setup, served))
        try:
            yield worker
        finally:
            worker.close()

    return Place("worker", open_)


def servers(
    name: str,
    models: Mapping[str, RegisteredModel],
    *,
    target: str | None = None,
    progress: Progress | None = None,
) -> Place:
    """An endpoint of the registry that serves each model, in the environment of a target."""
    endpoints.find(name)
    if target is not None:
        targets.find(target)

    @contextmanager
    def open_(served: Served) -> Iterator[Endpoint]:
        chosen = {"target": target} if target is not None else {}
        setup = _setup(models, served)
        settings = _registered(setup, served) | chosen | {"progress": progress}
        settings.pop("gpu_id", None)
        with endpoints.serve(name, setup.source, **settings) as endpoint:
            yield endpoint

    return Place(target if target is not None and name == "server" else name, open_)


def _setup(models: Mapping[str, RegisteredModel], served: Served) -> RegisteredModel:
    if served.model not in models:
        raise CaseError(f"it is a case of the model {served.model}, and the models are {', '.join(models)}")
    return models[served.model]


def _registered(setup: RegisteredModel, served: Served) -> dict[str, Any]:
    """The options that register a model for these cases."""
    own = dict(setup.options)
    if served.envelope:
        own["config_properties"] = {**(own.get("config_properties") or {}), "service_envelope": served.envelope}
    if served.batch_size > 1:
        own["batch_size"] = max(served.batch_size, own.get("batch_size") or 1)
    return own
