"""AppServer: the folder of an exported app, served by its own app.py on this machine, as an Endpoint."""

from __future__ import annotations

import os
import re
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from handlerkit import shell
from handlerkit.endpoints.http.client import ADDRESS
from handlerkit.endpoints.recording import RecordFolder, Recording
from handlerkit.endpoints.remote import Remote
from handlerkit.endpoints.supervision.supervised_process import SupervisedProcess
from handlerkit.errors import ServerError
from handlerkit.folders import OwnFolder
from handlerkit.messages import Request, Run
from handlerkit.messages.run import MODEL_DIR
from handlerkit.serving import models_file
from handlerkit.serving.config import Config
from handlerkit.serving.serve import TOKEN

#: Seconds that a client waits after the app itself has given a worker up.
MARGIN = 30
_SERVES = re.compile(rb"^Serving .+ at (http://\S+)$", re.MULTILINE)
#: What stands before a line of a worker in the log.
_PREFIX = re.compile(r"^\S+ \S+ INFO serving\.\S+ ", re.MULTILINE)
_TOLD = 60  # lines of the log that an error shows: two chained exceptions


class AppServer:
    """An exported app (`handlerkit.App`) that its own `python app.py` serves on 127.0.0.1, with the packages that are
    installed here. Use it in a `with` block, or call start() and stop().

    None of its processes outlives this one, however that ends.

    Args:
        folder: what App.save wrote.

    Raises ServerError for a folder without an app.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder).expanduser().absolute()
        if not is_app(folder):
            raise ServerError(f"{folder} is no app: it has no app.py beside a models.json")
        self._process: SupervisedProcess | None = None
        self._remote: Remote | None = None
        self._recorded: RecordFolder | None = None

    def start(self) -> AppServer:
        """Start it, and wait until it takes requests; at once if it runs. Raises ServerError, with the end of its log,
        if it does not; nothing is left running then, nor after Ctrl-C."""
        if self._process is None or self._process.has_ended():
            self.stop()
            try:
                self._start()
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """End it; a second time does nothing."""
        if self._remote is not None:
            self._remote.close()
            self._remote = None
        if self._process is not None:
            self._process.end()
            self._process = None

    def __enter__(self) -> AppServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<AppServer: {self._folder.name}{'' if self._process else ', stopped'}>"

    def predict(self, *requests: Request) -> Run:
        """Send the requests a few milliseconds apart, each on a connection of its own, and wait for all answers.

        Raises RequestError for a request that names no model, and for one that is not HTTP; ServerError if the app does
        not run.
        """
        return self._predict(self._running(), *requests)

    def recording(self) -> AbstractContextManager[Recording]:
        """Keep what the app's workers are handed in this block. Raises ServerError if the app does not run."""
        self._running()
        assert self._recorded is not None
        return self._recorded.recording()

    def for_model(self, name: str) -> _AppModel:
        """An endpoint that asks this app for that model. Raises ServerError if the app does not run."""
        return _AppModel(self, self._running().for_model(name))

    def _predict(self, remote: Remote, *requests: Request) -> Run:
        run = remote.predict(*requests)
        names = [folder.name for folder in (self._folder / "model").glob("*")]
        paths = {str(self._folder / "model" / name): MODEL_DIR for name in names}
        return replace(run, endpoint=f"the app {self._folder.name}", paths=paths)

    def _start(self) -> None:
        own = OwnFolder()
        out, log, self._recorded = own.path / "out", own.path / "log", RecordFolder(own.path / "recorded")
        environment = {key: value for key, value in shell.environment().items() if key != TOKEN}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1"} | self._recorded.variables
        try:
            with open(out, "wb") as to, open(log, "wb") as errors:
                self._process = SupervisedProcess(
                    [sys.executable, "app.py", "--host", ADDRESS, "--port", "0"], own.path, cwd=self._folder,
                    env=environment, stdout=to.fileno(), stderr=errors.fileno(),
                )  # fmt: skip
        except OSError as problem:
            own.remove()
            raise ServerError(f"{self._folder.name}/app.py cannot be started: {problem.strerror or problem}") from None
        own.remove.detach()  # the process removes it
        while (serves := _SERVES.search(out.read_bytes())) is None:
            if self._process.has_ended(wait=0.05):
                raise self._failure(log.read_text("utf-8", "replace"))
        self._remote = Remote(serves[1].decode(), timeout=patience(self._folder))

    def _failure(self, log: str) -> ServerError:
        lines = _PREFIX.sub("", log).rstrip().splitlines() or ["it wrote nothing"]
        head = f"{self._folder.name}/app.py ended before it served: {lines[-1]}"
        return ServerError("\n".join([head, *(["the end of its log:", *lines[-_TOLD:]] if lines[1:] else [])]), log)

    def _running(self) -> Remote:
        if self._remote is None:
            raise ServerError("this AppServer does not run: call start(), or use it in a `with` block")
        return self._remote


class _AppModel:
    """An app that is asked for one of its models."""

    def __init__(self, app: AppServer, remote: Remote) -> None:
        self._app, self._remote = app, remote

    def predict(self, *requests: Request) -> Run:
        """As of AppServer."""
        return self._app._predict(self._remote, *requests)

    def recording(self) -> AbstractContextManager[Recording]:
        """As of AppServer."""
        return self._app.recording()


def is_app(folder: str | os.PathLike[str]) -> bool:
    """Whether it is the folder of an exported app."""
    path = Path(folder).expanduser()
    return (path / "app.py").is_file() and (path / "models.json").is_file()


def patience(folder: Path) -> float:
    """Seconds in which the app in this folder answers in any case, and a margin."""
    contents = models_file.read(str(folder / "models.json"))
    config = Config.read(contents.config_properties)
    times = [model.registered(config) for model in contents.models]
    return max(one.response_timeout + one.max_batch_delay / 1000 for one in times) + MARGIN
