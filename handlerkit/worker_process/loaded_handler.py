"""One load of a handler by TorchServe's own loader: what a worker process holds from its start to its end."""

from __future__ import annotations

import gc
import inspect
import itertools
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from handlerkit import why
from handlerkit.context import metrics_cache
from handlerkit.memory import peak_memory
from handlerkit.messages import ErrorInfo, Finding, Geometry
from handlerkit.serving.wire import Buffers, MessageReader
from handlerkit.serving.worker_death import not_encoded
from handlerkit.timing import Stopwatch, Timings
from handlerkit.worker_process import process_state
from handlerkit.worker_process.assignment import Assignment, Called, Failed, LoadReply
from handlerkit.worker_process.hot_reload.load_trace import LoadRecord
from handlerkit.worker_process.hot_reload.reload import Swap
from handlerkit.worker_process.hot_reload.state_snapshot import RngStates
from handlerkit.worker_process.log_capture import PlainPaths, without_kit
from handlerkit.worker_process.micro_batching import ending, handler_of, thread_groups, timed_threads
from handlerkit.worker_process.side_effects import Recorder
from handlerkit.worker_process.stage_clock import Clocked, synchronize
from handlerkit.worker_process.user_files import UserFiles

#: Methods that TorchServe's own handlers have; a handler may add its own.
_STAGES = ("preprocess", "inference", "postprocess", "explain_handle", "describe_handle")
#: How many bytes a call's objects may keep until the next call, and how many objects are counted to find out.
_KEPT_BYTES, _COUNTED = 1 << 20, 128
#: How many exceptions of a chain are looked at.
_CHAIN = 10
_EntryPoint = Callable[[list[Any], Any], Any]


class NotLoadedError(Exception):
    """TorchServe's loader failed; `failed` says how, and the cause is the live exception."""

    def __init__(self, failed: Failed) -> None:
        super().__init__("the handler does not load")
        self.failed = failed


class LoadedHandler:
    """A handler, loaded from its model_dir.

    Args:
        given: the model, and how it is registered.
        send: takes each intermediate answer that the handler sends, and the seconds into the call.
        inside: around each piece of the handler's code that runs; a worker process needs nothing there.

    Raises NotLoadedError if TorchServe's loader fails.
    """

    def __init__(
        self,
        given: Assignment,
        send: Callable[[bytes, float], object],
        inside: AbstractContextManager[object] | None = None,
    ) -> None:
        from ts.handler_utils import micro_batching
        from ts.model_loader import TsModelLoader
        from ts.protocol.otf_message_handler import create_predict_response, retrieve_msg

        self._given = given
        self._batch_size = given.batch_size
        self._users = UserFiles(str(given.model_dir), given.sources)
        self._paths = PlainPaths(given.model_dir, self._users)
        self._inside: AbstractContextManager[object] = inside if inside is not None else nullcontext()
        self._recorder = Recorder(str(given.model_dir), self._name_of, given.sources.values())
        self._called = self._has_written = False
        self._last = next(reversed(sys.modules))  # the modules that came since follow it
        self._ends: list[Callable[[], object]] = [self._users.install()]
        self._entry_points: dict[str | None, _EntryPoint] = {}
        self._forget()
        self._watch = Stopwatch()
        self._socket = _Socket(send, self._watch)
        self._retrieve = retrieve_msg
        self._encode = self._watch.time("encode", create_predict_response)
        self._threads = (micro_batching, "execute_call", timed_threads(self._watch))
        model, config = given.model, given.config
        with self._inside:
            try:
                metrics = metrics_cache(model.name, config.metrics_config)
                rngs = RngStates()
                with LoadRecord(given.model_dir) as record, self._recorder, Clocked([self._threads]):
                    self._service = TsModelLoader().load(
                        model.name, str(given.model_dir), model.handler, given.gpu_id, given.batch_size, None,
                        config.limit_max_image_pixels, metrics,
                    )  # fmt: skip
            except BaseException as error:
                self.close()
                raise NotLoadedError(self._failed(error)) from error
            record.read |= self._recorder.opened
            self._seen = self._recorder.take()
            self._calls = why.record_calls(self._service.context)
            self._handle = self._service._entry_point
            self._timed_handle = self._watch.handle(self._handle)
            self._service._entry_point = self._behind(config.service_envelope)
            self._clocked = self._instrument()
            given.files.loaded(given.model_dir, self._users)
            handler = handler_of(self._handle) or self._handle
            self._modules = self._own_modules()
            with self._without_own():
                self._swap = Swap(
                    given.files, record, rngs, self._modules, handler, self._service.context, model.handler
                )
                self._put_back = process_state.keep()

    @property
    def loaded(self) -> LoadReply:
        """What was found."""
        return LoadReply(self.entry_point, self.geometry, self._seen)

    def swap(self, batch_size: int | None = None) -> str:
        """Read the model's files again, put what changed into the loaded handler, set its batch size, and put
        everything else back to what it was after the load. Returns what changed, as half a sentence.

        Raises ReloadRequired if the result might answer differently from a handler that is loaded again; this one may
        not be called after that.
        """
        self._forget()
        other = batch_size if batch_size != self._batch_size else None
        with self._without_own():
            changed, structural = self._swap.swap(called=self._called, put_back=self._put_back, batch_size=other)
        self._called, self._batch_size = False, batch_size or self._batch_size
        self._has_written = False
        self._recorder.look()
        self._entry_points.clear()
        if structural:
            self._clocked = self._instrument()
        return changed

    def call(self, message: Buffers, envelope: str | None, measures_memory: bool) -> tuple[bytes | None, Called]:
        """Let TorchServe's worker code answer a predict message, with this envelope around the handler: the answer, and
        what was seen of the call. What the handler was given, returned and raised is kept for `explain`."""
        if measures_memory:
            (reply, timings), memory = peak_memory(lambda: self._call(message, envelope))
        else:
            (reply, timings), memory = self._call(message, envelope), None
        # not held in a local: its traceback refers to this frame, so that each would keep the other alive
        info = self.describe_error(self._raised) if self._raised is not None else None
        death = not_encoded(self._raised) if reply is None and self._raised is not None else None
        bodies = tuple(map(why.kind_of_body, self._rows))
        carried = len(reply or b"") + sum(map(len, message))
        much = carried > _KEPT_BYTES or _is_much(self._rows, self._returned, self._result)
        return reply, Called(timings, info, death, bodies, bool(self._calls), memory, self._recorder.take(), much)

    def explain(self, attempt: why.Attempt) -> tuple[Finding, ...]:
        """The causes of how the last call ended, while its objects are alive. To be called once."""
        error = self._raised
        calls = [call._replace(file=self._users.staged(call.file)) for call in self._calls]
        found = why.explain(why.Evidence(
            attempt, why.CodeFiles(self._given.own, self._given.model_dir), error,
            self.describe_error(error) if error is not None else None, self._rows,
            why.Returned(self._returned, self._result), calls, earlier=self._earlier(error),
        ))  # fmt: skip
        if inspect.iscoroutine(self._returned):
            self._returned.close()  # a finding says so; Python's own warning would come later
        del error
        self._forget()
        if attempt.failed:
            gc.collect(1)  # an exception, or json's encoder that raised one, may be in cycles with these objects
        return found

    def forget(self) -> None:
        """Release what `explain` looks at."""
        self._forget()

    @property
    def raised(self) -> BaseException | None:
        """What the last call raised, for debuggers."""
        return self._raised

    def describe_error(self, error: BaseException) -> ErrorInfo:
        """An exception as plain data, without the kit's frames and this machine's paths."""
        chained: BaseException | None = error
        while chained is not None:
            chained.__traceback__ = without_kit(chained.__traceback__)
            chained = chained.__cause__ or (None if chained.__suppress_context__ else chained.__context__)
        info = ErrorInfo.of(error)
        plain = self._paths.plain
        frames = tuple(replace(frame, file=plain(f'File "{frame.file}')[len('File "') :]) for frame in info.frames)
        return ErrorInfo(info.type, plain(info.message), frames, plain(info.traceback))

    def _earlier(self, error: BaseException | None) -> list[tuple[BaseException, ErrorInfo]]:
        """The exceptions that were being handled when this one was raised."""
        found: list[tuple[BaseException, ErrorInfo]] = []
        while error is not None and len(found) < _CHAIN:
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
            if error is not None:
                found.append((error, self.describe_error(error)))
        return found

    def close(self) -> None:
        """End the threads of the handler's micro-batching, and undo what the kit set up in this process."""
        for end in self._ends:
            end()

    def _forget(self) -> None:
        self._raised: BaseException | None = None
        self._returned: Any = None
        self._result: Any = None
        self._rows: list[Any] = []

    def _call(self, message: Buffers, envelope: str | None) -> tuple[bytes | None, Timings]:
        self._called = True
        self._service.set_cl_socket(self._socket)
        self._forget()
        self._calls.clear()
        reply, timings = None, Timings(0.0)
        try:
            with self._inside, self._recorder, self._clocked:
                self._service._entry_point = self._behind(envelope)
                self._watch.start(synchronize())
                try:
                    _, batch = self._retrieve(MessageReader(message))
                    self._watch.first("decode")
                    reply = self._service.predict(batch)
                finally:
                    timings = self._watch.stop()
                    why.record_debug(self._calls, self._given.own)
                    self._note_written()
        except BaseException as problem:
            self._raised = problem
        return reply, timings

    def _note_written(self) -> None:
        """Record the files that the call left in model_dir; once for a load, for it tells of each call's otherwise."""
        for name, where in self._recorder.written():
            if not self._has_written:
                self._calls.append(why.RecordedCall("wrote", (name, where)))
            self._has_written = True

    def _behind(self, envelope: str | None) -> _EntryPoint:
        """The handler with an envelope around it, as the loader puts it there (ts.model_loader.TsModelLoader.load).
        An envelope keeps state from call to call, so there is one of each name as long as the handler lives."""
        if envelope not in self._entry_points:
            entry = self._timed_handle
            if envelope is not None:
                from ts.model_loader import TsModelLoader

                wrapper = TsModelLoader()._load_default_envelope(envelope)(self._within)
                self._watch.watch(wrapper, "parse_input", "envelope in")
                self._watch.watch(wrapper, "format_output", "envelope out")
                entry = wrapper.handle
            self._entry_points[envelope] = self._observed(entry)
        return self._entry_points[envelope]

    def _name_of(self, file: str) -> str | None:
        """The name of the model's own file that code comes from; None for other code."""
        folder, staged = f"{self._given.model_dir}/", self._users.staged(file)
        return staged.removeprefix(folder) if staged.startswith(folder) else None

    def _within(self, data: Any, context: Any) -> Any:
        """The handler behind an envelope; keeps what it returns."""
        self._result = self._timed_handle(data, context)
        return self._result

    def _observed(self, entry: _EntryPoint) -> _EntryPoint:
        """An entry point that keeps what it gets, returns and raises."""

        def observed(data: list[Any], context: Any) -> Any:
            self._rows = data
            try:
                self._returned = entry(data, context)
            except BaseException as error:
                self._raised = error
                raise
            return self._returned

        return observed

    def _instrument(self) -> Clocked:
        """Find out what the handler is, and time its stages and TorchServe's encoder."""
        import ts.service

        inner = self._handle
        handler = handler_of(inner)
        named = inner if handler is None else type(handler)
        name = getattr(named, "__name__", type(named).__name__)  # a callable object has none
        #: What TorchServe's loader found: "class Name" or "function name".
        self.entry_point = f"{'function' if handler is None else 'class'} {name}"
        self._ends += [ending(groups) for groups in thread_groups(inner)]
        #: What the handler does to an input image, where it says so as TorchServe's vision handlers do.
        self.geometry = Geometry.of(inspect.getattr_static(handler, "image_processing", None))
        kind = type(handler)
        timed = [(kind, name, self._watch.time(name, stage)) for name, stage in self._methods(kind)]
        return Clocked([*timed, self._threads, (ts.service, "create_predict_response", self._encode)])

    def _methods(self, kind: type) -> Iterator[tuple[str, types.FunctionType]]:
        """The methods of a handler that count as stages when `handle` calls them: those that TorchServe's handlers
        have, and its own."""
        own = [vars(each) for each in kind.__mro__ if self._is_own(sys.modules.get(each.__module__))]
        for name in dict.fromkeys([*_STAGES, *(name for names in own for name in names)]):
            method = inspect.getattr_static(kind, name, None)
            if isinstance(method, types.FunctionType) and name not in ("initialize", "handle") and name[:2] != "__":
                yield name, method

    def _own_modules(self) -> dict[str, types.ModuleType]:
        """The modules that were loaded from model_dir, by name."""
        new = list(itertools.takewhile(lambda name: name != self._last, reversed(sys.modules)))
        return {name: sys.modules[name] for name in reversed(new) if self._is_own(sys.modules[name])}

    @contextmanager
    def _without_own(self) -> Iterator[None]:
        """Take the handler's own modules out of sys.modules meanwhile: what can be imported counts as a library's.
        Those that requests imported are dropped."""
        for name in self._own_modules():
            del sys.modules[name]
        try:
            yield
        finally:
            sys.modules.update(self._modules)

    def _is_own(self, module: types.ModuleType | None) -> bool:
        file = getattr(module, "__file__", None)
        return isinstance(file, str) and file.startswith(f"{self._given.model_dir}/")

    def _failed(self, error: BaseException) -> Failed:
        cause = error
        while (
            isinstance(cause, ModuleNotFoundError)
            and cause.name
            and cause.name.startswith("ts.torch_handler.")
            and cause.__context__
        ):
            cause = cause.__context__  # the loader tried the default handlers next; the first failure is the real one
        info = self.describe_error(cause)
        given, model = self._given, self._given.model
        setup = why.Setup(model.name, model.version, model.handler)
        attempt = why.Attempt(setup, loading=True, notebook=given.notebook)
        source = why.CodeFiles(given.own, given.model_dir, self._classes())
        findings = why.explain(why.Evidence(attempt, source, cause, info))
        memory = isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "CUDA" in str(error))
        return Failed(info, findings, memory, isinstance(error, RuntimeError | MemoryError))

    def _classes(self) -> tuple[type, ...]:
        from ts.utils.util import list_classes_from_module

        module = sys.modules.get(self._given.model.handler.partition(":")[0].removesuffix(".py"))
        return tuple(list_classes_from_module(module)) if module is not None and self._is_own(module) else ()


def _is_much(*kept: Any) -> bool:
    """Whether objects may take much memory: anything may but a few numbers and short texts in lists and dicts."""
    size, unseen = 0, list(kept)
    for one in unseen:  # the list grows while it is read
        if type(one) in (str, bytes, bytearray):
            size += len(one)
        elif type(one) in (list, dict):
            if len(unseen) + len(one) > _COUNTED:
                return True
            unseen += one if type(one) is list else one.values()
        elif type(one) not in (int, float, bool, type(None)):
            return True
    return size > _KEPT_BYTES


class _Socket:
    """The worker's connection, for the intermediate answers a handler sends."""

    def __init__(self, send: Callable[[bytes, float], object], watch: Stopwatch) -> None:
        self._send = send
        self._watch = watch

    def sendall(self, message: bytes) -> None:
        self._send(bytes(message), self._watch.elapsed())
