"""The real TorchServe that %verify asks: it stays up from check to check, so that a check takes as long as registering
a model does, and not as long as starting Java too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlerkit.errors import LoadError, ServerError
from handlerkit.messages import Run
from handlerkit.notebook.progress import step
from handlerkit.verify import Report, verify

if TYPE_CHECKING:
    from handlerkit.endpoints.server import Server


class Standby:
    """Starts with the first check. Between checks it has no model, so it holds Java's memory and no weights.

    What TorchServe reads when it starts, config.properties and the environment, is not the same for every check: where
    that has changed, another one takes its place.
    """

    def __init__(self) -> None:
        self._server: Server | None = None
        self._started_with: object = None

    @property
    def server(self) -> Server:
        """The one of the last check. Raises ServerError before the first."""
        if self._server is None:
            raise ServerError("no TorchServe is kept up yet: %verify starts one")
        return self._server

    def verify(
        self, run: Run, archive: Path, registered: Mapping[str, Any], ignore: Collection[str], rtol: float
    ) -> Report:
        """Serve the archive, registered with these arguments of Server, and compare its answers with `run`'s, as
        handlerkit.verify does. Raises LoadError where the archive does not load."""
        properties, parameters = registered["config_properties"], dict(registered)
        del parameters["config_properties"]
        server, loading = self._kept(properties), f"loading {archive.name.partition('.')[0]}"
        with step(loading if server.running else "starting TorchServe") as progress:
            try:
                server.start()
                progress(loading)
                server.register(archive, **parameters)
                progress(f"sending {len(run.requests)} request(s)")
                report = verify(run, server, ignore, rtol)
                for name in server.models:
                    server.unregister(name)
            except LoadError:  # TorchServe has forgotten the model itself
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

    def _kept(self, properties: Mapping[str, Any]) -> Server:
        """The one that is up, where it was started with the same; else a new one, not started yet."""
        from handlerkit.endpoints.guarded import shell_environment
        from handlerkit.endpoints.server import Server

        started_with = dict(properties), shell_environment()
        if self._server is None or started_with != self._started_with:
            self.stop()
            self._server, self._started_with = Server([], properties), started_with
        return self._server
