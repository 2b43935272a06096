"""One model of the session: its options, the worker that serves it, its archive, its last Run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handlerkit.endpoints.worker import Worker
from handlerkit.errors import HandlerkitError, LoadError, ModelError, RequestError
from handlerkit.messages import Endpoint, Request, Run
from handlerkit.model import Model, PathLike
from handlerkit.notebook.results import Awaiting, Described, Ready
from handlerkit.notebook.versions import Versions
from handlerkit.serving.config import whole_number
from handlerkit.serving.torchserve_facts import METRIC
from handlerkit.unpack import Unpacked, read_manifest
from handlerkit.view.decode.colors import ClassColors
from handlerkit.worker_process.hot_reload.reload import Reload

#: What a model is registered with: the arguments of Worker that %model takes, too.
REGISTERED = ("config_properties", "batch_size", "max_batch_delay", "response_timeout", "gpu_id", "environment")


@dataclass
class SessionModel:
    """One model.

    Attributes:
        name: as of Model.
        options: the other arguments of Model.
        registered: those of REGISTERED that are given.
        keep: called with the live exception of a failed call or load.
        target: where the archive will run.
        archiver: what %model said about %export.
        worker: the one that serves it; None until it is needed.
        archive: the one that was written, or that it came from.
        fingerprint: of the files in that archive.
        failure: the fingerprint of files that did not load, and why.
        last: its last Run.
        versions: the handlers that were loaded.
        colors: those of its classes in all displays.
        unpacked: holds the files of a model that came out of an archive.
        lock: whoever has it is alone with the worker, which clients of %serve use in another thread.
    """

    name: str
    options: dict[str, Any]
    registered: dict[str, Any]
    keep: Callable[[BaseException], None]
    target: PathLike = "declared"
    archiver: dict[str, Any] = field(default_factory=dict)
    worker: Worker | None = None
    archive: Path | None = None
    fingerprint: object = None
    failure: tuple[object, str] | None = None
    last: Run | None = None
    versions: Versions = field(default_factory=Versions)
    colors: ClassColors = field(default_factory=ClassColors)
    unpacked: Unpacked | None = None
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def build(self) -> Model:
        """The model as it is now. Raises ModelError."""
        if self.options.get("handler") is None:
            raise ModelError(
                f"{self.name} has no handler yet: write one in a %%handler cell, or name it with --handler"
            )
        return Model(self.name, **self.options)

    @property
    def address(self) -> tuple[str, str]:
        """Where clients of a server send its requests: the server's URL, and the model's name."""
        config = self.registered.get("config_properties") or {}
        return config.get("inference_address", Request().sent_to[0]), self.name

    @property
    def runs(self) -> tuple[Run, ...]:
        """What is known of it while it ran: the last Run."""
        return (self.last,) if self.last is not None else ()

    def facts(self, note: str = "") -> Described | Awaiting:
        """What the archive will hold, and where it will run."""
        target = Path(self.target).name
        if self.options["handler"] is not None:
            return Described.of(self.build(), target)
        standin = Model(self.name, **{**self.options, "handler": "base_handler"})
        return Awaiting(self.name, tuple(one.name for one in standin.entries()), target, note)

    def register(self, registered: dict[str, Any], target: PathLike) -> None:
        """Change how it is registered and where it will run; its files stay as they are."""
        with self.lock:
            if (changed := self.registered | registered) != self.registered:
                self.close()
            self.registered, self.target = changed, target

    def served(self, envelope: str | None) -> dict[str, Any]:
        """The arguments of a Server that registers this model as its worker does, with this envelope."""
        config = {**(self.registered.get("config_properties") or {})}
        if envelope:
            config["service_envelope"] = envelope
        kept = {key: value for key, value in self.registered.items() if key != "gpu_id"}
        return kept | {"config_properties": config, "target": self.target}

    def load(self, handler: str, *, force: bool = False) -> Ready:
        """Load the handler, or put what changed into the loaded one. If it raises LoadError, the one before is gone."""
        begun = time.perf_counter()
        with self.lock:
            self.options["handler"] = handler
            other = self._registration_change()
            if self.worker is None or other:
                self.close()
                worker, reason = self.serve(), str(Reload(False, other)) if other else "loaded"
            else:
                worker = self.worker
                try:
                    reason = str(worker.reload(force=force))
                except LoadError as problem:
                    self.close()
                    self._failed(problem)
                    raise
                self.versions.record(worker.model)
        seconds = time.perf_counter() - begun
        logs = tuple(line.text for line in worker.load_logs if not line.text.startswith(METRIC))
        return Ready(self.name, worker.entry_point, reason, seconds, logs, worker.load_findings)

    def serve(self, batch: int = 1) -> Worker:
        """The model's worker, registered for batches of at least this size. Raises LoadError."""
        with self.lock:
            return self._serve(batch)

    def _serve(self, batch: int) -> Worker:
        if self.worker is not None:
            self._follow(self.worker)
        settings = self.worker.settings if self.worker is not None else self.build().settings()
        usual = self.registered.get("batch_size") or whole_number(settings, "batchSize")
        size = max(batch, usual)
        if self.worker is not None and self.worker.batch_size == size:
            return self.worker
        try:
            if self.worker is None or self._registration_change():
                self.close()
                own = {"batch_size": size} if size != usual else {}
                self.worker = Worker(self.build(), **self.registered | own)
            else:
                self.worker.reload(batch_size=size)
        except LoadError as problem:
            self.close()
            self._failed(problem)
            raise
        self.failure = None
        self.worker.on_exception = self.keep
        self.versions.record(self.worker.model)
        return self.worker

    def _follow(self, worker: Worker) -> None:
        """Read files again that changed on disk. Raises LoadError; the worker is kept if its handler is."""
        try:
            reloaded = worker.refresh() if worker.follows_files else None
        except LoadError as problem:
            if not worker.entry_point:
                self.close()
            self._failed(problem)
            raise
        if reloaded is not None:
            self.versions.record(worker.model)

    @contextmanager
    def lend(self, batch: int = 1) -> Iterator[Worker]:
        """The worker, as of `serve`; inside the block nobody else changes it."""
        with self.lock:
            yield self.serve(batch)

    def serve_here(self, batch: int = 1) -> Worker:
        """One in this process, for a debugger; the caller closes it. Raises LoadError."""
        model = self.build()
        usual = self.registered.get("batch_size") or whole_number(model.settings(), "batchSize")
        try:
            worker = Worker(model, **{**self.registered, "batch_size": max(batch, usual)}, in_process=True)
        except LoadError as problem:
            self._failed(problem)
            raise
        worker.on_exception = self.keep
        return worker

    def earlier(
        self, name: str, models: Mapping[str, SessionModel], envelope: str | None, batch_size: int
    ) -> AbstractContextManager[Endpoint]:
        """What opens a worker of an earlier version, or of another of these models, for batches of this size."""
        if name in models and models[name] is not self:
            other = models[name].serve(batch_size)
            return nullcontext(other.with_envelope(envelope) if envelope else other)
        options = {**self.registered, "batch_size": batch_size}
        return self.versions.find(name).serve(self.build(), options, envelope)

    def compared_with(self, against: Run | str | None) -> Run | None:
        """The Run that answers are compared with. Raises RequestError if there is none."""
        if against != "previous":
            if against is not None and not isinstance(against, Run):
                raise RequestError(f"answers are compared with a Run, or with 'previous', not with {against!r}")
            return against
        if self.last is None:
            raise RequestError(f"nothing to compare with yet: send {self.name} a request first")
        return self.last

    def written_archive(self) -> Path:
        """The archive. Raises HandlerkitError if there is none, or one of an earlier model."""
        if self.archive is None:
            raise HandlerkitError(
                self.advice or f"{self.name} is not exported yet: run %export first, or name an archive to verify"
            )
        if self.fingerprint != fingerprint(self.build()):
            raise HandlerkitError(
                self.advice
                or f"{self.name} has changed since {self.archive.name} was written: run %export --force again"
            )
        read_manifest(self.archive)  # raises ArchiveError if it is gone, or no longer an archive
        return self.archive

    def make_room(self, file: Path) -> None:
        """Let the user's own file replace one of the same name that came out of an archive."""
        if self.unpacked is not None and file.is_file():
            self.unpacked.give_way(file)

    def discard(self) -> None:
        """Forget the worker, and remove what was unpacked."""
        self.close()
        if self.unpacked is not None:
            self.unpacked.close()

    def close(self) -> None:
        """Forget the worker."""
        with self.lock:
            if self.worker is not None:
                self.worker.close()
                self.worker = None

    def load_failure(self) -> str:
        """The sentence that its files do not load as they are now, or "" if they do; tries it first if need be."""
        if not self._known_failure:
            with suppress(LoadError):  # it is kept as `failure`
                self.serve()
        return self._known_failure

    @property
    def advice(self) -> str:
        """What to do if its files are known not to load; "" otherwise."""
        failure = self._known_failure
        return failure and f"{failure}; correct the handler, and export it again"

    @property
    def _known_failure(self) -> str:
        if self.failure is None or self.failure[0] != fingerprint(self.build()):
            return ""
        return self.failure[1]

    def _failed(self, problem: LoadError) -> None:
        why = f": {problem.error.type}: {problem.error.message}" if problem.error else ""
        self.failure = fingerprint(self.build()), " ".join(f"{problem.args[0]}{why}".split())
        if problem.__cause__ is not None:
            self.keep(problem.__cause__)

    def _registration_change(self) -> str:
        """What differs from the model that the worker was registered with; "" if only files' contents do."""
        if self.worker is None:
            return ""
        model, before = self.build(), self.worker.model
        if model.handler != before.handler or model.handler_file != before.handler_file:
            return "another handler"
        if changed := [name for name, value in vars(model).items() if value != getattr(before, name)]:
            return f"{', '.join(changed)} changed"
        return "the config file changed" if model.settings() != self.worker.settings else ""


def envelope_of(run: Run | None) -> str | None:
    """The envelope that a Run was served with."""
    return run.calls[0].envelope if run and run.calls else None


def fingerprint(model: Model) -> object:
    """Changes when the manifest or a file of the archive does."""
    files = [(entry.name, (stat := entry.source.stat()).st_mtime_ns, stat.st_size) for entry in model.entries()]
    return model.manifest()["model"], files
