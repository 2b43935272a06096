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
from handlerkit.endpoints.load_record import LoadRecord
from handlerkit.endpoints.logs import without_kit
from handlerkit.endpoints.model_files import ModelFiles
from handlerkit.endpoints.outcome import Outcome, late, unreadable, unsendable
from handlerkit.endpoints.reload import Swap
from handlerkit.endpoints.seen import Recorder
from handlerkit.endpoints.snapshot import Dice
from handlerkit.endpoints.staged import Refusal, Staged, variables
from handlerkit.errors import LoadError
from handlerkit.messages import ErrorInfo, Geometry
from handlerkit.model import Model
from handlerkit.timing import Stopwatch
from handlerkit.wire import Buffers, ProtocolError, Reader

#: Methods that TorchServe's own handlers have, beside those a handler has of its own.
_STAGES = ("preprocess", "inference", "postprocess", "explain_handle", "describe_handle")
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
        from ts.handler_utils import micro_batching
        from ts.model_loader import TsModelLoader
        from ts.protocol.otf_message_handler import create_predict_response, retrieve_msg

        self._model = model
        files = ModelFiles(model)
        self._staged = Staged(model)
        self._response_timeout = response_timeout
        self._batch_size = batch_size
        self.model_dir = self._staged.model_dir
        self.files = self._staged.files
        self.journal = self._staged.journal
        self._guard = Guard(self.model_dir, variables(config), self.journal)
        self._recorder = Recorder(str(self.model_dir), self._name_of)
        #: Modules in the archive's root that stand before installed ones of the same name.
        self.shadows = self._guard.shadows()
        self._called = False
        self._ends: list[Callable[[], object]] = []
        self._entry_points: dict[str | None, _EntryPoint] = {}
        self._rows: list[Any] = []
        self._returned: Any = None
        self._result: Any = None
        self._raised: BaseException | None = None
        self._watch = Stopwatch()
        self._retrieve = retrieve_msg
        self._encode = self._watch.time("encode", create_predict_response)
        self._threads = (micro_batching, "execute_call", _timed_threads(self._watch))
        try:
            with self._guard, _Clocked([self._threads]):
                metrics = metrics_cache(model.name)
                import ts.torch_handler.base_handler  # noqa: F401

                self.journal.take()  # what TorchServe says of itself, and only to the first load of a process
                dice = Dice()
                with LoadRecord(self.model_dir) as record, self._recorder:
                    self._service = TsModelLoader().load(
                        model.name, str(self.model_dir), model.handler, gpu_id, batch_size, None,
                        config.limit_max_image_pixels, metrics,
                    )  # fmt: skip
                self._noted = why.watch(self._service.context)
                self._handle = self._service._entry_point
                self._timed_handle = self._watch.handle(self._handle)
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
        #: What the handler did beyond its own files while it was loaded.
        self.seen = self._recorder.take()
        self._clocked = self._instrument()
        files.loaded(self.model_dir)
        self._put_back = self._guard.keep()
        handler = _handler_of(self._handle) or self._handle
        # outside of the guard, where sys.modules does not hold the handler's own
        self._swap = Swap(
            files, record, dice, self._guard.modules(), handler, self._service.context, model.handler
        )  # fmt: skip

    def swap(self, batch_size: int | None = None) -> str:
        """Read the model's files again, put what changed into the loaded handler, and everything else back to what it
        was after the load; tell it of another batch size. Returns what changed, as half a sentence.

        Raises LoadAnew where that might answer otherwise than a handler that is loaded anew; it may then be in no state
        to be called.
        """
        other = batch_size if batch_size != self._batch_size else None
        changed, structural = self._swap.swap(called=self._called, put_back=self._put_back, batch_size=other)
        self._called, self._batch_size = False, batch_size or self._batch_size
        self._entry_points.clear()
        if structural:
            self._clocked = self._instrument()
        return changed

    def call(self, message: Buffers, envelope: str | None = None) -> Outcome:
        """Let TorchServe's worker code answer a predict message, with this envelope around the handler.

        Raises KeyboardInterrupt for a Ctrl-C of the user, not for one that the handler raised.
        """
        self._called = True
        socket = _Socket(self._watch)
        self._service.set_cl_socket(socket)
        self._raised = self._returned = self._result = None
        self._rows = []
        self._noted.clear()
        reply, error = None, None
        try:
            with self._guard, self._recorder, self._clocked:
                self._service._entry_point = self._behind(envelope)
                self._watch.start(_synchronize())
                try:
                    _, batch = self._retrieve(Reader(message))
                    self._watch.first("decode")
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
            result=self._result, noted=tuple(self._noted), seen=self._recorder.take(),
        )  # fmt: skip
        self._decode(outcome, reply, socket.sent)
        self._raised = self._returned = self._result = None
        self._rows = []
        return outcome

    def _decode(self, outcome: Outcome, reply: bytearray | None, before: list[tuple[bytes, float]]) -> None:
        """What the frontend reads in the answers, and whether it drops the worker for it."""
        try:
            for piece, after in before:
                outcome.before.append(wire.decode_answer(piece)._replace(after=after))
            if outcome.timings.total > self._response_timeout:
                outcome.died = late(self._response_timeout)
            elif reply is not None:
                answer = wire.decode_answer(reply)
                outcome.reply = answer._replace(after=outcome.timings.total) if before else answer
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
            entry = self._timed_handle
            if envelope is not None:
                from ts.model_loader import TsModelLoader

                wrapper = TsModelLoader()._load_default_envelope(envelope)(self._inside)
                self._watch.watch(wrapper, "parse_input", "envelope in")
                self._watch.watch(wrapper, "format_output", "envelope out")
                entry = wrapper.handle
            self._entry_points[envelope] = self._observed(entry)
        return self._entry_points[envelope]

    def _name_of(self, file: str) -> str | None:
        """The name of the model's own file that code comes from; None for other code."""
        folder = f"{self.model_dir}/"
        return file.removeprefix(folder) if file.startswith(folder) else None

    def _inside(self, data: Any, context: Any) -> Any:
        """The handler behind an envelope: hear of what it returns itself."""
        self._result = self._timed_handle(data, context)
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
        handler = _handler_of(inner)
        named = inner if handler is None else type(handler)
        name = getattr(named, "__name__", type(named).__name__)  # a callable that is no function has none
        self.entry_point = f"{'function' if handler is None else 'class'} {name}"
        self._ends = [_ending(groups) for groups in _micro_batching(inner)]
        #: What the handler does to a photograph, where it says so as TorchServe's vision handlers do.
        self.geometry = Geometry.of(inspect.getattr_static(handler, "image_processing", None))
        kind = type(handler)
        timed = [(kind, name, self._watch.time(name, stage)) for name, stage in self._methods(kind)]
        return _Clocked([*timed, self._threads, (ts.service, "create_predict_response", self._encode)])

    def _methods(self, kind: type) -> Iterator[tuple[str, types.FunctionType]]:
        """The methods of a handler that are stages where its `handle` calls them: those that TorchServe's handlers
        have, and its own."""
        own = [vars(each) for each in kind.__mro__ if self._guard.module(each.__module__)]
        for name in dict.fromkeys([*_STAGES, *(name for names in own for name in names)]):
            method = inspect.getattr_static(kind, name, None)
            if isinstance(method, types.FunctionType) and name not in ("initialize", "handle") and name[:2] != "__":
                yield name, method

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


def _timed_threads(watch: Stopwatch) -> Callable[..., None]:
    """ts.handler_utils.micro_batching.execute_call, with the stage that its thread runs reporting to `watch`."""
    from ts.handler_utils.micro_batching import execute_call

    def execute(in_queue: Any, out_queue: Any, handle: Callable[..., Any], *rest: Any) -> None:
        execute_call(in_queue, out_queue, watch.time(handle.__name__, handle), *rest)

    return execute


def _synchronize() -> Callable[[], object] | None:
    """What waits for the GPU, where this process uses one: kernels run on after the call that starts them."""
    torch = sys.modules.get("torch")
    return torch.cuda.synchronize if torch is not None and torch.cuda.is_initialized() else None


def _handler_of(entry: Any) -> Any:
    """The object whose method an entry point is, or that micro-batching stands before; None for a function."""
    return getattr(entry, "handler", None) or getattr(entry, "__self__", None)


def _micro_batching(entry: Any) -> Iterator[dict[str, list[Any]]]:
    """The thread groups of the micro-batching that a handler made, as its `handle` or in another attribute."""
    if (module := sys.modules.get("ts.handler_utils.micro_batching")) is None:
        return
    handler = _handler_of(entry)
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

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self.sent: list[tuple[bytes, float]] = []  # with the seconds into the call

    def sendall(self, message: bytes) -> None:
        self.sent.append((bytes(message), self._watch.elapsed()))
