"""The notebook session: the models being worked on, their workers, the last Run. Every magic calls a method here."""

from __future__ import annotations

import atexit
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from handlerkit.bench import Bench
from handlerkit.cases import Case, CaseReport, keep
from handlerkit.cases import accept as accept_answers
from handlerkit.check import Check, check
from handlerkit.endpoints.lent.served_runs import ServedRuns
from handlerkit.endpoints.worker import Worker
from handlerkit.endpoints.worker_server import WorkerServer
from handlerkit.errors import CaseError, HandlerkitError, ModelError, RequestError
from handlerkit.folders import OwnFolder
from handlerkit.messages import Endpoint, HeadersLike, Part, Request, Run
from handlerkit.messages.texts import name_of
from handlerkit.model import Model, PathLike, ready_made, ready_made_modules
from handlerkit.notebook import bench_runs, case_runs, cell, exports, other_endpoints, project
from handlerkit.notebook.client_server import ClientServer
from handlerkit.notebook.live import LiveDisplay
from handlerkit.notebook.models import NO_OPTIONS, SessionModels
from handlerkit.notebook.previews import Previews, Saved
from handlerkit.notebook.project_save import save
from handlerkit.notebook.requests import display, send, to_requests
from handlerkit.notebook.results import Awaiting, Described, Exported, ExportedApp, Ready, SavedModel, Written
from handlerkit.notebook.session_model import REGISTERED, SessionModel, envelope_of
from handlerkit.notebook.verify_server import VerifyServer
from handlerkit.unpack import is_archive
from handlerkit.verify import Envelopes, MayDiffer, Report
from handlerkit.view.cases import write_report
from handlerkit.view.diff.comparison import Comparison, compare
from handlerkit.view.preview.preview import Preview
from handlerkit.view.shown_run import ShownRun

if TYPE_CHECKING:
    from handlerkit.endpoints.server import Server

#: What `Session.export` does if nothing else is said.
_EXPORT: dict[str, Any] = {"folder": "model_store", "archive_format": "default", "force": False}


class Session:
    """What one notebook works on. `%model` chooses a model, the other calls go to it.

    Args:
        magics: whether its user has magics, which displays may name.
    """

    def __init__(self, *, magics: bool = True) -> None:
        self._models = SessionModels(self._keep)
        self._folder: OwnFolder | None = None
        self._verify_server = VerifyServer()
        self._client_server = ClientServer()
        self._previews = Previews(offered=not magics)
        #: What the cell shows of the last requests while they are answered.
        self.live = LiveDisplay(())
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
        file: PathLike | None = None,
        archive: PathLike | None = None,
        handler: str | None = None,
        serialized_file: str | None = None,
        model_file: str | None = None,
        extra_files: str | Iterable[str] = (),
        requirements_file: str | None = None,
        config_file: str | None = None,
        runtime: str = "python",
        target: PathLike | None = None,
        export_path: PathLike | None = None,
        archive_format: str | None = None,
        force: bool = False,
        **registered: Any,
    ) -> Described | Awaiting:
        """Choose what the archive will hold, with torch-model-archiver's options; with no argument, show the current
        model.

        Args:
            name: a Model brings its own version and files. A name used before chooses that model again; with a version
                or files, it starts that model again.
            file: a handlerkit.toml or pyproject.toml that describes the model, in place of all the others; with a name,
                the one of that name in it. See `save`.
            archive: a `.mar`, `.tar.gz` or folder that brings its own name, version and files. It is unpacked into a
                temporary folder, which is kept as long as the session has the model.
            version, handler, serialized_file, model_file, extra_files, requirements_file, config_file, runtime: as of
                Model.
            target: the environment that `check`, `export`, `verify` and `bench` use if they are given none, as of
                handlerkit.Server ("declared").
            export_path, archive_format, force: what `export` does if it is not told: its folder, archive_format and
                force.
            registered: config_properties, batch_size, max_batch_delay, response_timeout, gpu_id, environment, as Worker
                takes them.

        `target`, the three of `export` and `registered` alone change a model that exists, the current one without a
        name, and leave its files. Raises ModelError if the files and names do not fit together, ArchiveError for what
        is no archive or one that unpack() would refuse, TargetError for an unknown target.
        """
        if unknown := set(registered) - set(REGISTERED):
            raise TypeError(f"model() takes no {', '.join(sorted(unknown))}")
        given = {key: value for key, value in registered.items() if value is not None}
        options: dict[str, Any] = {
            "version": version,
            "handler": handler,
            "serialized_file": serialized_file,
            "model_file": model_file,
            "extra_files": [extra_files] if isinstance(extra_files, str) else list(extra_files),
            "requirements_file": requirements_file,
            "config_file": config_file,
            "runtime": runtime,
        }
        archiver = {"folder": export_path, "archive_format": archive_format, "force": force or None}
        archiver = {key: value for key, value in archiver.items() if value is not None}
        if file is not None:
            if isinstance(name, Model) or archive or target or given or archiver or options != NO_OPTIONS:
                raise ModelError(f"{file} says all of the model: leave the other options out, or change the file")
            return self.model(**project.choose(file, name))
        return self._models.choose(name, archive, options, registered=given, archiver=archiver, target=target)

    def save(self, file: PathLike = "handlerkit.toml") -> SavedModel:
        """Describe the current model in a file, in the words of %model, for the command line and for `model(file=...)`.

        Args:
            file: a handlerkit.toml, or a pyproject.toml, whose table [tool.handlerkit] is written. What it says about
                other models, and its comments, stay. Paths are relative to its folder. A variable of the model's
                environment that has the value it has here is written without it.

        Raises ModelError for a file that cannot be read or written, or describes another model alone, and for a model
        whose files lie in a temporary folder: a class of a plain cell, an archive that was changed since.
        """
        model = self._models.current
        return SavedModel(save(model, file, self._folder.path if self._folder else None), model.name)

    def use(
        self,
        handler: str | Path | type,
        *,
        function: str | None = None,
        from_: str | None = None,
        reload: bool = False,
    ) -> Ready:
        """Load a handler into the current model by TorchServe's own rule, and say what was found.

        A model that is loaded already is kept if it answers as a new load would (Worker.reload).

        Args:
            handler: a file, a default handler's name, a ready-made one such as "handlerkit:classifier", or a class of
                a notebook cell, whose module is then the source of that cell.
            function: the function that is the entry point, instead of a class or `handle`.
            from_: the ready-made handler that the file was begun with: the modules it needs travel along, and a file
                that is not there yet is written with its source.
            reload: load it again in any case.

        Without a model one is made, named after the file. Raises LoadError when the handler does not load.
        """
        name = self._write_class(handler) if isinstance(handler, type) else str(handler)
        if not self._models:
            self.model(re.sub(r"\W", "_", Path(name).stem))
        model = self._models.current
        if from_ is not None:
            begun = ready_made(from_)
            if not Path(name).with_suffix(".py").is_file():
                cell.write(name, "\n" + begun.read_text())  # as a %%handler cell is written
            extra = model.options["extra_files"]
            extra += (str(path) for path in ready_made_modules(begun) if str(path) not in extra)
        stem = name.removesuffix(".py")
        model.make_room(Path(f"{stem}.py"))
        return self._load(model, f"{stem}:{function}" if function else name, force=reload)

    def module(self, file: str, source: str) -> Written:
        """Write a helper module that travels with the current model as an extra file, and load the handler again."""
        model = self._models.current
        path = cell.write(file, source)
        model.make_room(path)
        if str(path) not in model.options["extra_files"]:
            model.options["extra_files"].append(str(path))
        reloaded = self._load(model, model.options["handler"]) if model.worker else None
        return Written(str(path), model.name, reloaded)

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
            what: Requests, files, wildcards, folders of pictures, or payloads: dict and list are sent as JSON, a str
                that names no file as text, bytes as they are, a PIL image as PNG, an array as nested lists, a Run as
                its requests. They arrive together. With none and no parts, a GET without a body is sent. A file has
                the Content-Type of its name, as a browser sends it.
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
            geometry: how the handler scales the input image: "stretch", or for example "resize 256 crop 224".
            debug: load the handler in this process for this request, where breakpoint() stops and %debug opens the
                exception that it raised. Little is isolated then: see Worker's `in_process`.

        Raises RequestError for what cannot be sent, LoadError if the handler does not load.
        """
        model = self._models.current
        if batch < 1:
            raise RequestError(f"batch says how many of each request are sent together, 1 or more, not {batch}")
        changes = {key: value for key, value in (("method", method), ("path", path), ("query", query)) if value}
        form = [Request.multipart(*fields)] if (fields := tuple(parts)) else []
        options = {"content_type": content_type, "headers": headers, **changes}
        requests = to_requests([*what, *form], **options)
        if not requests and envelope != "all":
            requests = to_requests([Request("GET")], **options)
        shown, before = display(shown_as, geometry), model.compared_with(against)
        names = [name_of(one, number) for number, one in enumerate((one for one in requests for _ in range(batch)), 1)]
        with LiveDisplay(names) as self.live:
            sent = send(model, requests, batch, envelope, as_tensor, debug, self.live.hear)
        if isinstance(sent, Envelopes):
            self.live.end(sent)
            return sent
        hint = f"Answered by {sent.endpoint}: what the handler changes in it stays changed." if debug else ""
        model.last = run = self._previews.offer(ShownRun.of(sent, **shown, colors=model.colors, hint=hint))
        if run.ok:
            self.last_exception = None
        result = compare(before, run) if before is not None else run
        self.live.end(result)
        return result

    def check(self, archive: str | Path | None = None, *, target: PathLike | None = None) -> Check:
        """Say what would fail where the current model, or an archive, will run. Nothing is written.

        Args:
            archive: instead of the current model, whose last Run says what was seen while it ran.
            target: the environment it is checked for, as of handlerkit.check; the model's own without it.

        Raises ModelError if there is neither, ArchiveError for what is no archive, TargetError for an unknown
        target.
        """
        where = self._models.target(target)
        if archive is not None:
            return check(archive, target=where)
        model = self._models.current
        return check(model.build(), target=where, runs=model.runs)

    def export(
        self,
        folder: PathLike | None = None,
        *,
        archive_format: str | None = None,
        force: bool | None = None,
        strict: bool = False,
        requirements: str | None = None,
        target: PathLike | None = None,
        to: Literal["archive", "app"] = "archive",
    ) -> Exported | ExportedApp:
        """Check the current model, and write its archive, or an app that serves it as its worker does. A handler that
        was never loaded is loaded first, to say whether it does.

        Args:
            folder: the folder to write to, which is created; without it the one that `model` was given, or model_store.
                An app's own folder; without it NAME-app.
            archive_format: default, zip-store, tgz or no-archive.
            force: replace an archive that exists. An app replaces another in any case, and with it any folder.
            strict: write nothing if the check finds an error or the handler does not load.
            requirements: "auto" writes the requirements file that the check asks for, with the versions installed here,
                to NAME-requirements.txt, and puts it into the archive.
            target: the environment it is checked for, as of handlerkit.check; the model's own without it.
            to: "archive", or "app": as of handlerkit.App.

        Raises ArchiveError if the archive exists, and for what `strict` refuses; TargetError for an unknown target;
        ModelError if the model has another requirements file than "auto" writes. An app raises as handlerkit.App.
        """
        if to not in ("archive", "app"):
            raise ModelError(f"a model is exported to 'archive' or 'app', not to {to!r}")
        if requirements not in (None, "auto"):
            raise ModelError(f"requirements is 'auto' or None, not {requirements!r}: a file is named to the model")
        model = self._models.current
        common: dict[str, Any] = {
            "strict": strict, "requirements": bool(requirements), "target": self._models.target(target),
        }  # fmt: skip
        if to == "app":
            if archive_format is not None:
                raise ModelError("an app is a folder: archive_format belongs to an archive")
            return exports.export_app(model, folder, force=bool(force), **common)
        given = {"folder": folder, "archive_format": archive_format, "force": force or None}
        options = _EXPORT | model.archiver | {key: value for key, value in given.items() if value is not None}
        return exports.export(model, **options, **common)

    def verify(
        self,
        endpoint: Endpoint | str | Path | None = None,
        *,
        token: str | None = None,
        run: Run | None = None,
        ignore: Collection[str] = (),
        rtol: float = 0,
        target: PathLike | None = None,
    ) -> Report:
        """Replay the last Run on a real TorchServe that serves the exported archive, or on another endpoint, and
        compare the bytes.

        TorchServe stays up for the next check, until `server.stop()`, `close()` or the end of this process.

        Args:
            endpoint: an archive to serve instead; any endpoint that runs already; the URL of a TorchServe or an app,
                the folder of an exported app, or what serves the current model: "ray", a target, a requirements or lock
                file; "server" is the same as none.
            token: sent to a URL, as of handlerkit.Remote.
            run: the Run to replay; the last one of the current model.
            ignore, rtol: as of handlerkit.verify.
            target: the environment that TorchServe runs in, as of handlerkit.Server; the model's own without it.

        Raises TargetError for an unknown target, and if its environment cannot be made.
        """
        model = self._models.current
        where = self._models.target(target)
        run = run or model.last
        if run is None:
            raise RequestError(model.advice or f"nothing to verify yet: send {model.name} a request first")
        registered = model.served(envelope_of(run)) | {"target": where}
        if model.worker is not None:
            registered["batch_size"] = max(model.worker.batch_size, *(len(call.rows) for call in run.calls), 1)
        if isinstance(endpoint, Path) or (isinstance(endpoint, str) and is_archive(endpoint)):
            other_endpoints.refuse_unused(None, token)
            return self._verify_server.verify(run, Path(endpoint), registered, ignore, rtol)
        other_endpoints.refuse_unused(endpoint, token, target)
        if endpoint is None or endpoint == "server":
            return self._verify_server.verify(run, model.written_archive(), registered, ignore, rtol)
        return other_endpoints.verify_on(endpoint, token, run, model, registered, ignore, rtol)

    @property
    def server(self) -> Server:
        """The TorchServe that `verify` keeps up from check to check: `server.log()` tells what it did, and after
        `server.stop()` the next check starts it again. Raises ServerError before the first check."""
        return self._verify_server.server

    def bench(
        self,
        *what: Any,
        batch_sizes: Sequence[int] = (1,),
        repeats: int = 50,
        warm_up: int = 3,
        against: str | None = None,
        endpoint: Endpoint | str | None = None,
        token: str | None = None,
        yes: bool = False,
        concurrency: int | None = None,
        profile: bool = False,
    ) -> Bench:
        """Measure the current model: each sample at each batch size, `repeats` times after `warm_up` times.

        Args:
            what: files and payloads, as `request` takes them; without any, the requests of the last Run again.
            against: measure an earlier version of the handler beside it, call by call: "previous", the name of a
                handler file loaded before, or of another model of this session.
            endpoint: measure that instead, as of `verify`; "server" is a real TorchServe that serves the model.
            token: sent to a URL, as of handlerkit.Remote.
            yes: a Remote that is not this machine may have this load; without it, nothing is sent there.
            concurrency: the clients that send to that at the same time; as many as the largest batch holds.
            profile: look inside: torch's operators, a chrome trace, and the lines of the handler's code.

        Ctrl-C ends it, and what was measured until then is returned. Raises RequestError for nothing to send,
        ResponseError if the first answer is no success, ModelError if there is nothing to compare with.
        """
        model = self._models.current
        replayed = model.last if not what else None
        samples = dict.fromkeys(replayed.requests if replayed else to_requests(what))
        envelope = envelope_of(replayed)
        plan = bench_runs.Plan(tuple(samples), tuple(batch_sizes), repeats, warm_up)
        if endpoint is not None:
            if against or profile:
                raise HandlerkitError("against and profile measure the session's worker: leave them or endpoint out")
            other_endpoints.refuse_unused(endpoint, token)
            with other_endpoints.running(endpoint, token, model.name) as asked:
                other_endpoints.refuse_load(asked, *plan.load(concurrency), yes)
                return bench_runs.measure_endpoint(plan, asked, model, envelope, concurrency)
        with model.lend(max(plan.batch_sizes, default=1)) as worker:  # clients of %serve wait meanwhile
            asked = worker.with_envelope(envelope) if envelope else worker
            other = (
                None
                if against is None
                else (against, model.earlier(against, self._models.by_name, envelope, worker.batch_size))
            )
            found = bench_runs.measure_worker(plan, asked, other)
            return bench_runs.add_profile(found, plan, asked) if profile else found

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

        Raises RequestError for what cannot be sent, LoadError if the handler does not load.
        """
        return self._previews.show(self._models, what, envelope, shown_as, geometry, save)

    def serve(
        self, port: int | None = None, *, host: str | None = None, token: str | None = None, stop: bool = False
    ) -> WorkerServer | None:
        """Answer HTTP clients with the current model's worker, as its handler is when a request comes, until the end of
        this process. `served` keeps their requests.

        There is one server: another model, address or token takes the place of the one before.

        Args:
            port: 8080, or that of the server before; 0 takes a free one.
            host: 127.0.0.1, or that of the server before; another one than loopback needs a token.
            token: what requests have to bear: `Authorization: Bearer TOKEN`.
            stop: end it instead, when the requests that run are answered; returns the server, None if there was none.

        Raises as handlerkit.serve does, and LoadError if the handler does not load.
        """
        if stop:
            return self._client_server.stop()
        return self._client_server.serve(self._models, port, host, token)

    def keep(
        self,
        name: str,
        run: Run | None = None,
        *,
        from_: PathLike | None = None,
        folder: PathLike = "cases",
        **options: Any,
    ) -> Case | case_runs.KeptCases:
        """Keep what was answered as a case that `test` runs again, as of handlerkit.keep.

        Args:
            run: the Run; the last one of the current model without it.
            from_: "served" keeps each Run of `served`. The file of a HAR that a browser saved, or of curl lines: its
                requests are sent, and each answer is kept.
            folder, options: as of handlerkit.keep.

        Raises as handlerkit.keep does, and RequestError for a file that holds no requests.
        """
        if from_ is not None:
            runs = list(self.served) if from_ == "served" else case_runs.answers(from_, name, self._models.current)
            return case_runs.keep_each(runs, name, folder=folder, **options)
        run = run or self._models.current.last
        if run is None:
            raise CaseError(f"nothing to keep yet: send {self._models.current.name} a request first")
        return keep(run, name, folder, **options)

    def test(
        self,
        folder: PathLike = "cases",
        *,
        targets: Sequence[PathLike] = (),
        endpoint: Endpoint | str | None = None,
        token: str | None = None,
        from_: PathLike | None = None,
        accept: bool = False,
        report: PathLike | None = None,
        junit: PathLike | None = None,
        secrets: bool = False,
        **may_differ: Any,
    ) -> CaseReport:
        """Run the cases of the current model, and compare what is answered with what was kept.

        Args:
            folder: of the cases, or the file of one.
            targets: run them on a real TorchServe in each of these environments, as of handlerkit.Server.
            endpoint: as of `verify`.
            token: sent to a URL, as of handlerkit.Remote.
            from_: a HAR that a browser saved, or a file of curl lines, whose requests are sent too.
            accept: keep the answers that differ, and those to the requests of `from_`, from now on.
            report, junit: a page, and an XML file for a CI server, to write.
            secrets, may_differ: for the new cases of `from_`, as of handlerkit.keep: ignore, rtol, levels, pixels, iou.

        Raises CaseError if there is no case of this model, TargetError for an unknown target.
        """
        if accept and len(targets) > 1:
            raise CaseError("what one target answers can be accepted, not the answers of several: leave the others out")
        found = case_runs.run(
            self._models.current, folder, targets, endpoint, token, from_, MayDiffer(**may_differ), secrets
        )
        write_report(found, report, junit)
        return accept_answers(found, [token] if token else ()) if accept else found

    @property
    def served(self) -> ServedRuns:
        """What clients of `serve` asked and got, as Runs, the newest last: `request(served[-1])` sends one again."""
        return self._client_server.served

    @property
    def worker(self) -> Worker:
        """The worker of the current model."""
        return self._models.current.serve()

    @property
    def last(self) -> Run | None:
        """The last Run of the current model."""
        return self._models.current.last

    def close(self) -> None:
        """Stop serving clients, forget every model, remove what was staged for them, and end the TorchServe that
        `verify` keeps up."""
        self._client_server.stop()
        self._verify_server.stop()
        self._previews.close_all()
        self._models.clear()
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def _load(self, model: SessionModel, handler: str, *, force: bool = False) -> Ready:
        ready = model.load(handler, force=force)
        ready = replace(ready, logs=self._models.new_lines(ready.logs))
        for hook in self.on_load:
            hook(model.name)
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


#: The one session of this notebook.
session = Session()
