"""TorchServe's own Python code as an endpoint, in this process or in one of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple

from handlerkit import why, wire
from handlerkit.endpoints.config import Config, whole
from handlerkit.endpoints.description import Registered
from handlerkit.endpoints.frontend import Frontend, Received
from handlerkit.endpoints.lifecycle import Lifecycle
from handlerkit.endpoints.loaded import Loaded
from handlerkit.endpoints.outcome import Outcome, WorkerDied
from handlerkit.endpoints.process import Child
from handlerkit.endpoints.queue import Limits, Queue, arriving
from handlerkit.endpoints.reload import Reload
from handlerkit.errors import LoadError
from handlerkit.memory import Memory, peak_memory
from handlerkit.messages import Call, Exchange, Finding, LogLine, Request, Response, Run
from handlerkit.model import Model, PathLike
from handlerkit.unpack import Unpacked


class _Served(NamedTuple):
    """The answer to one request, with the call of the handler that its batch shares."""

    response: Response
    call: Call | None = None
    findings: tuple[Finding, ...] = ()


class Worker:
    """A registered model with one worker, in this process or, with `process`, in one of its own.

    Args:
        model: what the archive would hold; its files are read at each load. Or the path of an archive, which is
            unpacked into a temporary folder until `close`.
        config_properties: keys of config.properties, such as service_envelope or max_response_size.
        batch_size, max_batch_delay, response_timeout: the register call's; model-config.yaml's values stand behind
            them, but its responseTimeout before (with a config file TorchServe ignores the register call's).
        gpu_id: the device a GPU worker is given; None on a CPU.
        process: run TorchServe's own worker script as a child process. It may crash, hang and be killed as on the
            server, and starting it takes as long as importing torch; stages are not timed, and Ctrl-C ends it.

    Raises LoadError when the handler does not load, ConfigError for a key TorchServe does not know, ArchiveError for a
    path that holds no archive or one that unpack() would refuse.
    After the worker died, the next request loads the handler anew, as a restarted worker does; a child process after
    the pause that TorchServe makes.
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
        process: bool = False,
    ) -> None:
        self.config = Config.read(config_properties)
        self._unpacked: Unpacked | None = None
        if not isinstance(model, Model):
            self._unpacked = Unpacked(model)
            model = self._unpacked.model
        self.model: Model = model
        self.process = process
        self.gpu_id = gpu_id
        self._where = f"TorchServe's worker in {'a process of its own' if process else 'this process'}"
        #: Whether each Call tells the most memory it took. One in a process of its own never does; garbage is collected
        #: before each, which takes a tenth of a second or two.
        self.measures_memory = False
        #: Called with the live exception of a failed call before its Run is made, for debuggers.
        self.on_exception: Callable[[BaseException], None] | None = None
        self._asked = config_properties or {}, batch_size, max_batch_delay, response_timeout
        self._register()
        self._lifecycle = Lifecycle(model, self._start, pauses=process)
        #: Every one that this worker and those with other envelopes have: one in this process, else one per envelope.
        self._lifecycles = {self.config.service_envelope: self._lifecycle}
        try:
            self._lifecycle.load()
        except BaseException:
            self.close()
            raise

    def _register(self) -> None:
        """What the frontend knows of the model, as its config file is now."""
        model = self.model
        config_properties, batch_size, max_batch_delay, response_timeout = self._asked
        #: model-config.yaml as it was registered.
        self.settings = settings = model.settings()
        self.batch_size = batch_size or whole(settings, "batchSize", 1)
        delay = whole(settings, "maxBatchDelay", 100, least=0)
        self.max_batch_delay = delay if max_batch_delay is None else max_batch_delay
        if model.config_file:  # it sets the register call's time-outs aside, and the server's defaults
            self.response_timeout = whole(settings, "responseTimeout", 120)
            self.startup_timeout = whole(settings, "startupTimeout", 120)
        else:
            asked = response_timeout if response_timeout is not None else self.config.default_response_timeout
            self.response_timeout = asked
            self.startup_timeout = self.config.default_startup_timeout
        self._client_timeout = whole(settings, "clientTimeoutInMills", 0) / 1000
        sequences = bool(settings.get("sequenceBatching"))
        registered = Registered.now(
            name=model.name,
            version=model.version or "1.0",
            runtime=model.runtime,
            batch_size=self.batch_size,
            max_batch_delay=self.max_batch_delay,
            response_timeout=self.response_timeout,
            startup_timeout=self.startup_timeout,
            job_queue_size=whole(settings, "jobQueueSize", self.config.job_queue_size),
            settings=settings,
            gpu=self.gpu_id is not None,
        )
        self._frontend = Frontend(registered.name, registered.version, self.config, sequences, registered.describe)
        self._setup = why.Setup(
            registered.name, registered.version, model.handler, self.batch_size, self.max_batch_delay,
            self.response_timeout, response_timeout if model.config_file else None, self.config.max_response_size,
            self.config.decode_input_request, why.declares_metrics(config_properties),
        )  # fmt: skip
        #: What the registration set aside without a word.
        self.load_findings = why.set_aside(model, config_properties, response_timeout=response_timeout)
        ticket = bool(settings.get("useJobTicket"))
        self.limits = Limits(self.batch_size, self.max_batch_delay / 1000, registered.job_queue_size, ticket)
        self._queue = Queue(self.limits, self._serve, self._full)

    def predict(self, *requests: Request) -> Run:
        """Answer requests that arrive together, in this order; they form batches of up to `batch_size`.

        Never raises for what a client would see as an error.
        """
        served: list[_Served | None] = []
        queued: list[Received] = []
        for request in requests:
            received = self._frontend.receive(request)
            if isinstance(received, Response):
                served.append(self._turned_away(request, received))
            else:
                served.append(None)
                queued.append(received)
        answers = arriving(queued, self.limits, self._serve, self._full)
        if len(queued) > 1 and any(one.describe for one in queued):  # closes the batch before it, which waits no longer
            answers = [one._replace(findings=tuple(why.without_waits(one.findings))) for one in answers]
        following = iter(answers)
        return self._run(requests, [one or next(following) for one in served])

    def send(self, request: Request) -> Run:
        """Answer one request; blocks until its batch is done. Requests that several threads send meet in the same
        queue and window, in real time: with a batch_size above 1, a lone one waits for the whole max_batch_delay."""
        received = self._frontend.receive(request)
        if isinstance(received, Response):
            return self._run([request], [self._turned_away(request, received)])
        return self._run([request], [self._queue.send(received)])

    def reload(self, *, force: bool = False, batch_size: int | None = None) -> Reload:
        """Read the model's files again, and keep the loaded model where it then answers as one loaded anew would.

        With `batch_size`, or where the config file has other settings now, the model is registered anew with them.
        Functions that are not reached while loading get their new code in place, and what requests changed is put
        back. In every other case, and with `force`, the handler is loaded anew; so is one in a process of its own.
        Raises LoadError when it does not load; the next request then tries again.
        """
        for lifecycle in tuple(self._lifecycles.values()):
            if lifecycle is not self._lifecycle:
                lifecycle.close(wait=False)
        self._asked = (self._asked[0], batch_size or self._asked[1], *self._asked[2:])
        with suppress(OSError):  # a config file that is gone, as the load says
            if batch_size is not None or self.model.settings() != self.settings:
                self._register()
        return self._lifecycle.reload(force=force, batch_size=self.batch_size)

    def with_envelope(self, name: str | None) -> Worker:
        """This worker as one with another service_envelope, or with None, without one.

        In this process the two share the loaded handler, also when the worker died or one of them reloads; a batch
        holds requests to one of them. A child process is started with its envelope, so each has its own, and the
        first request starts it. Closing one closes the other too. Raises ConfigError for an unknown name.
        """
        envelope = Config.read({"service_envelope": name}).service_envelope
        if envelope == self.config.service_envelope:
            return self
        other = copy(self)
        other.config = replace(self.config, service_envelope=envelope)
        other._queue = Queue(self.limits, other._serve, other._full)
        if self.process:
            own = Lifecycle(self.model, other._start, pauses=True)
            other._lifecycle = self._lifecycles.setdefault(envelope, own)
        return other

    @property
    def entry_point(self) -> str:
        """What TorchServe's loader found: "class Name", "function name", or nothing where no handler is loaded."""
        return self._loaded.entry_point if self._loaded else ""

    @property
    def load_logs(self) -> tuple[LogLine, ...]:
        """What the worker logged while it loaded the handler."""
        return self._loaded.logs if self._loaded else ()

    def close(self) -> None:
        """Forget the handler and remove what was staged for it; the next request would load it anew."""
        for lifecycle in tuple(self._lifecycles.values()):
            lifecycle.close()
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

    @property
    def _loaded(self) -> Loaded | Child | None:
        return self._lifecycle.loaded

    def _start(self) -> Loaded | Child:
        message = f"Failed to start workers for model {self.model.name} version: {self._frontend.version}"

        def refusal(status: int) -> Response:
            return self._frontend.error(status, "InternalServerException", message)

        if self._unpacked is not None:
            self._unpacked.restore()
        if (wrong := why.unusable(self.model)) is not None:
            answer = self._frontend.error(500, wrong.type, wrong.message)
            raise LoadError(f"{self.model.name} does not load", response=answer, findings=(wrong.finding,))
        given = self.model, self.config, self.batch_size, self.gpu_id, refusal, self.response_timeout
        if self.process:
            return Child(*given, self.startup_timeout)
        loaded = Loaded(*given)
        if loaded.shadows:  # the worker's own script would import these; a real one tells whether it lives with them
            Child(*given, self.startup_timeout).close()
        return loaded

    def _serve(self, batch: list[Received]) -> list[_Served]:
        with self._lifecycle.lock:
            call, responses, found = self._call(batch)
        return [_Served(response, call, found) for response in responses]

    def _full(self, received: Received) -> _Served:
        """The queue's refusal."""
        return _Served(self._frontend.overloaded(received), None, (why.queue_full(self.limits.size),))

    def _turned_away(self, request: Request, response: Response) -> _Served:
        """The frontend's own answer."""
        return _Served(response, None, why.turned_away(request, response, self._setup, self.config.max_request_size))

    def _run(self, requests: Sequence[Request], served: Sequence[_Served]) -> Run:
        calls: list[Call] = []
        findings: dict[Finding, None] = {}
        for one in served:
            if one.call is not None and (not calls or calls[-1] is not one.call):  # a batch stands together
                calls.append(one.call)
            if one.findings:
                findings |= dict.fromkeys(one.findings)
        return Run(
            tuple([Exchange(request, one.response) for request, one in zip(requests, served, strict=True)]),
            tuple(calls),
            tuple(findings),
            self._where,
            self.model.name,
            self._lifecycle.labels,
            self.config.max_response_size,
            getattr(self._loaded, "geometry", None),
        )

    def _call(self, batch: list[Received]) -> tuple[Call | None, list[Response], tuple[Finding, ...]]:
        try:
            loaded = self._lifecycle.ready()
        except LoadError as problem:
            return None, *self._refuse(batch, problem)
        jobs = [received.job for received in batch]
        message = wire.encode_predict(jobs)
        envelope = self.config.service_envelope
        outcome, memory = self._ask(loaded, message, envelope)
        died, responses = self._respond(batch, outcome)
        error = outcome.error
        info = loaded.describe_error(error) if error else None
        if error and self.on_exception and not self.process:
            self.on_exception(error)
        requests, describe = [received.request for received in batch], batch[0].describe
        found: tuple[Finding, ...] = ()
        failed = error is not None or died or outcome.reply is None or outcome.reply.code != 200
        if failed or why.rules_for(
            self._setup, envelope, requests, jobs, outcome.rows, outcome.reply, outcome.before, outcome.noted,
            outcome.logs, describe,
        ):  # fmt: skip
            found = why.explain(why.Evidence(
                error, info, files=loaded.files, returned=outcome.returned, rows=outcome.rows, died=died,
                logged=outcome.logged, setup=self._setup, folder=loaded.model_dir, envelope=envelope,
                requests=requests, jobs=jobs, answer=outcome.reply, before=outcome.before, responses=responses,
                result=outcome.result, noted=outcome.noted, logs=outcome.logs, seconds=outcome.timings.total,
                describe=describe, remote=self.process,
            ))  # fmt: skip
            if inspect.iscoroutine(outcome.returned):
                outcome.returned.close()  # said in `found`; Python's own warning would come at some later time
        seen = (*loaded.seen, *outcome.seen)
        call = Call(
            message, outcome.timings, outcome.logs, info, envelope, self.config.decode_input_request, memory, seen
        )
        if died:
            self._lifecycle.died()
        elif 0 < self._client_timeout < outcome.timings.total:
            responses = [Response(None, complete=False) for _ in batch]
            found = (*found, why.client_timeout(self._client_timeout))
        return call, responses, found

    def _ask(
        self, loaded: Loaded | Child, message: wire.Buffers, envelope: str | None
    ) -> tuple[Outcome, Memory | None]:
        if isinstance(loaded, Child):
            return loaded.call(message), None
        if self.measures_memory:
            return peak_memory(lambda: loaded.call(message, envelope))
        return loaded.call(message, envelope), None

    def _refuse(self, batch: list[Received], problem: LoadError) -> tuple[list[Response], tuple[Finding, ...]]:
        """The answers where the worker does not load again. A child that reports the failure takes a batch from the
        queue with it; one that dies of it does not, and its requests would wait for ever."""
        if not self.process or isinstance(problem.__cause__, RuntimeError | MemoryError):
            return [self._frontend.died(received) for received in batch], problem.findings
        return [Response(None) for _ in batch], (why.no_worker(), *problem.findings)

    def _respond(self, batch: list[Received], outcome: Outcome) -> tuple[str, list[Response]]:
        """How the worker died ("" where it lives), and the answer to each request."""
        frontend, died, before = self._frontend, outcome.died, outcome.before
        try:
            if outcome.reply is not None:
                answer = outcome.reply
                return died, [frontend.respond(received, answer, row, before) for row, received in enumerate(batch)]
        except WorkerDied as problem:
            died = str(problem)
        if before and before[0].code == 200:
            return died, [frontend.broken(received, row, before) for row, received in enumerate(batch)]
        return died, [frontend.died(received) for received in batch]
