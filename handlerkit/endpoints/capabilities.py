"""What an endpoint may have beside `predict`. Who needs it asks here, so that an endpoint may do without.

Each is a protocol of one member, and a function that says what an endpoint without it counts as.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

from handlerkit.endpoints.recording import Recording
from handlerkit.messages import Endpoint, ForcedHead
from handlerkit.targets import Environment


@runtime_checkable
class ServesAnyModel(Protocol):
    """Serves models whose names it does not know, such as a Remote."""

    def for_model(self, name: str) -> Endpoint:
        """An endpoint that asks for this model."""
        ...


@runtime_checkable
class TakesEnvelope(Protocol):
    """Can serve with another envelope, such as a Worker."""

    def with_envelope(self, name: str | None) -> Endpoint:
        """An endpoint like this one with that service_envelope; None for no envelope."""
        ...


@runtime_checkable
class HasForcedHead(Protocol):
    """Has a proxy before it, such as RayServe."""

    @property
    def forces(self) -> ForcedHead | None:
        """What the proxy makes of the head of each answer; None if there is none."""
        ...


@runtime_checkable
class RecordsHandedOver(Protocol):
    """Can keep what its handlers get, such as RayServe, whose Runs have no calls."""

    def recording(self) -> AbstractContextManager[Recording | None]:
        """Keep it in this block; None where that cannot be done, as on another machine."""
        ...


@runtime_checkable
class RunsInEnvironment(Protocol):
    """Says where its workers run, such as a Server: `environment` is an Environment. A Worker's, which runs in this
    one, are the variables that it was given."""

    @property
    def environment(self) -> object: ...


@runtime_checkable
class AsksForToken(Protocol):
    """Refuses requests without its token, such as a Server, and adds it to those without an Authorization header."""

    @property
    def token(self) -> str | None:
        """The token; None if it asks for none."""
        ...


@runtime_checkable
class HasUrl(Protocol):
    """Is at a URL, such as a Remote."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...


def for_model(endpoint: Endpoint, name: str) -> Endpoint:
    """The endpoint that answers for this model: itself, or what it has for it."""
    return endpoint.for_model(name) if isinstance(endpoint, ServesAnyModel) else endpoint


def with_envelope(endpoint: Endpoint, name: str | None) -> Endpoint:
    """The endpoint with this envelope; itself if it can have no other than its own."""
    return endpoint.with_envelope(name) if isinstance(endpoint, TakesEnvelope) else endpoint


def forced_head(endpoint: Endpoint) -> ForcedHead | None:
    """What a proxy makes of the head of each of its answers; None without one."""
    return endpoint.forces if isinstance(endpoint, HasForcedHead) else None


def recording(endpoint: Endpoint) -> AbstractContextManager[Recording | None]:
    """A block in which it keeps what its handlers get; with None where it does not."""
    return endpoint.recording() if isinstance(endpoint, RecordsHandedOver) else nullcontext()


def environment_of(endpoint: Endpoint) -> Environment | None:
    """Where its workers run; None if it does not say."""
    found = endpoint.environment if isinstance(endpoint, RunsInEnvironment) else None
    return found if isinstance(found, Environment) else None


def asks_for_token(endpoint: Endpoint) -> bool:
    """Whether it has a token of its own, which it adds to requests."""
    return isinstance(endpoint, AsksForToken) and endpoint.token is not None


def name_of(endpoint: Endpoint) -> str:
    """Its URL, or the name of its class."""
    return endpoint.url if isinstance(endpoint, HasUrl) else type(endpoint).__name__
