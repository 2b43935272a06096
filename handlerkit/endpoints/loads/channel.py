"""A worker process as its Worker sees it: its connection, its two streams and its end, waited for together."""

from __future__ import annotations

import io
import os
import select
import signal
import socket
import time
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from handlerkit.endpoints.loads.fork_server import fork_server
from handlerkit.errors import WorkerError
from handlerkit.folders import remove_folder
from handlerkit.serving.wire import Buffers
from handlerkit.serving.worker_death import WorkerDeath, WorkerDied, exited
from handlerkit.worker_process import frames
from handlerkit.worker_process.fork_server import NUMBER, Request
from handlerkit.worker_process.frames import DRAIN, Frame
from handlerkit.worker_process.log_capture import Journal

#: Seconds the process may take to go, once its connection is closed, and once it is killed.
_GRACE, _LAST_WORDS = 0.5, 5.0
_PIECE = 1 << 18
#: Pieces read after an answer: a thread that writes without end must not hold it up.
_PIECES = 64
#: Seconds for which an answer is waited for alone, before the streams are looked at too; and between looks at Ctrl-C.
_QUICK, _SLOW = 0.02, 0.5
#: Buffers that one sendmsg takes.
_AT_ONCE = 512


class Channel:
    """A new worker process; what it writes goes to the journal. `status` is its exit status (minus the number of the
    signal that ended it) once that is known.

    `close()` ends the process, waits for that and removes `folder`; so does the end of this process, in whatever way.
    Raises WorkerError where no process can be started.
    """

    def __init__(self, folder: Path, journal: Journal, *, fresh: bool = False) -> None:
        self.status: int | None = None
        self._told = bytearray()
        self._hung_up = self._given_up = False
        self._heard_slowly = False
        self._journal = journal
        held: list[socket.socket | io.FileIO] = []
        try:
            self._socket, theirs = socket.socketpair()
            held += (self._socket, theirs)
            theirs.setblocking(True)  # whatever time-out sockets have in this process
            pipes = []
            for _ in range(3):
                read, write = (io.FileIO(end, mode) for end, mode in zip(os.pipe(), "rw", strict=True))
                held += (read, write)
                pipes.append((read, write))
            (out, out_end), (err, err_end), (status, status_end) = pipes
            files = (theirs.fileno(), out_end.fileno(), err_end.fileno(), status_end.fileno())
            fork_server().make_worker(Request(fresh, str(folder), files))
        except OSError as problem:
            for one in held:
                one.close()
            raise WorkerError(f"no worker process can be started: {problem.strerror or problem}") from problem
        for end in (theirs, out_end, err_end, status_end):
            end.close()
        self._status_pipe = status
        self._streams = ((out, journal.write_out), (err, journal.write_err))
        self._socket.setblocking(False)
        frames.widen(self._socket)
        self._inbox = frames.Inbox(self._socket)
        for pipe in (out, err, status):
            os.set_blocking(pipe.fileno(), False)
        self._process = _Process()
        self._held = (self._process, self._socket, status, (out, err), self._told)
        self._close = weakref.finalize(self, _close, *self._held, folder, os.getpid())
        self._quick, self._slow = select.poll(), select.poll()
        for poll in (self._quick, self._slow):
            poll.register(self._socket, select.POLLIN)
            poll.register(status, select.POLLIN)
        self._slow.register(out, select.POLLIN)
        self._slow.register(err, select.POLLIN)

    @property
    def alive(self) -> bool:
        """Whether the process runs, as far as that was heard of."""
        if self._close.alive and not self._hung_up:
            self._look(self._quick.poll(0))
        return self._close.alive and not self._hung_up

    def send(self, kind: bytes, payload: Buffers = (), seconds: float = 60.0) -> None:
        """Send a frame. Raises WorkerDied where it cannot be sent."""
        size = sum(map(len, payload))
        buffers: tuple[bytes | memoryview, ...] = (frames.header(kind, size), *payload)
        unsent = deque([memoryview(buffer) for buffer in buffers if len(buffer)])
        until = time.monotonic() + seconds
        while unsent:
            try:
                sent = self._socket.sendmsg(list(islice(unsent, _AT_ONCE)))
            except BlockingIOError:
                self._wait(until - time.monotonic(), writing=True)
                if self._hung_up or time.monotonic() > until:
                    raise self._gone() from None
                continue
            except OSError:
                raise self._gone() from None
            while unsent and sent >= len(unsent[0]):
                sent -= len(unsent.popleft())
            if sent:
                unsent[0] = unsent[0][sent:]

    def receive(self, until: float, late: WorkerDeath) -> Frame:
        """The next frame, waited for until then (time.monotonic()). Raises WorkerDied, of `late` where there
        is none in time."""
        while True:
            if (frame := self._inbox.take()) is not None:
                if frame.kind != DRAIN:
                    return frame
                self.drain()
            elif self._hung_up:
                raise self._gone()
            elif (left := until - time.monotonic()) < 0:
                raise WorkerDied(late)
            else:
                self._wait(left)

    def answered(self) -> None:
        """The call is over: read what the worker wrote meanwhile."""
        self._heard_slowly = False
        self.drain()

    def interrupt(self) -> None:
        """Ctrl-C for the process."""
        if self._process.pid is None:
            self._given_up = True
        else:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGINT)

    @property
    def pid(self) -> int | None:
        """The process's id, once it is known."""
        return self._process.pid

    def end(self) -> None:
        """End the process and the connection, and leave the folder."""
        self._hung_up = True
        self._close.detach()
        _close(*self._held, None, os.getpid())

    def kill(self) -> None:
        """End the process now."""
        self._given_up = True
        self._process.kill()

    def close(self) -> None:
        """End the process and the connection, and remove the folder."""
        self._hung_up = True
        self._close()

    def drain(self) -> None:
        """Read what the worker has written to its streams."""
        for stream, write in self._streams:
            for _ in range(_PIECES):
                if not (piece := stream.read(_PIECE)):
                    break
                write(piece)
                if len(piece) < _PIECE:
                    break

    def _wait(self, seconds: float, writing: bool = False) -> None:
        """Take in what comes first, if anything comes until then."""
        if self._given_up:
            self._hung_up = True
            return
        if writing:
            self._slow.modify(self._socket, select.POLLIN | select.POLLOUT)
        try:
            slowly = writing or self._heard_slowly
            events = (self._slow if slowly else self._quick).poll(
                max(0.0, min(seconds, _SLOW if slowly else _QUICK)) * 1000
            )
        finally:
            if writing:
                self._slow.modify(self._socket, select.POLLIN)
        self._heard_slowly = self._heard_slowly or not events
        self._look(events)

    def _look(self, events: Sequence[tuple[int, int]]) -> None:
        for file, event in events:
            if file == self._socket.fileno():
                if event & ~select.POLLOUT:
                    self._receive()
            elif file == self._status_pipe.fileno():
                self._hear_status()
            else:
                self.drain()
                if event & select.POLLHUP and not event & select.POLLIN:
                    self._slow.unregister(file)

    def _receive(self) -> bool:
        """Take in what is there. Whether more can come."""
        try:
            if self._inbox.read():
                return True
        except BlockingIOError:
            return False
        except OSError:
            pass
        self._hang_up()
        return False

    def _hear_status(self) -> None:
        """The process id, and later how the process ended; nothing where the fork server ended."""
        piece = self._status_pipe.read(2 * NUMBER.size)
        if piece is None:
            return
        self._told += piece
        self._process.hear(self._told)
        if not piece or len(self._told) == 2 * NUMBER.size:
            self.status = self._process.status
            while self._receive():
                pass
            self._hang_up()

    def _hang_up(self) -> None:
        self._hung_up = True
        for poll in (self._quick, self._slow):
            with suppress(KeyError):
                poll.unregister(self._socket)

    def _gone(self) -> WorkerDied:
        self._hang_up()
        until = time.monotonic() + _LAST_WORDS
        while not self._process.has_ended and not self._given_up and (left := until - time.monotonic()) > 0:
            if not self._close.alive:
                break
            self._heard_slowly = True
            self._wait(left)
        self.drain()
        status = self.status
        if status is None:
            if self._process.pid is None:
                return WorkerDied(exited(f"The worker process did not start. {fork_server().said()}".rstrip()))
            return WorkerDied(exited("The worker closed its connection."))
        if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
            killed = "was killed (SIGKILL)" if status < 0 else f"ended with status {status}"
            also = "as for lack of memory; the server answers 507 instead of 500 when it notices in time"
            return WorkerDied(exited(f"The worker process {killed}, {also}."))
        if status < 0:
            return WorkerDied(exited(f"The worker process was ended by {signal.Signals(-status).name}."))
        return WorkerDied(exited(f"The worker process ended with status {status}."))


class _Process:
    """What is known of the process: its id, and its exit status."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.status: int | None = None
        self.has_ended = False

    def hear(self, told: bytearray) -> None:
        """What the fork server wrote so far."""
        if len(told) >= NUMBER.size:
            (self.pid,) = NUMBER.unpack_from(told)
        if len(told) == 2 * NUMBER.size:
            (self.status,) = NUMBER.unpack_from(told, NUMBER.size)
            self.has_ended = True

    def kill(self) -> None:
        """End it, and the processes that it started."""
        if self.pid is not None and not self.has_ended:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def _close(
    process: _Process,
    connection: socket.socket,
    status: io.FileIO,
    streams: Sequence[io.FileIO],
    told: bytearray,
    folder: Path | None,
    owner: int,
) -> None:
    """Have the process end by itself, else end it, and wait for that. Does nothing in one that was forked off."""
    if os.getpid() != owner:
        return
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
    for seconds, act in ((_GRACE, process.kill), (_LAST_WORDS, lambda: None)):
        if not _ended(process, status, streams, told, seconds):
            act()
        if process.pid is None:
            break  # it did not start, and when it does it finds nobody
    for file in (status, *streams):
        file.close()
    if folder is not None:
        remove_folder(folder)


def _ended(process: _Process, status: io.FileIO, streams: Sequence[io.FileIO], told: bytearray, seconds: float) -> bool:
    """Whether the process ends within that time; what it writes meanwhile is lost."""
    if status.closed:
        return True
    until = time.monotonic() + seconds
    poll = select.poll()
    for file in (status, *streams):
        poll.register(file, select.POLLIN)
    while not process.has_ended and (left := until - time.monotonic()) > 0:
        for ready, _ in poll.poll(left * 1000):
            if ready == status.fileno():
                piece = status.read(2 * NUMBER.size)
                told += piece or b""
                process.hear(told)
                if piece == b"":
                    process.has_ended = True
            else:
                stream = next(one for one in streams if one.fileno() == ready)
                if not stream.read(_PIECE):
                    poll.unregister(ready)
    return process.has_ended
