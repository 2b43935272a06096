"""The notebook session: the models being worked on, their workers, the last Run. Every magic calls a method here."""

from __future__ import annotations

import atexit
import re
import sys
import tempfile
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlerkit import envelope as envelopes
from handlerkit.archive import Archive, read_manifest
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import HandlerkitError, LoadError, ModelError, RequestError
from handlerkit.messages import Endpoint, HeadersLike, Part, Request, Run
from handlerkit.model import Model
from handlerkit.notebook import cell
from handlerkit.notebook.payload import to_request
from handlerkit.notebook.progress import bytes_written, step
from handlerkit.notebook.results import Awaiting, Described, Exported, Ready, Written
from handlerkit.verify import Envelopes, Report, compare_envelopes, verify

#: What the worker and the server are registered with; the rest of `Session.model`'s options are Model's.
_REGISTERED = ("config_properties", "batch_size", "max_batch_delay", "response_timeout", "gpu_id")
#: The options of `%model NAME` alone.
_NO_OPTIONS: dict[str, Any] = {
    **dict.fromkeys(("handler", "serialized_file", "model_file", "requirements_file", "config_file")),
    "version": "1.0",
    "extra_files": [],
}


@dataclass
class _Entry:
    """One model of the session; `stamp` tells whether the archive is up to date."""

    name: str
    options: dict[str, Any]
    registered: dict[str, Any]
    worker: Worker | None = None
    archive: Path | None = None
    stamp: object = None
    last: Run | None = None

    def build(self) -> Model:
        if self.options.get("handler") is None:
            raise ModelError(
                f"{self.name} has no handler yet: write one in a %%handler cell, or name it with --handler"
            )
        return Model(self.name, **self.options)

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None


class Session:
    """What one notebook works on. `%model` chooses a model, the other calls go to it."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._current: _Entry | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        #: The live exception of the last failed call or load, for debuggers.
        self.last_exception: BaseException | None = None
        atexit.register(self.close)

    def model(
        self,
        name: str | None = None,
        version: str = "1.0",
        *,
        handler: str | None = None,
        serialized_file: str | None = None,
        model_file: str | None = None,
        extra_files: str | Iterable[str] = (),
        requirements_file: str | None = None,
        config_file: str | None = None,
        **registered: Any,
    ) -> Described | Awaiting:
        """Choose what the archive will hold, in torch-model-archiver's words; without a name, show the current model.

        `registered`: config_properties, batch_size, max_batch_delay, response_timeout, gpu_id, as Worker takes them.
        A name used before chooses that model again; with options, it starts that model anew. Raises ModelError when
        the files and names do not fit together.
        """
        if name is None:
            return self._facts(self._chosen())
        if unknown := set(registered) - set(_REGISTERED):
            raise TypeError(f"model() takes no {', '.join(sorted(unknown))}")
        options: dict[str, Any] = {
            "version": version,
            "handler": handler,
            "serialized_file": serialized_file,
            "model_file": model_file,
            "extra_files": [extra_files] if isinstance(extra_files, str) else list(extra_files),
            "requirements_file": requirements_file,
            "config_file": config_file,
        }
        registered = {key: value for key, value in registered.items() if value is not None}
        if name in self._entries and not registered and options == _NO_OPTIONS:
            self._current = self._entries[name]
            return self._facts(self._current)
        # a default handler stands in, so that every other slip is found now and not with the handler
        Model(name, **{**options, "handler": handler or "base_handler"})
        if (before := self._entries.pop(name, None)) is not None:
            before.close()
        entry = _Entry(name, options, registered)
        self._entries[name] = self._current = entry
        return self._facts(entry)

    def use(self, handler: str | Path | type, *, function: str | None = None) -> Ready:
        """Load a handler into the current model by TorchServe's own rule, and say what was found.

        Args:
            handler: a file, a default handler's name, or a class of a notebook cell, whose module is then the
                source of that cell.
            function: the function that is the entry point, instead of a class or `handle`.

        Without a model one is made, named after the file. Raises LoadError when the handler does not load.
        """
        name = self._write_class(handler) if isinstance(handler, type) else str(handler)
        if self._current is None:
            self.model(re.sub(r"\W", "_", Path(name).stem))
        entry = self._chosen()
        stem = name.removesuffix(".py")
        return self._load(entry, f"{stem}:{function}" if function else name)

    def module(self, file: str, source: str) -> Written:
        """Write a helper module that travels with the current model as an extra file, and load the handler again."""
        entry = self._chosen()
        path = cell.write(file, source)
        if str(path) not in entry.options["extra_files"]:
            entry.options["extra_files"].append(str(path))
        reloaded = self._load(entry, entry.options["handler"]) if entry.worker else None
        return Written(str(path), entry.name, reloaded)

    def request(
        self,
        *what: Any,
        envelope: str | None = None,
        as_tensor: bool = False,
        batch: int = 1,
        headers: HeadersLike = (),
        content_type: str | None = None,
        parts: Iterable[Part] = (),
        method: str | None = None,
        path: str | None = None,
        query: str | None = None,
    ) -> Run | Envelopes:
        """Send requests through the current model's worker.

        Args:
            what: Requests, files, or payloads: dict and list go as JSON, str that names no file as text, bytes as
                they are, a PIL image as PNG, an array as nested lists. They arrive together. With none and no parts,
                a GET without a body is sent.
            envelope: wrap each payload for this envelope, and serve with it. "all" sends each payload, one after the
                other, without an envelope and in every one, and compares the answers; `last` stays as it is.
            as_tensor: an envelope carries an image's pixels instead of its file.
            batch: send this many of each, in one batch.
            headers: added to each; a Content-Type among them takes the place of the payload's own.
            content_type: the Content-Type, instead of the one that goes with the payload; "" sends none.
            parts: the parts of one multipart/form-data request.
            method, path, query: as of Request.

        Raises RequestError for what cannot be sent, LoadError where the handler does not load.
        """
        entry = self._chosen()
        if batch < 1:
            raise RequestError(f"batch says how many of each request are sent together, 1 or more, not {batch}")
        payloads = [*what, *([Request.multipart(*form)] if (form := tuple(parts)) else [])]
        changes = {key: value for key, value in (("method", method), ("path", path), ("query", query)) if value}
        requests = [to_request(one, content_type, headers, **changes) for one in payloads or [Request("GET")]]
        worker = self._worker(entry, batch)
        if envelope == "all":
            if not payloads:
                raise RequestError("there is nothing to send in every envelope: name a file or a variable")
            return compare_envelopes(requests, worker.with_envelope, batch=batch, as_tensor=as_tensor)
        if envelope is not None:
            worker = worker.with_envelope(envelope)
            if payloads:
                requests = [envelopes.wrap(envelope, one, as_tensor=as_tensor) for one in requests]
        run = worker.predict(*(one for one in requests for _ in range(batch)))
        entry.last = run
        if run.ok:
            self.last_exception = None
        return run

    def export(
        self, folder: str | Path = "model_store", *, archive_format: str = "default", force: bool = False
    ) -> Exported:
        """Write the current model's archive. Raises ArchiveError where one is there already and `force` is not set."""
        entry = self._chosen()
        model = entry.build()
        with bytes_written(f"writing {model.name}") as progress:
            path = Archive(model, archive_format).save(folder, force=force, progress=progress)
        entry.archive, entry.stamp = path, _stamp(model)
        written = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in written)
        return Exported(Path(folder) / path.name, size, tuple(one.name for one in model.entries()))

    def verify(
        self,
        endpoint: Endpoint | str | Path | None = None,
        *,
        run: Run | None = None,
        ignore: Collection[str] = (),
        rtol: float = 0,
    ) -> Report:
        """Replay the last Run on a real TorchServe that serves the exported archive, and compare the bytes.

        Args:
            endpoint: an archive to serve instead, or any endpoint that runs already.
            run: the Run to replay; the last one of the current model.
            ignore, rtol: as of handlerkit.verify.
        """
        entry = self._chosen()
        run = run or entry.last
        if run is None:
            raise RequestError(f"nothing to verify yet: send {entry.name} a request first")
        if endpoint is not None and not isinstance(endpoint, str | Path):
            return verify(run, endpoint, ignore, rtol)
        from handlerkit.endpoints.server import Server

        archive = Path(endpoint) if endpoint is not None else self._archive(entry)
        envelope = run.calls[0].envelope if run.calls else None
        config = dict(entry.registered.get("config_properties") or {})
        if envelope:
            config["service_envelope"] = envelope
        registered = {
            key: value for key, value in entry.registered.items() if key not in ("gpu_id", "config_properties")
        }
        if entry.worker is not None:
            registered["batch_size"] = entry.worker.batch_size  # --batch may have raised it
        with (
            step("starting TorchServe") as progress,
            Server([archive], config, progress=progress, **registered) as server,
        ):
            progress(f"sending {len(run.requests)} request(s)")
            return verify(run, server, ignore, rtol)

    @property
    def worker(self) -> Worker:
        """The worker of the current model."""
        return self._worker(self._chosen())

    @property
    def last(self) -> Run | None:
        """The last Run of the current model."""
        return self._chosen().last

    def close(self) -> None:
        """Forget every model and remove what was staged for them."""
        for entry in self._entries.values():
            entry.close()
        self._entries.clear()
        self._current = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _chosen(self) -> _Entry:
        if self._current is None:
            raise ModelError("there is no model yet: name one with %model NAME, or write a %%handler cell")
        return self._current

    def _facts(self, entry: _Entry) -> Described | Awaiting:
        if entry.options["handler"] is not None:
            return Described.of(entry.build())
        standin = Model(entry.name, **{**entry.options, "handler": "base_handler"})
        return Awaiting(entry.name, tuple(one.name for one in standin.entries()))

    def _load(self, entry: _Entry, handler: str) -> Ready:
        """Load the handler afresh; what was loaded before is gone, also where the new one does not load."""
        again = entry.worker is not None
        entry.close()
        entry.options["handler"] = handler
        begun = time.perf_counter()
        worker = self._worker(entry)
        seconds = time.perf_counter() - begun
        logs = tuple(line.text for line in worker.load_logs if not line.text.startswith("[METRICS]"))
        reason = "loaded again" if again else "loaded"
        return Ready(entry.name, worker.entry_point, reason, seconds, logs, tuple(worker.load_findings))

    def _worker(self, entry: _Entry, batch: int = 1) -> Worker:
        """The model's worker, which takes batches of at least this size."""
        if entry.worker is not None and entry.worker.batch_size >= batch:
            return entry.worker
        entry.close()
        options = dict(entry.registered)
        if batch > 1:
            options["batch_size"] = max(batch, int(options.get("batch_size") or 1))
        try:
            entry.worker = Worker(entry.build(), **options)
        except LoadError as problem:
            self._keep(problem.__cause__ or problem)
            raise
        entry.worker.on_exception = self._keep
        return entry.worker

    def _keep(self, error: BaseException) -> None:
        """Hold the live exception where %debug and pdb.pm() look for it."""
        self.last_exception = error
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
        if sys.version_info >= (3, 12):
            sys.last_exc = error
        ipython = sys.modules.get("IPython")
        if ipython is not None and (shell := ipython.get_ipython()) is not None:
            shell.InteractiveTB.tb = error.__traceback__

    def _archive(self, entry: _Entry) -> Path:
        if entry.archive is None:
            raise HandlerkitError(f"{entry.name} is not exported yet: run %export first, or name an archive to verify")
        if entry.stamp != _stamp(entry.build()):
            raise HandlerkitError(
                f"{entry.name} has changed since {entry.archive.name} was written: run %export --force again"
            )
        read_manifest(entry.archive)  # one sentence, if it is gone or no archive any more
        return entry.archive

    def _write_class(self, kind: type) -> str:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="handlerkit-")
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
        return str(cell.write(Path(self._folder.name, f"{name}.py"), cell.module_source(kind)))


def _stamp(model: Model) -> object:
    """Changes when the manifest or a file of the archive does."""
    files = [(entry.name, (stat := entry.source.stat()).st_mtime_ns, stat.st_size) for entry in model.entries()]
    return model.manifest()["model"], files


#: The one session of this notebook.
session = Session()
