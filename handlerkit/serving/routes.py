"""Where a path leads: the routes of the inference API, and the management API's description of a model."""

from __future__ import annotations

from typing import NamedTuple

from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.http import Headers
from handlerkit.serving.parameters import asks_to_describe


class Route(NamedTuple):
    """Which model a request is for, and what the handler is told of its path.

    `model` is None if a parameter names it. `takes_query`: whether the query's parameters reach the handler. `added`:
    the headers that the frontend adds.
    """

    model: str | None
    version: str | None
    takes_query: bool
    added: Headers

    @property
    def describes(self) -> bool:
        """Whether the handler is asked to describe its model."""
        return (facts.DESCRIBE, "True") in self.added


class RouteError(Exception):
    """A request that leads to no registered model: the `status` and `kind` of the answer, and its message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


def find(method: str, path: str, query: str) -> Route:
    """The route of a path, in which escapes are decoded. Raises RouteError."""
    steps = path.rstrip("/").split("/")[1:]  # a %2F divides like a slash

    def explain(asked: bool) -> tuple[str, str]:
        return facts.EXPLAIN, str(asked)

    match steps:
        case ["predictions" | "explanations" as verb, model, *rest]:
            added = ((facts.URL_PATH, "/".join(rest[1:])), explain(verb == "explanations"))
            return Route(model, rest[0] if rest else None, False, added)
        case ["v1", "models", last] if ":predict" in last or ":explain" in last:
            return Route(last.partition(":")[0], None, False, (explain(":predict" not in last),))
        case ["v2", "models", model, "infer" | "explain" as verb]:
            return Route(model.partition(":")[0], None, False, (explain(verb == "explain"),))
        case ["models", model, "invoke"]:
            return Route(model, None, True, ())
        case ["models", model, *version] if method == "GET" and len(version) < 2 and asks_to_describe(query):
            return Route(model, version[0] if version else None, False, ((facts.DESCRIBE, "True"),))
        case ["invocations"]:
            return Route(None, None, True, ())
        case [model, "predict"]:
            return Route(model, None, True, ())
        case [model, version, "predict"]:
            return Route(model, version, True, ())
        case [] if method != "OPTIONS":
            message = "Requested method is not allowed, please refer to API document."
            raise RouteError(405, facts.METHOD_NOT_ALLOWED, message)
    message = "Requested resource is not found, please refer to API document."
    raise RouteError(404, facts.RESOURCE_NOT_FOUND, message)
