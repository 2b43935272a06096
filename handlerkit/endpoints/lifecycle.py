"""A worker's handler over its loads: loaded, reloaded, and loaded again after the worker died."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from handlerkit import why
from handlerkit.endpoints.file_watch import FileWatch
from handlerkit.endpoints.loads.in_process import InProcess
from handlerkit.endpoints.loads.process import WorkerProcess
from handlerkit.errors import LoadError
from handlerkit.messages import Finding
from handlerkit.messages.run import MODEL_DIR
from handlerkit.model import Model
from handlerkit.serving.worker_death import back_off
from handlerkit.why.findings import frontend
from handlerkit.worker_process.hot_reload.reload import Reload
from handlerkit.worker_process.reload_required import ReloadRequired


class Lifecycle:
    """Holds the loaded handler, and loads it again after the worker died. Workers that differ only in their envelope
    share one.

    Args:
        model: its labels are read at each load.
        start: loads the handler; raises LoadError.
        pauses: whether a dead worker stays away as long as on TorchServe.
    """

    def __init__(self, model: Model, start: Callable[[], WorkerProcess | InProcess], *, pauses: bool) -> None:
        #: A worker answers one batch at a time.
        self.lock = threading.RLock()
        self.loaded: WorkerProcess | InProcess | None = None
        self.labels: Mapping[str, str] | None = None
        #: The paths of the model's files on this endpoint, and what to call them instead; see Run.
        self.paths: Mapping[str, str] = {}
        #: Findings about the files for the next Run, which empties the list.
        self.news: list[Finding] = []
        #: What a reload asked for, and the settings that it read; None before the first.
        self.registered: tuple[Any, Mapping[str, Any]] | None = None
        #: What was reported of the loaded handler, and whether it was called with one request (False), with several
        #: (True); one counts from the beginning if it cannot show a fault of the code.
        self.reported: frozenset[str] = frozenset()
        self.called_with: set[bool] = set()
        #: The warnings that comments in the model's code silence.
        self.silenced: frozenset[str] = frozenset()
        #: The model's files as they were last read; None before the first load.
        self.files: FileWatch | None = None
        self._code: why.ModelCode | None = None
        self._model = model
        self._start = start
        self._pauses = pauses
        self._back_off = BackOff()

    @property
    def pause(self) -> float:
        """Seconds until a worker that died may be started again; 0 while one is there."""
        return self._back_off.left if self._pauses and self.loaded is None else 0.0

    def load(self) -> WorkerProcess | InProcess:
        """Load the handler. What was loaded before is gone, even if LoadError is raised."""
        self.close(wait=False)
        self.files = FileWatch(self._model)
        self.loaded = self._start()
        self.labels = self._model.labels()
        self._begin()
        python = [entry for entry in self._model.entries() if entry.name.endswith(".py")]
        self.paths = {str(self.loaded.model_dir): MODEL_DIR} | {
            str(entry.source): f"{MODEL_DIR}/{entry.name}" for entry in python
        }
        return self.loaded

    def reload(self, *, force: bool = False, batch_size: int | None = None) -> Reload:
        """Read the model's files again. Keep the loaded handler if it then answers as a new one would, with batches of
        this size; otherwise, or with `force`, load it again. Raises LoadError."""
        with self.lock:
            try:
                if force:
                    raise ReloadRequired("as asked")
                if self.loaded is None:
                    raise ReloadRequired("no handler was loaded")
                self.files = FileWatch(self._model)
                swapped = Reload(True, self.loaded.swap(batch_size))
                self._begin()
                return swapped
            except ReloadRequired as problem:
                reason = str(problem)
            self.load()
            self.forgive()
            return Reload(False, reason)

    def _begin(self) -> None:
        """Nothing is reported yet of the handler as it is now, unless its code is the same as before."""
        code = why.read_code(entry.source for entry in self._model.entries() if entry.name.endswith(".py"))
        if code == self._code:
            return
        self._code, self.reported, self.silenced = code, frozenset(), code.silenced
        # one request shows a fault of the code only there: the worker need not be asked, which takes a millisecond
        self.called_with = set() if code.may_skip_stages else {False}

    def ready(self) -> WorkerProcess | InProcess:
        """The loaded handler, loaded again if the worker is gone. Raises LoadError."""
        if self.loaded is not None and self.loaded.alive:
            if self.loaded.model_dir.is_dir():
                return self.loaded
            self.news.append(frontend.staged_again())
            return self.load()
        self.close()
        if self._pauses:
            self._back_off.wait()
        try:
            loaded = self.load()
        except LoadError:
            self._back_off.died()
            raise
        self._back_off.loaded()
        return loaded

    def died(self) -> None:
        """Note that the worker died; what it had loaded is gone."""
        self.close()
        self._back_off.died()

    def forgive(self) -> None:
        """Forget how often the worker died, since that was another handler."""
        self._back_off = BackOff()

    def close(self, wait: bool = True) -> None:
        """Forget the handler and remove its staged files; without `wait`, in the background."""
        if self.loaded is not None:
            self.loaded.close(wait)
            self.loaded = None


class BackOff:
    """How long a dead worker stays away."""

    def __init__(self) -> None:
        self._deaths = 0
        self._until = 0.0

    def died(self) -> None:
        """Note that the worker died, or did not load."""
        self._until = time.monotonic() + back_off(self._deaths)
        self._deaths += 1

    def loaded(self) -> None:
        """Note that the worker is loaded again."""
        self._deaths = 0

    @property
    def left(self) -> float:
        """Seconds until the worker may be started again."""
        return max(0.0, self._until - time.monotonic())

    def wait(self) -> None:
        """Sleep until then."""
        time.sleep(self.left)
