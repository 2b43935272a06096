"""Where a path leads: the routes of the inference API, and the management API's description of a model."""

from __future__ import annotations

from typing import NamedTuple

from .. import torchserve_facts as facts
from ..http import Headers
from .parameters import asks_to_describe, unescape


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


def path_of(target: str) -> str:
    """The path in a request's target, with its escapes decoded. Raises FormError."""
    plain = target.partition("?")[0].partition("#")[0]
    return unescape(target, 0, len(plain), plus="+")


def find(method: str, path: str, query: str) -> Route:
    """The route of a path, in which escapes are decoded. Raises RouteError."""
    steps = path.rstrip("/").split("/")[1:]  # a %2F divides like a slash

    def explain(asked: bool) -> tuple[str, str]:
        return facts.EXPLAIN, str(asked)

    begin, size, last = steps[:1], len(steps), steps[-1] if steps else ""
    if begin in (["predictions"], ["explanations"]) and size > 1:
        added = ((facts.URL_PATH, "/".join(steps[3:])), explain(begin == ["explanations"]))
        return Route(steps[1], steps[2] if size > 2 else None, False, added)
    if steps[:2] == ["v1", "models"] and size == 3 and (":predict" in last or ":explain" in last):
        return Route(last.partition(":")[0], None, False, (explain(":predict" not in last),))
    if steps[:2] == ["v2", "models"] and size == 4 and last in ("infer", "explain"):
        return Route(steps[2].partition(":")[0], None, False, (explain(last == "explain"),))
    if begin == ["models"] and size == 3 and last == "invoke":
        return Route(steps[1], None, True, ())
    if begin == ["models"] and size in (2, 3) and method == "GET" and asks_to_describe(query):
        return Route(steps[1], steps[2] if size > 2 else None, False, ((facts.DESCRIBE, "True"),))
    if steps == ["invocations"]:
        return Route(None, None, True, ())
    if size in (2, 3) and last == "predict":
        return Route(steps[0], steps[1] if size > 2 else None, True, ())
    if not steps and method != "OPTIONS":
        message = "Requested method is not allowed, please refer to API document."
        raise RouteError(405, facts.METHOD_NOT_ALLOWED, message)
    message = "Requested resource is not found, please refer to API document."
    raise RouteError(404, facts.RESOURCE_NOT_FOUND, message)
