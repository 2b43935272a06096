"""A Worker for real clients: HTTP at an address of this machine, in a thread, until it is stopped."""

from __future__ import annotations

import asyncio
import atexit
import errno
import threading
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import asdict
from types import TracebackType

from handlerkit.endpoints.http import bearer
from handlerkit.endpoints.lent.lent_worker import Lend, LentModel
from handlerkit.endpoints.lent.served_runs import ServedRuns
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import ConfigError, ServerError
from handlerkit.serving.application import Application
from handlerkit.serving.listener import Listener, is_loopback
from handlerkit.serving.models.metrics import OF_HANDLERS
from handlerkit.serving.models_file import metrics_of
from handlerkit.serving.torchserve_facts import PORT

#: Seconds that requests may take to end when the server stops.
GRACE = 5.0


def serve(worker: Worker, port: int = PORT, *, host: str = "127.0.0.1", token: str | None = None) -> WorkerServer:
    """Answer HTTP clients with this worker, until `stop`, the end of a with block, or the end of this process.

    Args:
        worker: answers them, as it is when a request comes: after a reload they get the new code.
        port: 0 takes a free one, which `url` says.
        host: another one than loopback lets other machines in, and needs a token.
        token: what requests have to bear: `Authorization: Bearer TOKEN`.

    Raises ServerError if it cannot listen there, ConfigError for a port that is none, for another host than loopback
    without a token, and for a worker with `in_process`.
    """
    return WorkerServer(lambda: nullcontext(worker), port, host=host, token=token)


class WorkerServer:
    """Answers HTTP clients as TorchServe does, with a worker that is lent for each batch.

    Args:
        lend: opens the worker.
        port, host, token: as of `serve`.
        served: where what clients ask and get is kept.

    Attributes:
        url: where it listens, such as http://127.0.0.1:8080.
        model: the model's name.
        has_token: whether requests need one.
        served: what clients asked and got, the newest last; see ServedRuns.
    """

    def __init__(
        self,
        lend: Lend,
        port: int = PORT,
        *,
        host: str = "127.0.0.1",
        token: str | None = None,
        served: ServedRuns | None = None,
    ) -> None:
        _check(host, port, token)
        self.served = ServedRuns() if served is None else served
        self.has_token = token is not None
        model = LentModel(lend, self.served)
        self.model = model.name
        self._application = _application(lend, model, token)
        self._address = host, port
        self._loop = asyncio.new_event_loop()
        self._stopping: asyncio.Future[float] = self._loop.create_future()
        listens: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, args=(listens,), name="handlerkit serves", daemon=True)
        self._thread.start()
        atexit.register(self.stop, 0.0)
        try:
            self.url = listens.result()
        except OSError as problem:
            self.stop(0.0)
            raise ServerError(_why(problem, host, port)) from None
        except BaseException:
            self.stop(0.0)
            raise

    @property
    def running(self) -> bool:
        """Whether it takes requests."""
        return self._thread.is_alive() and not self._stopping.done()

    def stop(self, grace: float = GRACE) -> None:
        """Take no more requests, and let those that run be answered, for up to `grace` seconds. The worker stays."""
        atexit.unregister(self.stop)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ask_to_stop, grace)
            self._thread.join()

    def __enter__(self) -> WorkerServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<WorkerServer {self.model} {self.url if self.running else 'stopped'}>"

    def _ask_to_stop(self, grace: float) -> None:
        if not self._stopping.done():
            self._stopping.set_result(grace)

    def _run(self, listens: Future[str]) -> None:
        """The thread."""
        try:
            self._loop.run_until_complete(self._serve(listens))
        finally:
            self._loop.close()

    async def _serve(self, listens: Future[str]) -> None:
        application, listener = self._application, Listener(self._application)
        try:
            await application.start()
            await listener.start(*self._address)
        except BaseException as problem:
            await application.stop(0)
            listens.set_exception(problem)
            return
        listens.set_result(listener.url)
        grace = await self._stopping
        await listener.stop(grace)
        await application.stop(0)  # whoever still waits has been cut off


def _check(host: str, port: int, token: str | None) -> None:
    """Raise ConfigError for an address that must not be."""
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigError(f"a port is a number from 0, which takes a free one, to 65535, not {port!r}")
    if token is not None and (problem := bearer.wrong(token)):
        raise ConfigError(problem)
    if token is None and not is_loopback(host):
        raise ConfigError(f"host {host} lets other machines in: give a token as well, which their requests bear")


def _application(lend: Lend, model: LentModel, token: str | None) -> Application:
    with lend() as worker:
        if worker.in_process:
            raise ConfigError("a worker with in_process=True is for a debugger: serve one without")
        config = worker.config
        detects = worker.config_properties.get("model_metrics_auto_detect", False)
    properties = {**asdict(config), "model_metrics_auto_detect": detects}
    declared = metrics_of(config.metrics_config) if config.metrics_config else OF_HANDLERS
    return Application([model], properties, token=token, declared=declared, rejected=model.rejected)


def _why(problem: OSError, host: str, port: int) -> str:
    """Why it cannot listen, and what to do."""
    if problem.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use: choose another one, or 0 for one that is free"
    if problem.errno == errno.EACCES:
        return f"port {port} needs rights that this process does not have: choose one from 1024 on, or 0"
    return f"{host} is no address of this machine ({problem.strerror or problem}): choose another host"
