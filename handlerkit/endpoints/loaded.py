"""One load of a handler by TorchServe's own loader: what a worker process holds from its start to its end."""

from __future__ import annotations

import inspect
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from handlerkit import why, wire
from handlerkit.context import metrics_cache
from handlerkit.endpoints.config import Config
from handlerkit.endpoints.guard import Guard
from handlerkit.endpoints.logs import without_kit
from handlerkit.endpoints.outcome import Outcome, late, unreadable, unsendable
from handlerkit.endpoints.staged import Refusal, Staged, variables
from handlerkit.errors import LoadError
from handlerkit.messages import ErrorInfo, Geometry
from handlerkit.model import Model
from handlerkit.timing import Stopwatch
from handlerkit.wire import Buffers, ProtocolError, Reader

_STAGES = ("preprocess", "inference", "postprocess")
_MISSING = object()
_EntryPoint = Callable[[list[Any], Any], Any]


class Loaded:
    """A handler, loaded from a model_dir of its own.

    Raises LoadError where TorchServe's loader fails. `close()` removes the model_dir; so does the interpreter's end.
    """

    #: Whether it can be called again; a child process may be gone.
    alive = True

    def __init__(
        self,
        model: Model,
        config: Config,
        batch_size: int,
        gpu_id: int | None,
        refusal: Refusal,
        response_timeout: int = 120,
    ) -> None:
        from ts.model_loader import TsModelLoader
        from ts.protocol.otf_message_handler import create_predict_response, retrieve_msg

        self._model = model
        self._staged = Staged(model)
        self._response_timeout = response_timeout
        self.model_dir = self._staged.model_dir
        self.files = self._staged.files
        self.journal = self._staged.journal
        self._guard = Guard(self.model_dir, variables(config), self.journal)
        #: Modules in the archive's root that stand before installed ones of the same name.
        self.shadows = self._guard.shadows()
        self._ends: list[Callable[[], object]] = []
        self._entry_points: dict[str | None, _EntryPoint] = {}
        self._rows: list[Any] = []
        self._returned: Any = None
        self._result: Any = None
        self._raised: BaseException | None = None
        self._watch = Stopwatch()
        self._retrieve = self._watch.time("decode", retrieve_msg)
        self._encode = self._watch.time("encode", create_predict_response)
        try:
            with self._guard:
                metrics = metrics_cache(model.name)
                import ts.torch_handler.base_handler  # noqa: F401

                self.journal.take()  # what TorchServe says of itself, and only to the first load of a process
                self._service = TsModelLoader().load(
                    model.name, str(self.model_dir), model.handler, gpu_id, batch_size, None,
                    config.limit_max_image_pixels, metrics,
                )  # fmt: skip
                self._noted = why.watch(self._service.context)
                self._handle = self._service._entry_point
                self._service._entry_point = self._behind(config.service_envelope)
        except BaseException as error:
            interrupted = self._guard.interrupted and isinstance(error, KeyboardInterrupt)
            problem = None if interrupted else self._load_error(error, refusal)
            self.close()
            if problem is None:
                raise
            # with the handler's own frames, so that a debugger opens in them
            raise problem.with_traceback(without_kit(error.__traceback__)) from error
        self.logs = self.journal.take()
        self._clocked = self._instrument()

    def call(self, message: Buffers, envelope: str | None = None) -> Outcome:
        """Let TorchServe's worker code answer a predict message, with this envelope around the handler.

        Raises KeyboardInterrupt for a Ctrl-C of the user, not for one that the handler raised.
        """
        socket = _Socket()
        self._service.set_cl_socket(socket)
        self._raised = self._returned = self._result = None
        self._rows = []
        self._noted.clear()
        reply, error = None, None
        try:
            with self._guard, self._clocked:
                self._service._entry_point = self._behind(envelope)
                self._watch.start()
                try:
                    _, batch = self._retrieve(Reader(message))
                    reply = self._service.predict(batch)
                finally:
                    timings = self._watch.stop()
                    why.note_debug(self._noted, self.files)
        except BaseException as problem:
            if self._guard.interrupted:
                self.journal.take()
                raise
            error = problem
        outcome = Outcome(
            timings, logs=self.journal.take(), error=error or self._raised, returned=self._returned, rows=self._rows,
            result=self._result, noted=tuple(self._noted),
        )  # fmt: skip
        self._decode(outcome, reply, socket.sent)
        self._raised = self._returned = self._result = None
        self._rows = []
        return outcome

    def _decode(self, outcome: Outcome, reply: bytearray | None, before: list[bytes]) -> None:
        """What the frontend reads in the answers, and whether it drops the worker for it."""
        try:
            for piece in before:
                outcome.before.append(wire.decode_answer(piece))
            if outcome.timings.total > self._response_timeout:
                outcome.died = late(self._response_timeout)
            elif reply is not None:
                outcome.reply = wire.decode_answer(reply)
            elif outcome.error is not None:
                outcome.died = unsendable(outcome.error)
        except ProtocolError as problem:
            outcome.died = unreadable(problem)

    def describe_error(self, error: BaseException) -> ErrorInfo:
        """An exception as plain data, without the kit's frames and this machine's paths."""
        chained: BaseException | None = error
        while chained is not None:
            chained.__traceback__ = without_kit(chained.__traceback__)
            chained = chained.__cause__ or (None if chained.__suppress_context__ else chained.__context__)
        info = ErrorInfo.of(error)
        plain = self.journal.plain
        frames = tuple(replace(frame, file=plain(f'File "{frame.file}')[len('File "') :]) for frame in info.frames)
        return ErrorInfo(info.type, plain(info.message), frames, plain(info.traceback))

    def close(self, wait: bool = True) -> None:
        """Forget the handler, end its micro-batching and remove its model_dir, in the background without `wait`."""
        for end in self._ends:
            end()
        (self._staged.remove if wait else self._staged.discard)()

    def _behind(self, envelope: str | None) -> _EntryPoint:
        """The handler with an envelope around it, as the loader puts it there (ts.model_loader.TsModelLoader.load).
        An envelope remembers things from call to call, so there is one of a name for as long as the handler lives."""
        if envelope not in self._entry_points:
            entry = self._handle
            if envelope is not None:
                from ts.model_loader import TsModelLoader

                wrapper = TsModelLoader()._load_default_envelope(envelope)(self._inside)
                self._watch.watch(wrapper, "parse_input", "envelope in")
                self._watch.watch(wrapper, "format_output", "envelope out")
                entry = wrapper.handle
            self._entry_points[envelope] = self._observed(entry)
        return self._entry_points[envelope]

    def _inside(self, data: Any, context: Any) -> Any:
        """The handler behind an envelope: hear of what it returns itself."""
        self._result = self._handle(data, context)
        return self._result

    def _observed(self, entry: _EntryPoint) -> _EntryPoint:
        """Hear of what an entry point gets, returns and raises."""

        def observed(data: list[Any], context: Any) -> Any:
            self._rows = data
            try:
                self._returned = entry(data, context)
            except BaseException as error:
                self._raised = error
                raise
            return self._returned

        return observed

    def _instrument(self) -> _Clocked:
        """Say what the handler is, and have its stages and TorchServe's encoder timed."""
        import ts.service

        inner = self._handle
        name = type(inner.__self__).__name__ if inspect.ismethod(inner) else getattr(inner, "__name__", repr(inner))
        self.entry_point = f"{'class' if inspect.ismethod(inner) else 'function'} {name}"
        self._ends = [_ending(groups) for groups in _micro_batching(inner)]
        handler = getattr(inner, "__self__", None)
        #: What the handler does to a photograph, where it says so as TorchServe's vision handlers do.
        self.geometry = Geometry.of(inspect.getattr_static(handler, "image_processing", None))
        kind = type(getattr(inner, "__self__", None))
        found = {name: inspect.getattr_static(kind, name, None) for name in _STAGES}
        timed = [
            (kind, name, self._watch.time(name, stage))
            for name, stage in found.items()
            if isinstance(stage, types.FunctionType)
        ]
        return _Clocked([*timed, (ts.service, "create_predict_response", self._encode)])

    def _load_error(self, error: BaseException, refusal: Refusal) -> LoadError:
        cause = error
        while (
            isinstance(cause, ModuleNotFoundError)
            and cause.name
            and cause.name.startswith("ts.torch_handler.")
            and cause.__context__
        ):
            cause = cause.__context__  # the loader tried the default handlers next; the first failure is the real one
        memory = isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "CUDA" in str(error))
        info = self.describe_error(cause)
        evidence = why.Evidence(cause, info, classes=self._classes())
        return self._staged.refused(evidence, self.journal.take(), refusal(507 if memory else 500))

    def _classes(self) -> tuple[type, ...]:
        from ts.utils.util import list_classes_from_module

        name = self._model.handler.partition(":")[0].removesuffix(".py")
        module = self._guard.module(name)
        return tuple(list_classes_from_module(module)) if module else ()


class _Clocked:
    """For the length of a call, attributes of classes and modules as their timed selves. Others share them (a default
    handler's class belongs to every worker of the process), so each is left as it was."""

    def __init__(self, timed: Sequence[tuple[Any, str, Callable[..., Any]]]) -> None:
        self._timed = timed
        self._before: list[Any] = []

    def __enter__(self) -> None:
        self._before = [vars(holder).get(name, _MISSING) for holder, name, _ in self._timed]
        for holder, name, function in self._timed:
            setattr(holder, name, function)

    def __exit__(self, *_: object) -> None:
        for (holder, name, _function), before in zip(self._timed, self._before, strict=True):
            delattr(holder, name) if before is _MISSING else setattr(holder, name, before)


def _micro_batching(entry: Any) -> Iterator[dict[str, list[Any]]]:
    """The thread groups of the micro-batching that a handler made, as its `handle` or in another attribute."""
    if (module := sys.modules.get("ts.handler_utils.micro_batching")) is None:
        return
    handler = getattr(entry, "handler", None) or getattr(entry, "__self__", None)
    for value in vars(handler).values() if hasattr(handler, "__dict__") else ():
        if isinstance(value, module.MicroBatching):
            yield value.thread_groups


def _ending(groups: dict[str, list[Any]]) -> Callable[[], None]:
    """What ends those threads. They are not daemons, so the interpreter would wait for them for ever."""

    def end() -> None:
        for worker in [worker for group in groups.values() for worker in group]:
            worker.event.set()

    threading._register_atexit(end)  # type: ignore[attr-defined]  # atexit itself comes after the threads' end
    return end


class _Socket:
    """The worker's connection, for the intermediate answers a handler sends."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, message: bytes) -> None:
        self.sent.append(bytes(message))
