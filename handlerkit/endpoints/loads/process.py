"""One load of a handler in a worker process: a child that may crash, hang and be killed."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the functions under `signal`'s, which make enums of their arguments
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from handlerkit import why
from handlerkit.endpoints.loads.channel import Channel
from handlerkit.endpoints.loads.staged_model import StagedModel, WorkerSpec
from handlerkit.messages import ErrorInfo, Finding, Geometry, LogLine, SideEffect
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.wire import Buffers, WorkerResponse
from handlerkit.serving.worker_death import WorkerDeath, WorkerDied, stale, timed_out, too_slow
from handlerkit.timing import Timings
from handlerkit.worker_process import packets
from handlerkit.worker_process.assignment import Called, Failed, LoadReply
from handlerkit.worker_process.outcome import Answers, Outcome
from handlerkit.worker_process.reload_required import ReloadRequired

#: Seconds that the causes, and a swap, may take: no code of the handler runs meanwhile, but its objects are looked at.
_EXPLAINS, _SWAPS = 20, 120
_INTERRUPT = int(signal.SIGINT)
_SILENT = timed_out("The worker does not tell.")

#: Called with log lines and intermediate answers while the handler works.
Hear = Callable[[LogLine | WorkerResponse], object]


class WorkerProcess:
    """A handler, loaded in a process of its own.

    Raises LoadError if that fails, WorkerError if there can be no process. `close()` ends the process and removes
    the model_dir; so does the end of this process, in whatever way.
    """

    #: The exception of the last call stays in its process.
    raised: BaseException | None = None

    def __init__(self, spec: WorkerSpec, hear: Hear | None = None) -> None:
        self._spec = spec
        self._lock = threading.Lock()
        #: An answer is still to come that no request asked for.
        self._unasked = False
        self._alive = True
        self._holds_much = False
        self._staged = StagedModel(spec)
        self._journal = self._staged.journal
        self.logs: tuple[LogLine, ...] = ()
        self.entry_point = ""
        self.geometry: Geometry | None = None
        #: What the handler did beyond its own files while it was loaded.
        self.seen: tuple[SideEffect, ...] = ()
        self._journal.hear = hear
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        finally:
            self._journal.hear = None

    @property
    def model_dir(self) -> Path:
        """Where the model's files are staged."""
        return self._staged.model_dir

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return self._channel.pid

    @property
    def alive(self) -> bool:
        """Whether the worker can be asked again."""
        return self._alive and self._channel.alive

    def call(self, message: Buffers, envelope: str | None, measures_memory: bool, hear: Hear | None) -> Outcome:
        """Let the worker answer a predict message, with this envelope around the handler.

        Ctrl-C interrupts the handler where it is, and is raised with that place as its text; a second one ends the
        process. A worker that died is ended.
        """
        with self._lock, _CtrlC(self._channel) as ctrl_c:
            self._journal.hear = hear
            try:
                outcome = self._call(message, envelope, measures_memory, hear)
            finally:
                self._journal.hear = None
            if ctrl_c.pressed:
                self._interrupted(outcome)
            return outcome

    def explain(self, attempt: why.Attempt) -> tuple[Finding, ...]:
        """The causes of what the last call led to: from the worker, while its objects are alive; if it is gone, from
        what is known here."""
        if self.alive:
            try:
                self._channel.send(packets.EXPLAIN, (packets.pack(attempt),))
                found: tuple[Finding, ...] = self._done(_EXPLAINS)
                return found
            except WorkerDied:
                self._end()
        given = self._staged.given
        return why.explain(why.Evidence(attempt, why.CodeFiles(given.own, given.model_dir)))

    def forget(self) -> None:
        """Nobody asks why: the worker lets go of the last call's objects, now if they are large, else with the next
        call."""
        if not self._holds_much:
            return
        try:
            self._channel.send(packets.FORGET)
        except WorkerDied:
            self._end()

    def swap(self, batch_size: int | None = None) -> str:
        """Have the worker read the model's files again, and take batches of this size. Returns what changed, as half a
        sentence; raises ReloadRequired."""
        with self._lock:
            if not self.alive or not self.model_dir.is_dir():
                raise ReloadRequired("the worker was gone" if not self.alive else "its folder was gone")
            try:
                self._channel.send(packets.SWAP, (packets.pack(batch_size),))
                changed, reason, self.entry_point, self.geometry, self.seen = self._done(_SWAPS)
            except (WorkerDied, ValueError):
                raise ReloadRequired("the worker did not answer") from None
            finally:
                self._channel.answered()
            if reason:
                raise ReloadRequired(str(reason))
            return str(changed)

    def close(self, wait: bool = True) -> None:
        """End the worker and remove its model_dir, in the background without `wait`."""
        self._alive = False
        channel = getattr(self, "_channel", None)
        end = self._staged.remove if channel is None else channel.close
        if wait:
            end()
        else:
            threading.Thread(target=end, name="handlerkit ends a worker").start()

    def _start(self) -> None:
        loaded = None
        for fresh in (False, True):
            self._channel = Channel(self._staged.folder, self._journal, self._spec.environment, fresh=fresh)
            with _CtrlC(self._channel) as ctrl_c:
                try:
                    loaded = self._load(self._spec.startup_timeout)
                except WorkerDied as problem:
                    self.logs += self._channel.answered()
                    loaded = self._staged.died(problem.death, self.logs)
                else:
                    self.logs += self._channel.answered()
            if loaded is not None:
                break
            self._channel.end()
        if ctrl_c.pressed and (not isinstance(loaded, LoadReply)):
            raise KeyboardInterrupt(_place(loaded.error if loaded else None, self._staged.given.own))
        if isinstance(loaded, Failed):
            raise self._staged.refused(loaded, self.logs, self._spec.refusal(507 if loaded.memory else 500))
        assert loaded is not None
        self.entry_point, self.geometry, self.seen = loaded

    def _load(self, seconds: int) -> LoadReply | Failed | None:
        """What came of it; None if a new process is needed."""
        slow = timed_out(f"The worker process did not start within {facts.WORKER_START} s.")
        self._channel.greet(time.monotonic() + facts.WORKER_START, slow)
        self._channel.send(packets.LOAD, (packets.pack(self._staged.given),))
        slow = timed_out(f"The handler did not load within the startup timeout of {seconds} s.")
        reply = self._done(seconds, slow)
        if reply is None:
            return None
        return LoadReply(*reply) if len(reply) == len(LoadReply._fields) else Failed(*reply)

    def _call(self, message: Buffers, envelope: str | None, measures_memory: bool, hear: Hear | None) -> Outcome:
        outcome = Outcome(Called(Timings(0.0)))
        answers = Answers(self._spec.config.max_response_size)
        begun = time.perf_counter()
        seconds, slow = self._spec.response_timeout, too_slow(self._spec.response_timeout)
        until = time.monotonic() + seconds
        try:
            if self._unasked:
                raise WorkerDied(stale())
            shared = self._channel.shared
            self._channel.send(packets.CALL, shared.pack_call(measures_memory, envelope, message), seconds + 1)
            while (packet := self._channel.receive(until, slow)).kind != packets.ANSWER:
                if packet.kind == packets.PIECE:
                    (elapsed,) = packets.SECONDS.unpack_from(packet.payload)
                    piece = answers.take(packet.payload[packets.SECONDS.size :], elapsed)
                    until = time.monotonic() + seconds
                    if hear is not None:
                        hear(piece)
            plain, answer = shared.read_answer(packet.payload)
            outcome.called = Called.of(plain)
            self._holds_much = outcome.called.holds_much
            outcome.death = outcome.called.death
            if answer:
                try:
                    answers.take(answer, 0.0)
                except WorkerDied as problem:
                    outcome.death = problem.death
        except WorkerDied as problem:
            outcome.death = problem.death
            outcome.called = Called(Timings(time.perf_counter() - begun))
            self._end()
        outcome.intermediate, outcome.reply, self._unasked = answers.intermediate, answers.reply, answers.unasked
        if outcome.reply is None and not outcome.death:
            outcome.death = slow  # the frontend waits for the rest of the stream, which never comes
        if outcome.intermediate and outcome.reply is not None:
            outcome.reply = outcome.reply._replace(elapsed=outcome.called.timings.total)
        outcome.logs = self._channel.answered()
        return outcome

    def _interrupted(self, outcome: Outcome) -> None:
        """Raise KeyboardInterrupt, unless the handler swallowed it and answered."""
        error = outcome.called.error
        if outcome.death and (error is None or error.type == "KeyboardInterrupt"):
            raise KeyboardInterrupt(_place(error, self._staged.given.own))

    def _done(self, seconds: float, slow: WorkerDeath = _SILENT) -> Any:
        """What the worker says when it is done with anything but a call."""
        until = time.monotonic() + seconds
        while (packet := self._channel.receive(until, slow)).kind != packets.DONE:
            pass
        return packets.read_plain(packet.payload)

    def _end(self) -> None:
        """End the process; what it wrote can still be read."""
        self._alive = False
        self._channel.kill()


class _CtrlC:
    """Hands Ctrl-C on to the worker, which is no longer in the group that a terminal sends it to."""

    def __init__(self, channel: Channel) -> None:
        #: How often it was pressed.
        self.pressed = 0
        self._channel = channel
        self._before: Any = None

    def __enter__(self) -> _CtrlC:
        if threading.get_ident() == threading.main_thread().ident:
            before = _signal.getsignal(_INTERRUPT)
            if callable(before):
                self._before = before
                _signal.signal(_INTERRUPT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            _signal.signal(_INTERRUPT, self._before)

    def _press(self, number: int, frame: FrameType | None) -> None:
        self.pressed += 1
        if self.pressed == 1:
            self._channel.interrupt()
        else:
            self._channel.kill()


def _place(error: ErrorInfo | None, files: tuple[str, ...]) -> str:
    """The innermost line of the model's own files."""
    frames = error.frames if error is not None else ()
    found = next((frame for frame in reversed(frames) if frame.file in files), None)
    return why.place(found.file, found.line, found.function, found.source) if found else ""
