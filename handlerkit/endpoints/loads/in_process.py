"""One load of a handler in this process, for a debugger: breakpoints stop here, and exceptions stay alive.

It isolates little: see `Borrowed`. What a handler changes beside that stays changed, what the notebook changed reaches
the handler, and whatever ends a worker ends this process.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from handlerkit import why
from handlerkit.endpoints.loads.process import Hear
from handlerkit.endpoints.loads.staged_model import StagedModel, WorkerSpec
from handlerkit.messages import Finding, LogLine
from handlerkit.serving.wire import Buffers
from handlerkit.serving.worker_death import WorkerDeath, WorkerDied, too_slow
from handlerkit.worker_process.loaded_handler import LoadedHandler, NotLoadedError
from handlerkit.worker_process.log_capture import Journal, without_kit
from handlerkit.worker_process.outcome import Answers, Outcome
from handlerkit.worker_process.reload_required import ReloadRequired

#: One handler call at a time in a process: what is borrowed belongs to the process.
_LOCK = threading.RLock()


class InProcess:
    """A handler, loaded in this process. It answers as `WorkerProcess` does.

    `raised` is the last call's live exception.

    Raises LoadError if that fails. A call is not ended after the response_timeout; it is told that it would be.
    """

    alive = True
    pid = os.getpid()

    def __init__(self, spec: WorkerSpec, hear: Hear | None = None) -> None:
        self._spec = spec
        self._answers = Answers(spec.config.max_response_size)
        self._broken: WorkerDeath | None = None
        self._hear: Hear | None = None
        self._staged = StagedModel(spec)
        self.model_dir: Path = self._staged.model_dir
        self._journal = self._staged.journal
        self._journal.hear = hear
        self.raised: BaseException | None = None
        borrowed = Borrowed(self._staged, self._journal)
        try:
            self._handler = LoadedHandler(self._staged.given, self._piece, borrowed)
        except NotLoadedError as problem:
            self._staged.remove()
            live = problem.__cause__
            if isinstance(live, KeyboardInterrupt):
                raise live from None
            failed = self._staged.refused(
                problem.failed, self._journal.take(), spec.refusal(507 if problem.failed.memory else 500)
            )
            # with the handler's own frames, so that a debugger opens in them
            raise failed.with_traceback(without_kit(live.__traceback__ if live else None)) from live
        finally:
            self._journal.hear = None
        self.logs: tuple[LogLine, ...] = self._journal.take()
        self.entry_point, self.geometry, self.seen = self._handler.loaded

    def call(self, message: Buffers, envelope: str | None, measures_memory: bool, hear: Hear | None) -> Outcome:
        """Let TorchServe's worker code answer a predict message, with this envelope around the handler. Raises
        KeyboardInterrupt."""
        self._answers, self._broken = Answers(self._spec.config.max_response_size), None
        self._hear = self._journal.hear = hear
        try:
            reply, called = self._handler.call(message, envelope, measures_memory)
        finally:
            self._hear = self._journal.hear = None
        self.raised = self._handler.raised
        if isinstance(self.raised, KeyboardInterrupt) and reply is None:
            raise self.raised
        outcome = Outcome(called, logs=self._journal.take(), death=self._broken or called.death)
        if reply is not None and not outcome.death:
            try:
                self._answers.take(reply, called.timings.total if self._answers.intermediate else 0.0)
            except WorkerDied as problem:
                outcome.death = problem.death
        seconds = self._spec.response_timeout
        if called.timings.total > seconds or (self._answers.reply is None and not outcome.death):
            outcome.death = too_slow(seconds)
        outcome.intermediate, outcome.reply = self._answers.intermediate, self._answers.reply
        return outcome

    def explain(self, attempt: why.Attempt) -> tuple[Finding, ...]:
        """The causes of what the last call led to."""
        found = self._handler.explain(attempt)
        self.forget()
        return found

    def forget(self) -> None:
        """Let go of the last call's objects."""
        self._handler.forget()
        self.raised = None

    def swap(self, batch_size: int | None = None) -> str:
        """Raises ReloadRequired: this process is not as it was after the load."""
        raise ReloadRequired("a worker in the notebook's process always does")

    def close(self, wait: bool = True) -> None:
        """Forget the handler, end its micro-batching and remove its model_dir, in the background without `wait`."""
        self._handler.close()
        (self._staged.remove if wait else self._staged.discard)()

    def _piece(self, piece: bytes, seconds: float) -> None:
        if not self._broken:
            try:
                answer = self._answers.take(piece, seconds)
            except WorkerDied as problem:
                self._broken = problem.death
            else:
                if self._hear is not None:
                    self._hear(answer)


class Borrowed:
    """Around the handler's code: the working directory, sys.path, the variables that it is given, the modules of
    model_dir, and the root logger's handler; what is printed is shown and kept. Nothing else is a worker's.
    """

    def __init__(self, staged: StagedModel, journal: Journal) -> None:
        self._given = staged.given
        self._variables = staged.borrowed
        self._journal = journal
        self._modules: dict[str, ModuleType] = {}
        self._undo: list[Callable[[], object]] = []
        self._depth = 0

    def __enter__(self) -> None:
        _LOCK.acquire()
        self._depth += 1
        if self._depth > 1:
            return
        folder, path, streams = os.getcwd(), list(sys.path), (sys.stdout, sys.stderr)
        root, level, handlers = logging.root, logging.root.level, logging.root.handlers
        before = {name: os.environ.get(name) for name in self._variables}
        hidden = {name: sys.modules.pop(name) for name in self._own_names() if name in sys.modules}
        sys.modules.update(self._modules)
        sys.path[:0] = self._given.path
        os.chdir(self._given.model_dir)
        os.environ.update(self._variables)
        root.handlers = [self._journal.handler]
        root.setLevel(min(level, logging.INFO))
        sys.stdout, sys.stderr = _Tee(streams[0], self._journal.stdout), _Tee(streams[1], self._journal.stderr)

        def back() -> None:
            sys.stdout, sys.stderr = streams
            root.handlers = handlers
            root.setLevel(level)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            os.chdir(folder)
            sys.path[:] = path
            own = f"{self._given.model_dir}{os.sep}"
            names = [name for name, one in sys.modules.items() if str(getattr(one, "__file__", "")).startswith(own)]
            self._modules = {name: sys.modules.pop(name) for name in names}
            sys.modules.update(hidden)

        self._undo.append(back)

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        try:
            if not self._depth:
                self._undo.pop()()
        finally:
            _LOCK.release()

    def _own_names(self) -> set[str]:
        """The modules in model_dir; the notebook may have its own of these names."""
        handler = self._given.model.handler.partition(":")[0].removesuffix(".py")
        names = {name.partition("/")[0].removesuffix(".py") for name in self._given.own}
        names -= sys.stdlib_module_names - {handler}  # what everything here may be using
        return {name for name in sys.modules if name.partition(".")[0] in names}


class _Tee(io.TextIOBase):
    """A stream that writes to two: the notebook's, where a debugger shows its prompts, and the journal's."""

    def __init__(self, shown: TextIO, kept: TextIO) -> None:
        self._shown = shown
        self._kept = kept

    def write(self, text: str) -> int:
        self._kept.write(text)
        return self._shown.write(text)

    def flush(self) -> None:
        self._shown.flush()

    def close(self) -> None:
        """Neither stream is its own; that of a notebook may be closed when this is collected."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shown, name)
