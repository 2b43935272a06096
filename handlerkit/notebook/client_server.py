"""The session's models for HTTP clients: what %serve starts and stops."""

from __future__ import annotations

from handlerkit.endpoints.lent.served_runs import ServedRuns
from handlerkit.endpoints.worker_server import WorkerServer
from handlerkit.notebook.models import SessionModels
from handlerkit.serving.torchserve_facts import PORT

_LOOPBACK = "127.0.0.1"


class ClientServer:
    """At most one WorkerServer. `served` keeps what clients of all of them asked."""

    def __init__(self) -> None:
        self.served = ServedRuns()
        self._server: WorkerServer | None = None
        self._address = _LOOPBACK, PORT
        self._made_with: object = None

    def serve(self, models: SessionModels, port: int | None, host: str | None, token: str | None) -> WorkerServer:
        """Serve the current model, at the address of the last server unless told otherwise; one that does so already
        goes on. Raises as handlerkit.serve does, and LoadError if the handler does not load."""
        last_host, last_port = self._address
        address = host or last_host, last_port if port is None else port
        name = models.current.name
        with models.lend(name) as worker:
            made_with = name, token, worker.config, worker.config_properties
        if self._server is not None and self._server.running:
            if address == self._address and made_with == self._made_with:
                return self._server
            if address[1] == last_port:  # it makes room for the next one
                self.stop()
        server = WorkerServer(lambda: models.lend(name), address[1], host=address[0], token=token, served=self.served)
        self.stop()
        self._server, self._address, self._made_with = server, address, made_with
        return server

    def stop(self) -> WorkerServer | None:
        """Stop serving; the server that did, if one did."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        return server
