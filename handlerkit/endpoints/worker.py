"""TorchServe's own Python code as an endpoint, in this process or in one of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from handlerkit import why, wire
from handlerkit.endpoints.config import Config
from handlerkit.endpoints.frontend import Frontend, Received
from handlerkit.endpoints.loaded import Loaded
from handlerkit.endpoints.outcome import Outcome, WorkerDied
from handlerkit.endpoints.process import BackOff, Child
from handlerkit.errors import LoadError
from handlerkit.messages import Call, Exchange, Finding, LogLine, Request, Response, Run
from handlerkit.model import Model


@dataclass(frozen=True)
class Reload:
    """What `Worker.reload` did: whether the loaded model was kept, and why."""

    kept: bool
    reason: str


class Worker:
    """A registered model with one worker, in this process or, with `process`, in one of its own.

    Args:
        model: what the archive would hold; its files are read at each load.
        config_properties: keys of config.properties, such as service_envelope or max_response_size.
        batch_size, max_batch_delay, response_timeout: the register call's; model-config.yaml's values stand behind
            them, but its responseTimeout before (with a config file TorchServe ignores the register call's).
        gpu_id: the device a GPU worker is given; None on a CPU.
        process: run TorchServe's own worker script as a child process. It may crash, hang and be killed as on the
            server, and starting it takes as long as importing torch; stages are not timed, and Ctrl-C ends it.

    Raises LoadError when the handler does not load, ConfigError for a key TorchServe does not know.
    After the worker died, the next request loads the handler anew, as a restarted worker does; a child process after
    the pause that TorchServe makes.
    """

    def __init__(
        self,
        model: Model,
        config_properties: Mapping[str, Any] | None = None,
        *,
        batch_size: int | None = None,
        max_batch_delay: int | None = None,
        response_timeout: int | None = None,
        gpu_id: int | None = None,
        process: bool = False,
    ) -> None:
        self.model = model
        self.config = Config.read(config_properties)
        settings = model.settings()
        self.batch_size = int(batch_size or settings.get("batchSize") or 1)
        self.max_batch_delay = int(
            max_batch_delay if max_batch_delay is not None else settings.get("maxBatchDelay", 100)
        )
        asked = response_timeout if response_timeout is not None else self.config.default_response_timeout
        self.response_timeout = int(settings.get("responseTimeout", 120) if model.config_file else asked)
        self.startup_timeout = int(
            settings.get("startupTimeout", 120) if model.config_file else self.config.default_startup_timeout
        )
        self.process = process
        self.gpu_id = gpu_id
        #: Called with the live exception of a failed call before its Run is made, for debuggers.
        self.on_exception: Callable[[BaseException], None] | None = None
        self._frontend = Frontend(model.name, model.version or "1.0", self.config)
        self._pause = BackOff()
        self._loaded: Loaded | Child | None = self._load()

    def predict(self, *requests: Request) -> Run:
        """Answer requests that arrive together, in this order; they form batches of up to `batch_size`.

        Never raises for what a client would see as an error.
        """
        answers: list[Response | None] = [None] * len(requests)
        queued: list[tuple[int, Received]] = []
        for index, request in enumerate(requests):
            received = self._frontend.receive(request)
            if isinstance(received, Response):
                answers[index] = received
            else:
                queued.append((index, received))
        calls: list[Call] = []
        findings: list[Finding] = []
        for batch in self._batches(queued):
            call, responses, found = self._call([received for _, received in batch])
            calls += [call] if call else []
            findings += [finding for finding in found if finding not in findings]
            for (index, _), response in zip(batch, responses, strict=True):
                answers[index] = response
        exchanges = tuple(
            Exchange(request, answer) for request, answer in zip(requests, answers, strict=True) if answer
        )
        return Run(
            exchanges, tuple(calls), tuple(findings), self._where, self.model.name,
            self._labels, self.config.max_response_size,
        )  # fmt: skip

    def reload(self) -> Reload:
        """Read the model's files again and load the handler anew. Raises LoadError when it does not load; the next
        request then tries again."""
        self.close()
        self._loaded = self._load()
        return Reload(False, "loaded again")

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
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Worker {self.model.name} {self.model.version}>"

    @property
    def _where(self) -> str:
        return f"TorchServe's worker in {'a' if self.process else 'this'} process" + " of its own" * self.process

    def _load(self) -> Loaded | Child:
        message = f"Failed to start workers for model {self.model.name} version: {self._frontend.version}"

        def refusal(status: int) -> Response:
            return self._frontend.error(status, "InternalServerException", message)

        self._labels = self.model.labels()
        given = self.model, self.config, self.batch_size, self.gpu_id, refusal, self.response_timeout
        return Child(*given, self.startup_timeout) if self.process else Loaded(*given)

    def _batches(self, queued: Sequence[tuple[int, Received]]) -> list[list[tuple[int, Received]]]:
        """Batches as the queue forms them: a describe request is always alone and closes the one before it."""
        batches: list[list[tuple[int, Received]]] = []
        for item in queued:
            alone = item[1].describe or (batches and batches[-1][-1][1].describe)
            if not batches or alone or len(batches[-1]) == self.batch_size:
                batches.append([])
            batches[-1].append(item)
        return batches

    def _call(self, batch: list[Received]) -> tuple[Call | None, list[Response], tuple[Finding, ...]]:
        try:
            loaded = self._ready()
        except LoadError as problem:
            return None, *self._refuse(batch, problem)
        message = wire.encode_predict(received.job for received in batch)
        outcome = loaded.call(message)
        died, responses = self._respond(batch, outcome)
        error = outcome.error
        info = loaded.describe_error(error) if error else None
        if error and self.on_exception and not self.process:
            self.on_exception(error)
        found: tuple[Finding, ...] = ()
        if died or error or any(response.status == 503 for response in responses):
            evidence = why.Evidence(
                error, info, files=loaded.files, returned=outcome.returned, rows=outcome.rows, died=died,
                logged=outcome.logged,
            )  # fmt: skip
            found = why.explain(evidence)
            if inspect.iscoroutine(outcome.returned):
                outcome.returned.close()  # said in `found`; Python's own warning would come at some later time
        call = Call(
            message, outcome.timings, outcome.logs, info, self.config.service_envelope, self.config.decode_input_request
        )
        if died:
            self.close()
            self._pause.died()
        return call, responses, found

    def _ready(self) -> Loaded | Child:
        """The loaded handler; loaded anew where the worker is gone. Raises LoadError."""
        if self._loaded is not None and self._loaded.alive:
            return self._loaded
        self.close()
        if self.process:
            self._pause.wait()
        try:
            self._loaded = self._load()
        except LoadError:
            self._pause.died()
            raise
        self._pause.loaded()
        return self._loaded

    def _refuse(self, batch: list[Received], problem: LoadError) -> tuple[list[Response], tuple[Finding, ...]]:
        """The answers where the worker does not load again. One that reports the failure takes a batch from the queue
        with it; one that dies of it does not, and the requests wait for ever (TORCHSERVE: startup_model_fails_to_load).
        """
        if not self.process or isinstance(problem.__cause__, RuntimeError | MemoryError):
            return [self._frontend.died(received) for received in batch], problem.findings
        what = "The worker does not load again, and dies each time: the request waits, and the client gets no answer."
        served = "TorchServe starts the worker again and again, for longer and longer pauses."
        waits = Finding("no_worker", what, served=served, change="Correct what keeps the handler from loading.")
        return [Response(None) for _ in batch], (waits, *problem.findings)

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
