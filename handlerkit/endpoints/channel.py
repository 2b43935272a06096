"""TorchServe's worker script as a child process: its socket, its two streams and its end, waited for together."""

from __future__ import annotations

import io
import os
import selectors
import signal
import socket
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from importlib import util
from pathlib import Path
from typing import Any, BinaryIO

from handlerkit.endpoints.config import Config
from handlerkit.endpoints.guarded import Guarded, shell_environment
from handlerkit.endpoints.outcome import WorkerDied, too_long, unreadable
from handlerkit.endpoints.staged import Staged, variables
from handlerkit.wire import Answer, Buffers, ProtocolError, TooLongError, take_answer

#: Seconds the process may take to go, once its connection is closed.
_LAST_WORDS = 5.0
_PIECE = 1 << 18
#: Pieces read after an answer: a thread that writes without end must not hold it up.
_PIECES = 64


class Channel:
    """A worker process in a staged model_dir; what it writes goes to the staged journal.

    Every wait looks at the socket and at both streams, so that none of them fills up and stops the worker. `status` is
    the exit status of a process that ended by itself, once that was met. `close()` ends the process and removes what
    was staged; so does the end of this process.
    """

    def __init__(self, staged: Staged, config: Config) -> None:
        self._limit = config.max_response_size
        self._path = str(staged.folder / ".ts.sock.9000")
        self._received = bytearray()
        self._unsent: deque[memoryview] = deque()
        self._hung_up = False
        self.status: int | None = None
        self._socket = socket.socket(socket.AF_UNIX)
        self._selector = selectors.DefaultSelector()
        streams = [os.pipe(), os.pipe()]
        try:
            self._process = Guarded(
                _command(self._path), staged.folder, cwd=staged.model_dir, env=_environment(staged, config),
                stdout=streams[0][1], stderr=streams[1][1],
            )  # fmt: skip
        finally:
            for _, end in streams:
                os.close(end)
        self._streams = [io.FileIO(end) for end, _ in streams]
        self._close = weakref.finalize(self, _close, self._process.end, [self._socket, *self._streams])
        sinks = (staged.journal.stdout.buffer, staged.journal.stderr.buffer)
        self._readers = [_reader(stream, sink) for stream, sink in zip(self._streams, sinks, strict=True)]
        for stream, read in zip(self._streams, self._readers, strict=True):
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, read)
        self._selector.register(self._process, selectors.EVENT_READ, self._ended)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._close.alive and not self._hung_up and not self._process.has_ended()

    def connect(self, seconds: float) -> None:
        """Wait until the worker listens. Raises WorkerDied where it does not come to that."""
        until = time.monotonic() + seconds
        while self._socket.connect_ex(self._path):
            if self._hung_up:
                raise self._gone()
            if time.monotonic() > until:
                raise WorkerDied(f"timeout: The worker process did not listen within {seconds} s.")
            self._wait(until)
        self._socket.setblocking(False)
        self._selector.register(self._socket, selectors.EVENT_READ, self._on_socket)

    def ask(self, message: Buffers, seconds: float, late: str) -> Answer:
        """Send a message, if it is not empty, and wait for the next answer.

        Raises WorkerDied, with the text `late` where there is no answer in time.
        """
        if self._hung_up:
            raise self._gone()
        until = time.monotonic() + seconds
        if message:
            self._unsent.extend(memoryview(buffer) for buffer in message if len(buffer))
            self._selector.modify(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self._on_socket)
        while (answer := self._take()) is None:
            if self._hung_up:
                raise self._gone()
            if time.monotonic() > until:
                raise WorkerDied(unreadable("it ends too early, so it is waited for") if self._received else late)
            self._wait(until)
        return answer

    def stop(self) -> None:
        """End the process; what it wrote can still be read."""
        self._process.end()
        self._hang_up()

    def close(self) -> None:
        """End the process and the connection."""
        self._selector.close()
        self._close()

    def drain(self) -> None:
        """Read what the worker has written to its streams."""
        for read in self._readers:
            for _ in range(_PIECES):
                if not read(selectors.EVENT_READ):
                    break

    def _take(self) -> Answer | None:
        try:
            taken = take_answer(self._received, self._limit)
        except TooLongError as problem:
            raise WorkerDied(too_long(problem.size, self._limit)) from None
        except ProtocolError as problem:
            raise WorkerDied(unreadable(problem)) from None
        if taken is None:
            return None
        answer, size = taken
        del self._received[:size]
        return answer

    def _wait(self, until: float) -> None:
        """Take in what comes first, if anything comes until then."""
        for key, events in self._selector.select(max(0.0, until - time.monotonic())):
            key.data(events)

    def _on_socket(self, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._send()
            if events & selectors.EVENT_READ:
                self._receive()
        except ConnectionError:
            self._hang_up()

    def _send(self) -> None:
        piece = self._unsent.popleft()
        sent = self._socket.send(piece)
        if sent < len(piece):
            self._unsent.appendleft(piece[sent:])
        if not self._unsent:
            self._selector.modify(self._socket, selectors.EVENT_READ, self._on_socket)

    def _receive(self) -> None:
        """All that is there: fewer attempts to read an answer of many pieces."""
        with suppress(BlockingIOError):
            while piece := self._socket.recv(_PIECE):
                self._received += piece
            self._hang_up()

    def _hang_up(self) -> None:
        self._hung_up = True
        if self._socket in self._selector.get_map():
            self._selector.unregister(self._socket)

    def _ended(self, events: int) -> None:
        """The process has ended: no more will come than is there."""
        self._selector.unregister(self._process)
        if self._socket in self._selector.get_map():
            self._on_socket(selectors.EVENT_READ)
        self._hang_up()

    def _gone(self) -> WorkerDied:
        until = time.monotonic() + _LAST_WORDS
        while self._process in self._selector.get_map() and time.monotonic() < until:
            self._wait(until)
        if self.status is None:
            self.status = self._process.status()
        status = self.status
        if status is None:
            return WorkerDied("exit: The worker closed its connection.")
        if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
            killed = "was killed (SIGKILL)" if status < 0 else f"ended with status {status}"
            also = "as for lack of memory; the server answers 507 instead of 500 when it notices in time"
            return WorkerDied(f"exit: The worker process {killed}, {also}.")
        if status < 0:
            return WorkerDied(f"exit: The worker process was ended by {signal.Signals(-status).name}.")
        return WorkerDied(f"exit: The worker process ended with status {status}.")


def _reader(stream: Any, sink: BinaryIO) -> Callable[[int], bool]:
    """What moves a piece of the stream into the journal, if there is one."""

    def read(events: int) -> bool:
        piece = stream.read(_PIECE)
        if piece:
            sink.write(piece)
        return bool(piece)

    return read


def _command(path: str) -> list[str]:
    """The worker's command line (org.pytorch.serve.wlm.WorkerLifeCycle); unbuffered, so that a crash loses no line."""
    spec = util.find_spec("ts")  # ts itself need not be imported
    assert spec is not None
    assert spec.origin is not None
    home = Path(spec.origin).parent
    return [
        *(sys.executable, "-u", str(home / "model_service_worker.py")),
        *("--sock-type", "unix", "--sock-name", path),
        *("--metrics-config", str(home / "configs" / "metrics.yaml")),
    ]


def _environment(staged: Staged, config: Config) -> dict[str, str]:
    """A shell's, and what TorchServe adds; PYTHONPATH as org.pytorch.serve.util.messages.EnvironmentUtils writes it."""
    file, colon, _ = staged.model.handler.partition(":")
    path = [*([file] if colon else []), str(staged.model_dir), ""]
    return shell_environment() | variables(config) | {"PYTHONPATH": os.pathsep.join(path)}


def _close(end: Callable[[], object], held: list[Any]) -> None:
    for each in held:
        each.close()
    end()
