"""One load of a handler in TorchServe's own worker process: a child that may crash, hang and be killed."""

from __future__ import annotations

import ast
import signal
import threading
import time
from importlib import util
from pathlib import Path

from handlerkit import why, wire
from handlerkit.endpoints.channel import Channel
from handlerkit.endpoints.config import Config
from handlerkit.endpoints.console import error_in
from handlerkit.endpoints.outcome import Outcome, WorkerDied, late
from handlerkit.endpoints.revived import handler_classes, last_words, revived, texts, told
from handlerkit.endpoints.staged import Refusal, Staged
from handlerkit.messages import ErrorInfo, LogLine
from handlerkit.model import Model
from handlerkit.timing import Timings
from handlerkit.wire import Answer, Buffers

#: Seconds a worker script may take until it listens (org.pytorch.serve.wlm.WorkerLifeCycle).
_START = 120
#: The last line a worker logs of itself before it loads the handler.
_BEGINS = "model_name: "


class Child:
    """A handler, loaded by TorchServe's worker script in a process of its own.

    Raises LoadError where that fails. `close()` ends the process and removes the model_dir; so does the end of this
    process, in whatever way.
    """

    #: What the handler does beyond its own files is not seen there.
    seen = ()

    def __init__(
        self,
        model: Model,
        config: Config,
        batch_size: int,
        gpu_id: int | None,
        refusal: Refusal,
        response_timeout: int = 120,
        startup_timeout: int = 120,
    ) -> None:
        self._staged = Staged(model)
        self._config = config
        self._response_timeout = response_timeout
        self._lock = threading.Lock()
        self._told: ErrorInfo
        #: An answer is still to come that no request asked for.
        self._unasked = False
        self.files = self._staged.files
        self.model_dir = self._staged.model_dir
        self.journal = self._staged.journal
        self.entry_point = _entry_point(model)
        self._channel = Channel(self._staged, config)
        message = wire.encode_load(
            model.name, str(self._staged.model_dir), batch_size, model.handler, gpu_id, config.service_envelope,
            config.limit_max_image_pixels,
        )  # fmt: skip
        try:
            self._load(message, startup_timeout, refusal)
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether the worker can be asked again."""
        return self._channel.alive

    def call(self, message: Buffers) -> Outcome:
        """Let the worker answer a predict message. It is ended where it died, and by a Ctrl-C, which is raised."""
        with self._lock:
            try:
                return self._call(message)
            except BaseException:
                self.close()
                raise

    def describe_error(self, error: BaseException) -> ErrorInfo:
        """An exception of an Outcome as plain data."""
        return self._told

    def close(self, wait: bool = True) -> None:
        """End the worker and remove its model_dir, that in the background without `wait`."""
        self._channel.close()
        (self._staged.remove if wait else self._staged.discard)()

    def _load(self, message: Buffers, seconds: int, refusal: Refusal) -> None:
        answer, died = None, ""
        try:
            self._channel.connect(_START)
            slow = f"timeout: The handler did not load within the startup timeout of {seconds} s."
            answer = self._channel.ask(message, seconds, slow)
        except WorkerDied as problem:
            died = str(problem)
        self._channel.drain()
        logs = _of_the_handler(self.journal.take())
        if answer and answer.code == 200:
            self.logs = logs
            return
        # a worker tells of a RuntimeError or MemoryError, and dies of any other exception
        base, info = (
            (RuntimeError, error_in(texts(logs, "INFO")))
            if answer
            else (Exception, last_words(logs, self._died_uncaught()))
        )
        error = revived(info, base) if info else None
        classes = handler_classes(info, error) if info and error else ()
        evidence = why.Evidence(error, info, classes=classes, died=died)
        raise self._staged.refused(evidence, logs, refusal(answer.code if answer else 500)) from error

    def _call(self, message: Buffers) -> Outcome:
        outcome = Outcome(Timings(0.0))
        begun = time.perf_counter()
        slow = late(self._response_timeout)
        try:
            if self._unasked:
                raise WorkerDied("stale: The worker's last answer belongs to no request: its stream was over.")
            answer = self._channel.ask(message, self._response_timeout, slow)
            while _has_more(answer) and answer.code == 200:
                outcome.before.append(answer._replace(after=time.perf_counter() - begun))
                answer = self._channel.ask((), self._response_timeout, slow)
            outcome.reply = answer._replace(after=time.perf_counter() - begun)
            self._unasked = _has_more(answer)
        except WorkerDied as problem:
            outcome.died = str(problem)
        outcome.timings = Timings(time.perf_counter() - begun)
        if outcome.died:
            self._channel.stop()
        self._channel.drain()
        outcome.logs = self.journal.take()
        self._explain(outcome)
        if outcome.died or outcome.error or outcome.logged:
            outcome.rows = wire.decode_predict(message, self._config.decode_input_request)[1]
        return outcome

    def _explain(self, outcome: Outcome) -> None:
        """Why the call failed, out of what the worker logged."""
        found = told(outcome.reply, outcome.logs, self._died_uncaught())
        if found.info is not None:
            self._told = found.info
        outcome.error, outcome.logged, outcome.died = found.error, found.logged, found.died or outcome.died

    def _died_uncaught(self) -> bool:
        """Whether Python itself ended the process, for an exception."""
        return self._channel.status in (1, -signal.SIGINT)


class BackOff:
    """How long a worker stays away that died (org.pytorch.serve.wlm.WorkerThread)."""

    _SECONDS = (1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597)

    def __init__(self) -> None:
        self._deaths = 0
        self._until = 0.0

    def died(self) -> None:
        """The worker died, or did not load."""
        self._until = time.monotonic() + self._SECONDS[min(self._deaths, len(self._SECONDS) - 1)]
        self._deaths += 1

    def loaded(self) -> None:
        """The worker is there again."""
        self._deaths = 0

    def wait(self) -> None:
        """Until the worker is to be started again."""
        time.sleep(max(0.0, self._until - time.monotonic()))


def _of_the_handler(logs: tuple[LogLine, ...]) -> tuple[LogLine, ...]:
    """The lines after those that the worker script logs of itself, where it came to loading the handler."""
    begins = [at for at, line in enumerate(logs) if line.text.startswith(_BEGINS)]
    return logs[begins[0] + 1 :] if begins else logs


def _has_more(answer: Answer) -> bool:
    """Whether it is an intermediate answer (ts.handler_utils.utils.send_intermediate_predict_response)."""
    return any(("ts_stream_next", "true") in row.headers for row in answer.predictions)


def _entry_point(model: Model) -> str:
    """What TorchServe's loader finds in the handler file, as far as it can be read there: "class Name" or
    "function name"; nothing otherwise."""
    name, _, function = model.handler.partition(":")
    file = model.handler_file
    if file is None and (spec := util.find_spec("ts")) and spec.origin:
        file = Path(spec.origin).parent / "torch_handler" / f"{name}.py"
    try:
        body = ast.parse(file.read_bytes()).body if file else []
    except (OSError, SyntaxError, ValueError):
        return ""
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    classes = [node.name for node in body if isinstance(node, ast.ClassDef)]
    if (wanted := function or "handle") in functions:
        return f"function {wanted}"
    return f"class {classes[0]}" if len(classes) == 1 else ""
