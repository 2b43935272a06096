"""Who answers a Request. An endpoint is a class with `predict(*requests) -> Run` (`handlerkit.messages.Endpoint`).

- worker: TorchServe's own Python code in a process of its own. loads: one load of its handler. lifecycle: from load to
  load. file_watch: files of the model that changed on disk since.
- worker_server: a Worker for HTTP clients. lent: its worker as `serving`'s application has it, and what clients sent.
- server: a real TorchServe. torchserve: its process, and why it answered with an error.
- remote: a TorchServe or an app that runs already, at a URL. http: the client that both have.
- app_server: the folder of an exported app, on this machine.
- ray_serve: an exported app on Ray Serve. ray_cluster: the process that speaks to Ray.
- capabilities: what an endpoint may have beside predict. recording: what the workers of an app here are handed.
- ports: free ones of this machine. logs: what a worker's log says. supervision: processes that end with their owner.
  config_properties: what both read.

Anything below may be imported: worker_process, targets, why, model, messages, serving; nothing above: bench, verify,
view, notebook. Importing this imports no endpoint.

To add one: write its class in a module here, with a folder beside it if it needs several. If it can serve a Model, add
it to ENDPOINTS, where commands find it (`--endpoint`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from handlerkit.errors import ConfigError
from handlerkit.messages import Endpoint
from handlerkit.model import Model, PathLike


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint that commands know by its name.

    Attributes:
        summary: what it is, for --help.
        serve: makes one that serves a Model, or an archive, between entering and leaving it as a context manager. Its
            keyword arguments are those of Server: config_properties, batch_size, max_batch_delay, response_timeout,
            target and progress.
    """

    summary: str
    serve: Callable[..., AbstractContextManager[Endpoint]]


def _server(model: Model | PathLike, **options: Any) -> AbstractContextManager[Endpoint]:
    from handlerkit.endpoints.server import Server

    return Server(model, **options)


def _ray(model: Model | PathLike, **options: Any) -> AbstractContextManager[Endpoint]:
    from handlerkit.endpoints.ray_serve import RayServe

    return RayServe(model, **options)


#: By name.
ENDPOINTS = {
    "server": EndpointSpec("a real TorchServe that serves the model", _server),
    "ray": EndpointSpec("the model as an app on Ray Serve", _ray),
}


def find(name: str) -> EndpointSpec:
    """The one of that name. Raises ConfigError for an unknown one."""
    if name not in ENDPOINTS:
        raise ConfigError(f"the endpoints that serve a model are {', '.join(ENDPOINTS)}, not {name!r}")
    return ENDPOINTS[name]


def serve(name: str, model: Model | PathLike, **options: Any) -> AbstractContextManager[Endpoint]:
    """The endpoint of that name for a model or an archive; it starts when it is entered. Raises ConfigError for an
    unknown name."""
    return find(name).serve(model, **options)


def is_endpoint(value: object) -> bool:
    """Whether it is an object that answers requests, and not its class."""
    return callable(getattr(value, "predict", None)) and not isinstance(value, type)
