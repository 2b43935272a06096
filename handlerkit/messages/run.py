"""What an endpoint answered, and who answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

from handlerkit.errors import ResponseError
from handlerkit.formatting import visible
from handlerkit.messages.call import Call, ErrorInfo, LogLine, Metric
from handlerkit.messages.finding import Finding
from handlerkit.messages.request import Request
from handlerkit.messages.response import describe_response
from handlerkit.serving.http import Response
from handlerkit.serving.torchserve_facts import MAX_RESPONSE_SIZE
from handlerkit.timing import Timings

Item = TypeVar("Item")

#: What the folder of the model's files is called instead of its path, which is another one on each endpoint.
MODEL_DIR = "<model_dir>"


@dataclass(frozen=True)
class Exchange:
    """A request and the answer to it."""

    request: Request
    response: Response


@dataclass(frozen=True)
class Run:
    """What an endpoint answered: `exchanges` in the requests' order, and the calls of the handler where they
    were seen (none on a remote endpoint).

    `paths` are the paths of the model's files on this endpoint, with what to call them instead: other endpoints have
    other paths. `secrets` are the endpoint's own credentials, which an answer may repeat.
    """

    exchanges: tuple[Exchange, ...]
    calls: tuple[Call, ...] = ()
    findings: tuple[Finding, ...] = ()
    endpoint: str = ""
    model: str = ""
    labels: Mapping[str, str] | None = field(default=None, repr=False)
    max_response_size: int = MAX_RESPONSE_SIZE
    paths: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Without the secrets: who keeps a Run keeps no credentials."""
        return {name: value for name, value in self.__dict__.items() if name != "secrets"}

    @cached_property
    def requests(self) -> tuple[Request, ...]:
        """The requests, in the order they were given."""
        return tuple(exchange.request for exchange in self.exchanges)

    @cached_property
    def responses(self) -> tuple[Response, ...]:
        """The answers, in the requests' order."""
        return tuple(exchange.response for exchange in self.exchanges)

    @property
    def request(self) -> Request:
        """The only request. Raises ValueError if there are several."""
        return _only(self.exchanges, "exchanges").request

    @property
    def response(self) -> Response:
        """The only answer. Raises ValueError if there are several."""
        return _only(self.exchanges, "exchanges").response

    @property
    def call(self) -> Call:
        """The only call of the handler. Raises ValueError if there are none or several."""
        return _only(self.calls, "calls")

    @property
    def rows(self) -> list[dict[str, Any]]:
        """`Call.rows` of the only call."""
        return self.call.rows

    @property
    def data(self) -> Any:
        """`Call.data` of the only call."""
        return self.call.data

    @property
    def request_headers(self) -> list[dict[str, Any]]:
        """`Call.request_headers` of the only call."""
        return self.call.request_headers

    @property
    def timings(self) -> Timings:
        """`Call.timings` of the only call."""
        return self.call.timings

    @property
    def logs(self) -> tuple[LogLine, ...]:
        """The log lines of every call, in order."""
        return tuple(line for call in self.calls for line in call.logs)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metric samples of every call, in order."""
        return tuple(sample for call in self.calls for sample in call.metrics)

    @property
    def error(self) -> ErrorInfo | None:
        """The first exception a call raised."""
        return next((call.error for call in self.calls if call.error), None)

    @property
    def ok(self) -> bool:
        """Every answer is a success."""
        return all(response.ok for response in self.responses)

    def raise_for_status(self) -> Run:
        """This Run, or ResponseError with the causes in plain words and the handler's traceback."""
        if self.ok:
            return self
        answers = ", ".join(sorted({describe_response(response) for response in self.responses if not response.ok}))
        lines = [visible(f"{self.model} answered {answers}"), *map(str, self.findings)]
        if self.error:
            lines.append(self.error.traceback.rstrip())
        raise ResponseError("\n".join(lines), self)

    def __repr__(self) -> str:
        answers = ", ".join(describe_response(response) for response in self.responses[:4])
        more = ", ..." if len(self.responses) > 4 else ""
        return visible(f"<Run {self.model}: {answers}{more}>")


def _only(items: tuple[Item, ...], name: str) -> Item:
    if len(items) != 1:
        raise ValueError(f"this Run holds {len(items)} {name}; look at each of .{name}")
    return items[0]


class Endpoint(Protocol):
    """Anything that answers requests to a served model."""

    def predict(self, *requests: Request) -> Run:
        """Answer these requests, which arrive together, in this order."""
        ...
