"""The notebook session: the models being worked on, their workers, the last Run. Every magic calls a method here."""

from __future__ import annotations

import atexit
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlerkit import envelope as envelopes
from handlerkit.archive import Archive
from handlerkit.bench import Bench
from handlerkit.check import Check, check
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import HandlerkitError, ModelError, RequestError
from handlerkit.folders import OwnFolder
from handlerkit.messages import Endpoint, Geometry, HeadersLike, Part, Request, Run
from handlerkit.model import READY_MADE_MODULE, Model, PathLike, ready_made
from handlerkit.notebook import bench_runs, cell, previews
from handlerkit.notebook.export_checks import before_export, refuse_errors, requirements_written
from handlerkit.notebook.payload import to_request
from handlerkit.notebook.previews import Previews, Saved
from handlerkit.notebook.progress import bytes_written
from handlerkit.notebook.results import Awaiting, Described, Exported, Ready, Written
from handlerkit.notebook.session_model import SessionModel, envelope_of, fingerprint
from handlerkit.notebook.verify_server import VerifyServer
from handlerkit.targets import NAMES, find
from handlerkit.unpack import Unpacked
from handlerkit.verify import Envelopes, Report, compare_envelopes, verify
from handlerkit.view.diff.comparison import Comparison, compare
from handlerkit.view.preview.preview import Preview
from handlerkit.view.shown_run import ShownRun, shown_as_of

if TYPE_CHECKING:
    from handlerkit.endpoints.server import Server

#: What the worker and the server are registered with; the rest of `Session.model`'s options are Model's.
_REGISTERED = ("config_properties", "batch_size", "max_batch_delay", "response_timeout", "gpu_id")
#: The options of `%model NAME` alone.
_NO_OPTIONS: dict[str, Any] = {
    **dict.fromkeys(("handler", "serialized_file", "model_file", "requirements_file", "config_file")),
    "version": "1.0",
    "extra_files": [],
}


class Session:
    """What one notebook works on. `%model` chooses a model, the other calls go to it."""

    def __init__(self) -> None:
        self._entries: dict[str, SessionModel] = {}
        self._current: SessionModel | None = None
        self._folder: OwnFolder | None = None
        self._standby = VerifyServer()
        self._previews = Previews()
        #: Called with a model's name after its handler was loaded.
        self.on_load: list[Callable[[str], object]] = [self._previews.again]
        #: The live exception of the last failed call or load, for debuggers.
        self.last_exception: BaseException | None = None
        atexit.register(self.close)

    def model(
        self,
        name: str | Model | None = None,
        version: str = "1.0",
        *,
        archive: PathLike | None = None,
        handler: str | None = None,
        serialized_file: str | None = None,
        model_file: str | None = None,
        extra_files: str | Iterable[str] = (),
        requirements_file: str | None = None,
        config_file: str | None = None,
        target: PathLike | None = None,
        **registered: Any,
    ) -> Described | Awaiting:
        """Choose what the archive will hold, in torch-model-archiver's words; with no argument, show the current model.

        A Model in the place of the name, or an `archive` (`.mar`, `.tar.gz` or a folder), brings its own name, version
        and files. An archive is unpacked into a temporary folder, for as long as the session has the model.
        `target` is the environment that `check`, `export`, `verify` and `bench` mean where they are given none
        ("declared"), as of handlerkit.Server.
        `registered`: config_properties, batch_size, max_batch_delay, response_timeout, gpu_id, as Worker takes them.
        A name used before chooses that model again; with a version or files, it starts that model anew. `target` and
        `registered` alone change a model that is there, the current one without a name, and leave its files. Raises
        ModelError when the files and names do not fit together, ArchiveError for what is no archive or one that
        unpack() would refuse, TargetError for a target that is not known.
        """
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
        given = [key for key, value in options.items() if value != _NO_OPTIONS[key]]
        where = _existing_target(target, "declared")
        if (archive is not None or isinstance(name, Model)) and given:
            raise ModelError("a Model and an archive bring their own version and files: leave the other options out")
        if archive is not None:
            if isinstance(name, Model):
                raise ModelError("a Model has its own files: leave the archive out")
            return self._begin(self._unpacked(archive, name, registered, where))
        if isinstance(name, Model):
            return self._begin(SessionModel(name.name, name.options(), registered, self._keep, where))
        if name is None and given:
            raise ModelError(
                f"name the model: %model NAME {' '.join(f'--{key} ...' for key in given).replace('_', '-')}"
            )
        if name is not None and name.endswith(".mar"):
            raise ModelError(f"{name} names an archive: use %model --archive {name}")
        if name is None or (name in self._entries and not given):
            self._current = self._chosen() if name is None else self._entries[name]
            self._current.register(registered, _existing_target(target, self._current.target))
            return self._current.facts()
        # a default handler stands in, so that every other slip is found now and not with the handler
        Model(name, **{**options, "handler": handler or "base_handler"})
        return self._begin(SessionModel(name, options, registered, self._keep, where))

    def use(
        self,
        handler: str | Path | type,
        *,
        function: str | None = None,
        from_: str | None = None,
        reload: bool = False,
    ) -> Ready:
        """Load a handler into the current model by TorchServe's own rule, and say what was found.

        Where it is loaded already, the loaded model is kept if that answers as a new load would (Worker.reload).

        Args:
            handler: a file, a default handler's name, a ready-made one such as "handlerkit:classifier", or a class of
                a notebook cell, whose module is then the source of that cell.
            function: the function that is the entry point, instead of a class or `handle`.
            from_: the ready-made handler that the file was begun with: the module it needs travels along, and a file
                that is not there yet is written with its source.
            reload: load it anew in any case.

        Without a model one is made, named after the file. Raises LoadError when the handler does not load.
        """
        name = self._write_class(handler) if isinstance(handler, type) else str(handler)
        if self._current is None:
            self.model(re.sub(r"\W", "_", Path(name).stem))
        entry = self._chosen()
        if from_ is not None:
            source = ready_made(from_).read_text()
            if not Path(name).with_suffix(".py").is_file():
                cell.write(name, "\n" + source)  # as a %%handler cell is written
            if str(READY_MADE_MODULE) not in entry.options["extra_files"]:
                entry.options["extra_files"].append(str(READY_MADE_MODULE))
        stem = name.removesuffix(".py")
        entry.make_room(Path(f"{stem}.py"))
        return self._load(entry, f"{stem}:{function}" if function else name, force=reload)

    def module(self, file: str, source: str) -> Written:
        """Write a helper module that travels with the current model as an extra file, and load the handler again."""
        entry = self._chosen()
        path = cell.write(file, source)
        entry.make_room(path)
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
        against: Run | str | None = None,
        shown_as: str = "",
        geometry: str = "",
        debug: bool = False,
    ) -> Run | Envelopes | Comparison:
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
            against: compare the answers with those of this Run; "previous": of the model's last one.
            shown_as: the name of the view that shows the answers, instead of the one that fits.
            geometry: what the handler does to an input image: "stretch", or such as "resize 256 crop 224".
            debug: load the handler in this process for this request, where breakpoint() stops and %debug opens the
                exception that it raised. Little is isolated then: see Worker's `in_process`.

        Raises RequestError for what cannot be sent, LoadError where the handler does not load.
        """
        entry = self._chosen()
        if batch < 1:
            raise RequestError(f"batch says how many of each request are sent together, 1 or more, not {batch}")
        payloads = [*what, *([Request.multipart(*form)] if (form := tuple(parts)) else [])]
        changes = {key: value for key, value in (("method", method), ("path", path), ("query", query)) if value}
        requests = [to_request(one, content_type, headers, **changes) for one in payloads or [Request("GET")]]
        shown, before = _shown(shown_as, geometry), entry.compared_with(against)
        worker = entry.serve_here(batch) if debug else entry.serve(batch)
        with worker if debug else nullcontext():
            if envelope == "all":
                if not payloads:
                    raise RequestError("there is nothing to send in every envelope: name a file or a variable")
                return compare_envelopes(requests, worker.with_envelope, batch=batch, as_tensor=as_tensor)
            asked = worker
            if envelope is not None:
                asked = worker.with_envelope(envelope)
                if payloads:
                    requests = [envelopes.wrap(envelope, one, as_tensor=as_tensor) for one in requests]
            run = ShownRun.of(asked.predict(*(one for one in requests for _ in range(batch))), *shown)
        entry.last = run
        if run.ok:
            self.last_exception = None
        return compare(before, run) if before is not None else run

    def check(self, archive: str | Path | None = None, *, target: PathLike | None = None) -> Check:
        """Say what would fail where the current model, or an archive, will run. Nothing is written.

        Args:
            archive: instead of the current model, whose last Run says what was seen while it ran.
            target: the environment it is checked for, as of handlerkit.check; the model's own without it.

        Raises ModelError where there is neither, ArchiveError for what is no archive, TargetError for a target that is
        not known.
        """
        where = _existing_target(target, self._current.target if self._current else "declared")
        if archive is not None:
            return check(archive, target=where)
        entry = self._chosen()
        return check(entry.build(), target=where, runs=entry.runs)

    def export(
        self,
        folder: str | Path = "model_store",
        *,
        archive_format: str = "default",
        force: bool = False,
        strict: bool = False,
        requirements: str | None = None,
        target: PathLike | None = None,
    ) -> Exported:
        """Check the current model, and write its archive; what was never loaded is loaded to tell whether it does.

        Args:
            folder: where to; it is created.
            archive_format: default, zip-store, tgz or no-archive.
            force: replace an archive that is there.
            strict: write nothing if the check finds an error, or the handler does not load.
            requirements: "auto" writes the requirements file that the check asks for, with the versions installed here,
                to NAME-requirements.txt, and puts it into the archive.
            target: the environment it is checked for, as of handlerkit.check; the model's own without it.

        Raises ArchiveError where an archive is there already, and for what `strict` refuses; TargetError for a target
        that is not known; ModelError where the model has another requirements file than "auto" writes.
        """
        if requirements not in (None, "auto"):
            raise ModelError(f"requirements is 'auto' or None, not {requirements!r}: a file is named to the model")
        entry = self._chosen()
        target, notes = _existing_target(target, entry.target), []
        with ExitStack() as stack:
            if requirements:
                notes.append(stack.enter_context(requirements_written(entry, target)))
            model = entry.build()
            checked = before_export(model, target, entry.runs)
            if failure := entry.load_failure():
                notes.append(failure)
            if strict:
                refuse_errors(model, checked, failure)
            progress = stack.enter_context(bytes_written(f"writing {model.name}"))
            path = Archive(model, archive_format).save(folder, force=force, progress=progress)
        entry.archive, entry.fingerprint = path, fingerprint(model)
        written = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in written)
        names = tuple(one.name for one in model.entries())
        notes += filter(None, [checked.problem])
        return Exported(Path(folder) / path.name, size, names, checked.check, tuple(notes))

    def verify(
        self,
        endpoint: Endpoint | str | Path | None = None,
        *,
        run: Run | None = None,
        ignore: Collection[str] = (),
        rtol: float = 0,
        target: PathLike | None = None,
    ) -> Report:
        """Replay the last Run on a real TorchServe that serves the exported archive, and compare the bytes.

        TorchServe stays up for the next check, until `server.stop()`, `close()` or the end of this process.

        Args:
            endpoint: an archive to serve instead, or any endpoint that runs already.
            run: the Run to replay; the last one of the current model.
            ignore, rtol: as of handlerkit.verify.
            target: the environment that TorchServe runs in, as of handlerkit.Server; the model's own without it.

        Raises TargetError for a target that is not known, and where its environment cannot be made.
        """
        entry = self._chosen()
        where = _existing_target(target, entry.target)
        run = run or entry.last
        if run is None:
            raise RequestError(f"nothing to verify yet: send {entry.name} a request first")
        if endpoint is not None and not isinstance(endpoint, str | Path):
            return verify(run, endpoint, ignore, rtol)
        archive = Path(endpoint) if endpoint is not None else entry.written_archive()
        registered = entry.served(envelope_of(run)) | {"target": where}
        if entry.worker is not None:
            registered["batch_size"] = entry.worker.batch_size  # --batch may have raised it
        return self._standby.verify(run, archive, registered, ignore, rtol)

    @property
    def server(self) -> Server:
        """The TorchServe that `verify` keeps up from check to check: `server.log()` tells what it did, and after
        `server.stop()` the next check starts it again. Raises ServerError before the first check."""
        return self._standby.server

    def bench(
        self,
        *what: Any,
        batch_sizes: Sequence[int] = (1,),
        repeats: int = 50,
        warm_up: int = 3,
        against: str | None = None,
        endpoint: Endpoint | str | None = None,
        concurrency: int | None = None,
        profile: bool = False,
    ) -> Bench:
        """Measure the current model: each sample at each batch size, `repeats` times after `warm_up` times.

        Args:
            what: files and payloads, as `request` takes them; without any, the requests of the last Run again.
            against: measure an earlier version of the handler beside it, call by call: "previous", the name of a
                handler file loaded before, or of another model of this session.
            endpoint: "server" measures a real TorchServe that serves the model, or any endpoint that runs already.
            concurrency: the clients that send to that at the same time; as many as the largest batch holds.
            profile: look inside: torch's operators, a chrome trace, and the lines of the handler's code.

        Ctrl-C ends it, and what was measured until then is returned. Raises RequestError for nothing to send,
        ResponseError where the first answer is no success, ModelError where there is nothing to compare with.
        """
        entry = self._chosen()
        replayed = entry.last if not what else None
        samples = dict.fromkeys(replayed.requests if replayed else map(to_request, what))
        envelope = envelope_of(replayed)
        plan = bench_runs.Plan(tuple(samples), tuple(batch_sizes), repeats, warm_up)
        if endpoint is not None:
            if against or profile:
                raise HandlerkitError("against and profile look into this process: leave them or the endpoint out")
            return bench_runs.served(plan, endpoint, entry.build(), entry.served(envelope), concurrency)
        worker = entry.serve(max(plan.batch_sizes, default=1))
        asked = worker.with_envelope(envelope) if envelope else worker
        other = None if against is None else (against, entry.earlier(against, self._entries, envelope))
        found = bench_runs.in_process(plan, asked, other)
        return bench_runs.profiled(found, plan, asked) if profile else found

    def preview(
        self,
        *what: Any,
        envelope: str | None = None,
        shown_as: str = "",
        geometry: str = "",
        save: str | Path | None = None,
    ) -> Preview | Saved:
        """The current model as an interactive display: choose, drop or upload a sample, and play with its answer.

        It runs again whenever the handler is loaded. What it sends is the model's `last` Run. A model has one live
        preview: the one before shows its static display from then on.

        Args:
            what: samples as `request` takes them, and folders of pictures; without any, the last requests.
            envelope, shown_as, geometry: as of `request`.
            save: write a page that works offline: with the answers to `what`, or else those of the live preview.

        Raises RequestError for what cannot be sent, LoadError where the handler does not load.
        """
        entry = self._chosen()
        name, live = entry.name, self._previews.of(entry.name)
        if save is not None and live is not None and not what:
            return previews.saved(live, save, every=False)
        last = entry.last if not what else None
        shown = _shown(shown_as or (shown_as_of(last) if last else ""), geometry)
        envelope = envelope or envelope_of(last)

        def wrap(request: Request) -> Request:
            return envelopes.wrap(envelope, request) if envelope else request

        def predict(request: Request) -> Run:
            asked = self._entries.get(name, entry)  # %model may have begun it anew
            worker = asked.serve()
            asked.last = ShownRun.of((worker.with_envelope(envelope) if envelope else worker).predict(request), *shown)
            return asked.last

        samples = dict.fromkeys(last.requests) if last else previews.requests(what, wrap)
        preview = Preview(samples, predict, wrap=wrap, title=name)
        if save is not None:
            return previews.saved(preview, save, every=True)
        return self._previews.open(name, preview)

    @property
    def worker(self) -> Worker:
        """The worker of the current model."""
        return self._chosen().serve()

    @property
    def last(self) -> Run | None:
        """The last Run of the current model."""
        return self._chosen().last

    def close(self) -> None:
        """Forget every model, remove what was staged for them, and end the TorchServe that `verify` keeps up."""
        self._standby.stop()
        self._previews.close_all()
        for entry in self._entries.values():
            entry.discard()
        self._entries.clear()
        self._current = None
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def _chosen(self) -> SessionModel:
        if self._current is None:
            raise ModelError("there is no model yet: name one with %model NAME, or write a %%handler cell")
        return self._current

    def _unpacked(
        self, archive: PathLike, name: str | None, registered: dict[str, Any], target: PathLike
    ) -> SessionModel:
        """The model of an archive, which `name` may name anew; the archive is up to date with it."""
        unpacked = Unpacked(archive)
        try:
            options = unpacked.model.options()
            entry = SessionModel(
                name or unpacked.model.name, options, registered, self._keep, target, unpacked=unpacked
            )
            entry.fingerprint = fingerprint(entry.build())
        except BaseException:
            unpacked.close()
            raise
        if entry.name == unpacked.model.name:
            entry.archive = Path(archive).expanduser()
        return entry

    def _begin(self, entry: SessionModel) -> Described | Awaiting:
        """Take it for the current model, in the place of one of its name."""
        if (before := self._entries.pop(entry.name, None)) is not None:
            before.discard()
        self._entries[entry.name] = self._current = entry
        return entry.facts()

    def _load(self, entry: SessionModel, handler: str, *, force: bool = False) -> Ready:
        ready = entry.load(handler, force=force)
        for hook in self.on_load:
            hook(entry.name)
        return ready

    def _keep(self, error: BaseException) -> None:
        """Hold the live exception where %debug and pdb.pm() look for it."""
        self.last_exception = error
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
        if sys.version_info >= (3, 12):
            sys.last_exc = error
        ipython = sys.modules.get("IPython")
        if ipython is not None and (shell := ipython.get_ipython()) is not None:
            shell.InteractiveTB.tb = error.__traceback__

    def _write_class(self, kind: type) -> str:
        if self._folder is None:
            self._folder = OwnFolder()
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
        return str(cell.write(Path(self._folder.path, f"{name}.py"), cell.module_source(kind)))


def _existing_target(name: PathLike | None, default: PathLike) -> PathLike:
    """A target's name, or its file wherever this process goes; the default one without a name. Raises TargetError for
    one that is not known."""
    if name is None:
        return default
    find(name)
    return name if name in NAMES else Path(name).expanduser().absolute()


def _shown(shown_as: str, geometry: str) -> tuple[str, Geometry | None]:
    """What the user says of a Run's display. Raises RequestError for a name or a geometry that is none."""
    from handlerkit import view

    if shown_as and shown_as not in view.names():
        raise RequestError(f"there is no view {shown_as!r}: choose one of {', '.join(view.names())}")
    try:
        return shown_as, Geometry.parse(geometry) if geometry else None
    except ValueError as problem:
        raise RequestError(str(problem)) from None


#: The one session of this notebook.
session = Session()
