"""TorchServe's own Python code as an endpoint: a worker process, as a server has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple

from handlerkit import why
from handlerkit.endpoints.config_properties import checked_environment, read_config
from handlerkit.endpoints.lifecycle import Lifecycle
from handlerkit.endpoints.loads.in_process import InProcess
from handlerkit.endpoints.loads.process import Hear, WorkerProcess
from handlerkit.endpoints.loads.staged_model import WorkerSpec, notebook
from handlerkit.errors import LoadError, ModelError
from handlerkit.messages import Call, ErrorInfo, Exchange, Finding, HttpRequest, LogLine, Request, Response, Run
from handlerkit.model import Model, PathLike
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving import wire
from handlerkit.serving.documents.describe_model import Registered
from handlerkit.serving.frontend import Frontend, QueuedRequest
from handlerkit.serving.models.job_queue import Limits, Queue, simulate_arrivals
from handlerkit.serving.worker_death import WorkerDeath, WorkerDied
from handlerkit.unpack import Unpacked
from handlerkit.why.findings import changed_files, frontend, registration
from handlerkit.worker_process.hot_reload.reload import NOTHING_CHANGED, Reload
from handlerkit.worker_process.outcome import Outcome


class _AnsweredRequest(NamedTuple):
    """The answer to one request, with the call of the handler that its batch shares."""

    response: Response
    call: Call | None = None
    findings: tuple[Finding, ...] = ()


#: Who answers, by `in_process`.
_WHERE = {
    False: "TorchServe's worker in a process of its own",
    True: "TorchServe's worker in this process, which isolates nothing but folder, imports and log",
}

_DIED = "The client gets 500 'Worker died.'"


class Worker:
    """A registered model with one worker, which is a process of its own.

    Args:
        model: what the archive would hold; its files are read at each load. Or the path of an archive, which is
            unpacked into a temporary folder until `close`.
        config_properties: keys of config.properties, such as service_envelope or max_response_size.
        batch_size, max_batch_delay, response_timeout: the register call's. They take the place of model-config.yaml's
            values, except for response_timeout, which TorchServe ignores if there is a config file.
        gpu_id: the device a GPU worker is given; None on a CPU.
        environment: variables that the worker has in addition to those of the shell that started this process; later
            changes of `os.environ` do not reach it. On a server they are set in the shell that starts it.
        in_process: for a debugger, run the handler in this process, where breakpoint() stops, prompts are seen, and
            `on_exception` gets live exceptions. What the notebook changed (torch's modes, patched functions, variables
            of the environment) then reaches the handler, what the handler changes stays changed, sys.exit and a crash
            end the notebook's kernel, and a call is not ended when it takes too long.

    Raises LoadError if the handler does not load, ModelError if a file of the model is gone or cannot be read,
    ConfigError for a key TorchServe does not know and for an environment that no process can have, ArchiveError for a
    path that holds no archive or one that unpack() would refuse, WorkerError if no process can be started.
    After the worker died, the next request loads the handler again, after the same pause as TorchServe's.
    """

    def __init__(
        self,
        model: Model | PathLike,
        config_properties: Mapping[str, Any] | None = None,
        *,
        batch_size: int | None = None,
        max_batch_delay: int | None = None,
        response_timeout: int | None = None,
        gpu_id: int | None = None,
        environment: Mapping[str, str] | None = None,
        in_process: bool = False,
    ) -> None:
        #: The variables that the worker has in addition to those of the shell.
        self.environment = checked_environment(environment)
        self.config = read_config(config_properties, self.environment)
        self._unpacked: Unpacked | None = None
        if not isinstance(model, Model):
            self._unpacked = Unpacked(model)
            model = self._unpacked.model
        self.model: Model = model
        self.in_process = in_process
        self.gpu_id = gpu_id
        self._where = _WHERE[in_process]
        #: Whether each Call has the most memory it took; garbage is collected before each, which takes 0.1 to 0.2 s.
        self.measures_memory = False
        #: Whether each request first checks if a file of the model changed on disk, which takes microseconds for each.
        self.follows_files = self._unpacked is None
        #: Called with the live exception of a failed call before its Run is made, if the handler is in this process.
        self.on_exception: Callable[[BaseException], None] | None = None
        self._asked = config_properties or {}, batch_size, max_batch_delay, response_timeout
        self._find_files()
        self._register()
        self._lifecycle = Lifecycle(model, self._start, pauses=not in_process)
        try:
            self._lifecycle.load()
        except BaseException:
            self.close()
            raise

    def _register(self) -> None:
        """Register the model with the frontend, with its config file as it is now."""
        model = self.model
        config_properties, batch_size, max_batch_delay, response_timeout = self._asked
        #: model-config.yaml as it was registered.
        self.settings = settings = model.settings()
        #: How the model is registered with the frontend.
        self.registered = registered = Registered.now(
            model.name, model.version or facts.MODEL_VERSION, model.runtime, settings if model.config_file else None,
            self.config, batch_size=batch_size, max_batch_delay=max_batch_delay, response_timeout=response_timeout,
            gpu=self.gpu_id is not None,
        )  # fmt: skip
        self.batch_size, self.max_batch_delay = registered.batch_size, registered.max_batch_delay
        self.response_timeout, self.startup_timeout = registered.response_timeout, registered.startup_timeout
        self._frontend = Frontend(
            registered.name, registered.version, self.config, registered.has_sequences, registered.describe
        )
        self._setup = why.Setup(
            registered.name, registered.version, model.handler, self.batch_size, self.max_batch_delay,
            self.response_timeout, response_timeout if model.config_file else None, self.config.max_response_size,
            self.config.decode_input_request, registration.declares_metrics(config_properties),
        )  # fmt: skip
        self._ignored = registration.ignored_settings(model, config_properties, response_timeout=response_timeout)
        self.limits = Limits.of(registered)
        self._queue = Queue(self.limits, self._serve, self._full)

    def predict(self, *requests: Request, on_event: Hear | None = None) -> Run:
        """Answer requests that arrive together, in this order; they form batches of up to `batch_size`.

        `on_event` is called while the handler works, with each LogLine and each intermediate WorkerResponse of a
        stream. Never raises for what a client would see as an error. Files of the model that changed on disk are read
        again first (see `refresh`), which raises LoadError if the handler does not load from them. Ctrl-C interrupts
        the handler, and is raised with the line that was running; pressed again, it ends the worker.
        """
        self._follow()
        served: list[_AnsweredRequest | None] = []
        queued: list[QueuedRequest] = []
        for request in requests:
            received = self._frontend.receive(request)
            if isinstance(received, Response):
                served.append(self._rejected(request, received))
            else:
                served.append(None)
                queued.append(received)
        answers = simulate_arrivals(queued, self.limits, lambda batch: self._serve(batch, on_event), self._full)
        if len(queued) > 1 and any(one.describe for one in queued):  # the batch before it is closed, and does not wait
            answers = [one._replace(findings=why.without_batch_waits(one.findings)) for one in answers]
        following = iter(answers)
        return self._run(requests, [one or next(following) for one in served])

    def send(self, request: Request) -> Run:
        """Answer one request; blocks until its batch is done. Requests from several threads share the queue and form
        batches in real time: with a batch_size above 1, a single one waits for the whole max_batch_delay.
        Raises LoadError as `predict` does."""
        self._follow()
        received = self._frontend.receive(request)
        if isinstance(received, Response):
            return self._run([request], [self._rejected(request, received)])
        return self._run([request], [self._queue.send(received)])

    def answer(self, batch: Sequence[QueuedRequest], on_event: Hear | None = None) -> Run:
        """Answer a batch that another frontend has formed, as one call of the handler; `on_event` as of `predict`.

        Raises LoadError if the handler does not load; see `not_loaded`.
        """
        with self._lifecycle.lock:
            self._follow()
            self._lifecycle.ready()
            served = self._serve([*batch], on_event)
        return self._run([Request.received(one.request) for one in batch], served)

    def not_loaded(self, batch: Sequence[QueuedRequest], problem: Exception) -> Run:
        """The Run of a batch for which there is no handler: it is answered as if the worker had died of that."""
        found = problem.findings if isinstance(problem, LoadError) else ()
        cause = Finding("not_loaded", f"{self.model.name} answers no requests: {problem}", effect=_DIED)
        served = [_AnsweredRequest(self._frontend.died(received), None, found or (cause,)) for received in batch]
        return self._run([Request.received(one.request) for one in batch], served)

    def rejected(self, request: HttpRequest, response: Response) -> Run:
        """The Run of a request that another frontend has answered itself, with the cause."""
        received = Request.received(request)
        return self._run([received], [self._rejected(received, response)])

    @property
    def config_properties(self) -> Mapping[str, Any]:
        """The keys of config.properties that it was made with."""
        return self._asked[0]

    @property
    def pause(self) -> float:
        """Seconds for which a worker that died stays away still; 0 if it is there, or may be started."""
        return self._lifecycle.pause

    def reload(self, *, force: bool = False, batch_size: int | None = None) -> Reload:
        """Read the model's files again, and keep the loaded model if it then answers as a newly loaded one would.

        With `batch_size`, or if the config file changed, the model is registered again. Functions that do not run while
        loading get their new code in place, and what requests changed is put back. From Python 3.12 on a comprehension
        is part of the function around it, and does not get new code if that ran. In all other cases, and with `force`,
        the handler is loaded again. Raises LoadError if it does not load; the next request then tries again.
        Raises ModelError if one of the files is gone or cannot be read; the loaded model then stays as it is.
        """
        with self._lifecycle.lock:
            self._find_files()
            self._asked = (self._asked[0], batch_size or self._asked[1], *self._asked[2:])
            if batch_size is not None or self.model.settings() != self.settings:
                self._register()
            self._lifecycle.registered = self._asked, self.settings
            return self._lifecycle.reload(force=force, batch_size=self.batch_size)

    def refresh(self) -> Reload | None:
        """Do as `reload` does if a file of the model changed on disk since it was read; None if none did.

        The findings of the next Run report it. The loaded handler is kept if a file is gone or still being written,
        which the findings report too, and if a file is no valid Python, which raises LoadError.
        """
        lifecycle = self._lifecycle
        with lifecycle.lock:
            if lifecycle.files is None or (change := lifecycle.files.change()) is None:
                return None
            if lifecycle.loaded is None:  # the request loads the handler anyway
                lifecycle.forgive()
                return None
            if change.gone or change.unfinished:
                gone, written = change.gone, change.changed
                found = changed_files.gone(gone) if gone else changed_files.unfinished(written)
                lifecycle.news.append(found)
                return None
            if (broken := lifecycle.files.broken(change)) is not None:
                raise self._unreadable(*broken)
            reloaded = self.reload()
            if reloaded.reason != NOTHING_CHANGED:
                lifecycle.news.append(changed_files.read_again(change.changed, reloaded.kept, reloaded.reason))
            return reloaded

    def _follow(self) -> None:
        """Read files that changed, and register the model as one of the workers that share the handler did last."""
        if self.follows_files:
            self.refresh()
        registered = self._lifecycle.registered
        if registered is not None and registered != (self._asked, self.settings):
            with self._lifecycle.lock:
                self._asked = registered[0]
                self._register()

    def with_envelope(self, name: str | None) -> Worker:
        """A worker like this one with another service_envelope; None for no envelope.

        The two share the loaded handler, also after the worker dies or one of them reloads; a batch holds requests to
        one of them. Closing one closes the other. Raises ConfigError for an unknown name.
        """
        envelope = read_config({"service_envelope": name}).service_envelope
        if envelope == self.config.service_envelope:
            return self
        other = copy(self)
        other.config = replace(self.config, service_envelope=envelope)
        other._queue = Queue(self.limits, other._serve, other._full)
        return other

    def in_this_process(self) -> Worker:
        """A worker like this one with `in_process`, for a debugger or a profiler. It loads the handler at its first
        request, and has to be closed separately."""
        if self.in_process:
            return self
        other = copy(self)
        other.in_process, other._where = True, _WHERE[True]
        other._queue = Queue(self.limits, other._serve, other._full)
        other._lifecycle = Lifecycle(self.model, other._start, pauses=False)
        other._unpacked = None
        return other

    @property
    def entry_point(self) -> str:
        """What TorchServe's loader found: "class Name", "function name", or "" if no handler is loaded."""
        return self._loaded.entry_point if self._loaded else ""

    @property
    def load_findings(self) -> tuple[Finding, ...]:
        """Settings that the registration ignores silently, without those that a comment in the code silences."""
        return tuple(found for found in self._ignored if found.name not in self._lifecycle.silenced)

    @property
    def load_logs(self) -> tuple[LogLine, ...]:
        """What the worker logged while it loaded the handler."""
        return self._loaded.logs if self._loaded else ()

    def close(self) -> None:
        """End the worker's process and remove its staged files; both are gone when this returns. The next request would
        load the handler again."""
        self._lifecycle.close()
        if self._unpacked is not None:
            self._unpacked.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Worker {self.model.name} {self.model.version}>"

    def _unreadable(self, name: str, error: SyntaxError) -> LoadError:
        """A file that changed is no longer valid Python."""
        info = ErrorInfo.of(error)
        attempt = why.Attempt(self._setup, loading=True)
        findings = why.explain(why.Evidence(attempt, why.CodeFiles((name,)), error, info))
        message = f"{self.model.name} does not load; the handler that was loaded before is kept"
        return LoadError(message, response=self._refusal(500), error=info, findings=findings)

    @property
    def _loaded(self) -> WorkerProcess | InProcess | None:
        return self._lifecycle.loaded

    def _find_files(self) -> None:
        """Unpack an archive's files again if they were removed. Raises ModelError for a file that is gone."""
        if self._unpacked is not None:
            self._unpacked.restore()
        self.model.entries()

    def _start(self) -> WorkerProcess | InProcess:
        spec = WorkerSpec(
            self.model, self.config, self.batch_size, self.gpu_id, self.environment, self.response_timeout,
            self.startup_timeout, self._refusal,
        )  # fmt: skip
        try:
            self._find_files()
            if (wrong := registration.unusable_config(self.model)) is not None:
                answer = self._frontend.error(500, wrong.type, wrong.message)
                raise LoadError(f"{self.model.name} does not load", response=answer, findings=(wrong.finding,))
            return (InProcess if self.in_process else WorkerProcess)(spec)
        except ModelError as problem:
            gone = changed_files.missing(str(problem))
            raise LoadError(
                f"{self.model.name} does not load", response=self._refusal(500), findings=(gone,)
            ) from problem

    def _refusal(self, status: int) -> Response:
        """The management API's answer if the handler does not load."""
        message = f"{facts.NOT_STARTED} for model {self.model.name} version: {self._frontend.version}"
        return self._frontend.error(status, facts.INTERNAL, message)

    def _serve(self, batch: list[QueuedRequest], hear: Hear | None = None) -> list[_AnsweredRequest]:
        with self._lifecycle.lock:
            call, responses, found = self._call(batch, hear)
        return [_AnsweredRequest(response, call, found) for response in responses]

    def _full(self, received: QueuedRequest) -> _AnsweredRequest:
        """The queue's refusal."""
        return _AnsweredRequest(self._frontend.overloaded(received), None, (frontend.queue_full(self.limits.size),))

    def _rejected(self, request: Request, response: Response) -> _AnsweredRequest:
        """The frontend's own answer."""
        return _AnsweredRequest(
            response, None, frontend.rejected(request, response, self._setup, self.config.max_request_size)
        )

    def _run(self, requests: Sequence[Request], served: Sequence[_AnsweredRequest]) -> Run:
        calls: list[Call] = []
        findings: dict[Finding, None] = {}
        for one in served:
            if one.call is not None and (not calls or calls[-1] is not one.call):  # a batch's requests are adjacent
                calls.append(one.call)
            if one.findings:
                findings |= dict.fromkeys(one.findings)
        if news := self._lifecycle.news:
            self._lifecycle.news = []
            findings |= dict.fromkeys(news)
        return Run(
            tuple(
                [
                    Exchange(request.addressed(self.model.name), one.response)
                    for request, one in zip(requests, served, strict=True)
                ]
            ),
            tuple(calls),
            tuple(findings),
            self._where,
            self.model.name,
            self._lifecycle.labels,
            self.config.max_response_size,
            paths=self._lifecycle.paths,
        )

    def _call(
        self, batch: list[QueuedRequest], hear: Hear | None
    ) -> tuple[Call | None, list[Response], tuple[Finding, ...]]:
        try:
            loaded = self._lifecycle.ready()
        except LoadError as problem:
            return None, *self._refuse(batch, problem)
        jobs = [received.job for received in batch]
        message = wire.encode_batch([received.encoded for received in batch])
        envelope = self.config.service_envelope
        outcome = loaded.call(message, envelope, self.measures_memory, hear)
        called = outcome.called
        death, responses = self._respond(batch, outcome)
        if self.on_exception is not None and loaded.raised is not None:
            self.on_exception(loaded.raised)
        attempt = why.Attempt(
            self._setup, death=death, envelope=envelope, requests=[received.request for received in batch], jobs=jobs,
            describe=batch[0].describe, answer=outcome.reply, intermediate=outcome.intermediate, responses=responses,
            logs=outcome.logs, seconds=called.timings.total, raised=called.error is not None, bodies=called.bodies,
            recorded=called.recorded, first=(len(jobs) > 1) not in self._lifecycle.called_with,
            reported=self._lifecycle.reported | self._lifecycle.silenced,
        )  # fmt: skip
        findings = self._explain(loaded, attempt)
        call = Call(
            message, called.timings, outcome.logs, called.error, envelope, self.config.decode_input_request,
            called.memory, (*loaded.seen, *called.seen), loaded.geometry,
        )  # fmt: skip
        if death is not None:
            self._lifecycle.died()
        elif 0 < self.registered.client_timeout < called.timings.total:
            responses = [Response(None, complete=False) for _ in batch]
            findings = (*findings, frontend.client_timeout(self.registered.client_timeout))
        return call, responses, findings

    def _explain(self, loaded: WorkerProcess | InProcess, attempt: why.Attempt) -> tuple[Finding, ...]:
        """The causes of how a call ended. The worker is asked only if there can be any."""
        lifecycle = self._lifecycle
        lifecycle.called_with.add(len(attempt.jobs) > 1)
        if not why.may_explain(attempt):
            loaded.forget()
            return ()
        found = loaded.explain(attempt._replace(notebook=notebook(self.environment)) if attempt.failed else attempt)
        lifecycle.reported |= {finding.name for finding in found}
        return tuple(one for one in found if one.severity == "error" or one.name not in lifecycle.silenced)

    def _refuse(self, batch: list[QueuedRequest], problem: LoadError) -> tuple[list[Response], tuple[Finding, ...]]:
        """The answers if the worker does not load again. A worker that reports the failure takes a batch from the
        queue; one that dies of it does not, and the requests would wait forever."""
        if problem.reported:
            return [self._frontend.died(received) for received in batch], problem.findings
        return [Response(None) for _ in batch], (frontend.no_worker(), *problem.findings)

    def _respond(self, batch: list[QueuedRequest], outcome: Outcome) -> tuple[WorkerDeath | None, list[Response]]:
        """Why the worker is gone, None if it lives, and the answer to each request."""
        frontend, death, answer, before = self._frontend, outcome.death, outcome.reply, outcome.intermediate
        try:
            if answer is not None:
                return death, [frontend.respond(received, answer, row, before) for row, received in enumerate(batch)]
        except WorkerDied as problem:
            death = problem.death
        if before and before[0].code == 200:
            return death, [frontend.broken(received, row, before) for row, received in enumerate(batch)]
        return death, [frontend.died(received) for received in batch]
