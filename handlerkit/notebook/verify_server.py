"""The real TorchServe that %verify asks: it stays up from check to check, so that a check takes as long as registering
a model does, and not as long as starting Java too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlerkit.errors import LoadError, ServerError, TargetError
from handlerkit.messages import Run
from handlerkit.notebook.progress import step
from handlerkit.targets import Target, find
from handlerkit.verify import Report, verify

if TYPE_CHECKING:
    from handlerkit.endpoints.server import Server


class VerifyServer:
    """Starts with the first check. Between checks it has no model, so it holds Java's memory and no weights.

    What TorchServe has when it starts, config.properties, the environment and the target, is not the same for every
    check: if that has changed, or a model has installed packages, another one takes its place.
    """

    def __init__(self) -> None:
        self._server: Server | None = None
        self._progress: Callable[[str], None] = lambda _: None
        self._started_with: object = None

    @property
    def server(self) -> Server:
        """The one of the last check. Raises ServerError before the first."""
        if self._server is None:
            raise ServerError("no TorchServe is running yet: %verify starts one")
        return self._server

    def verify(
        self, run: Run, archive: Path, registered: Mapping[str, Any], ignore: Collection[str], rtol: float
    ) -> Report:
        """Serve the archive, registered with these arguments of Server, and compare its answers with `run`'s, as
        handlerkit.verify does. Raises LoadError if the archive does not load, TargetError if the target's
        environment cannot be made."""
        parameters = dict(registered)
        properties, target = parameters.pop("config_properties"), parameters.pop("target", "declared")
        server = self._kept(properties, parameters.pop("environment", {}), find(target))
        loading = f"loading {archive.name.partition('.')[0]}"
        with step(loading if server.running else "starting TorchServe") as progress:
            self._progress = progress
            try:
                server.start()
                server.register(archive, **parameters)
                progress(f"sending {len(run.requests)} request(s)")
                report = verify(run, server, ignore, rtol)
                for name in server.models:
                    server.unregister(name)
            except (LoadError, TargetError):  # it has no model, as before
                raise
            except BaseException:  # what it was doing cannot be called off
                self.stop()
                raise
        return report

    def stop(self) -> None:
        """End TorchServe; the next check starts another."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _kept(self, properties: Mapping[str, Any], environment: Mapping[str, str], target: Target) -> Server:
        """The one that is up, if it was started with the same; else a new one, not started yet."""
        from handlerkit import shell
        from handlerkit.endpoints.server import Server

        started_with = dict(properties), shell.environment() | dict(environment), target.key
        if self._server is None or started_with != self._started_with or self._server.has_more_packages:
            self.stop()
            self._server = Server(
                [], properties, environment=environment, target=target, progress=lambda what: self._progress(what)
            )
            self._started_with = started_with
        return self._server
