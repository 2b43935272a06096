"""A worker process as its Worker sees it: its connection, its two streams and its end, waited for together."""

from __future__ import annotations

import io
import os
import select
import signal
import socket
import struct
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from handlerkit.endpoints.loads.fork_server import fork_server
from handlerkit.endpoints.loads.stream_reader import StreamReader
from handlerkit.errors import WorkerError
from handlerkit.folders import remove_folder
from handlerkit.messages import LogLine
from handlerkit.serving.wire import Buffers
from handlerkit.serving.worker_death import WorkerDeath, WorkerDied, exited
from handlerkit.worker_process import packets
from handlerkit.worker_process.fork_server import NUMBER, ForkRequest
from handlerkit.worker_process.log_capture import Journal
from handlerkit.worker_process.packets import DRAIN, Packet

#: Seconds the process may take to go, once its connection is closed, and once it is killed.
_GRACE, _LAST_WORDS = 0.5, 5.0
#: Bytes read of a stream at once: what a pipe holds.
_PIECE = 1 << 16
#: Seconds for which an answer is waited for alone, before the streams are looked at too; and between looks at Ctrl-C.
_QUICK, _SLOW = 0.02, 0.5
#: Seconds for which an answer is looked for again and again before this process sleeps: to be woken takes 30 µs.
_AWAKE = 0.0003
#: Buffers that one sendmsg takes.
_AT_ONCE = 512


class Channel:
    """A new worker process, with these variables of the environment beside the shell's; what it writes goes to the
    journal. `status` is its exit status (minus the number of the signal that ended it) once that is known.

    `close()` ends the process, waits for that and removes `folder`; so does the end of this process, in whatever way.
    Raises WorkerError if no process can be started.
    """

    def __init__(
        self, folder: Path, journal: Journal, environment: Mapping[str, str] | None = None, *, fresh: bool = False
    ) -> None:
        self.status: int | None = None
        self._told = bytearray()
        self._hung_up = self._given_up = False
        #: The fork server is gone, and tells no status.
        self._status_unknown = False
        self._heard_slowly = False
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
            held.append(shared := packets.shared_file())
            #: Where large messages and answers are.
            self.shared = packets.SharedMemory(shared.fileno())
            ends = (theirs, shared, out_end, err_end, status_end)
            connection, memory, stdout, stderr, ending = (end.fileno() for end in ends)
            self._server = fork_server(environment)  # which lives as long as this
            self._server.make_worker(ForkRequest(fresh, str(folder), (connection, memory, stdout, stderr, ending)))
        except OSError as problem:
            for one in held:
                one.close()
            raise WorkerError(f"no worker process can be started: {problem.strerror or problem}") from problem
        for end in ends:
            end.close()
        self._status_pipe = status
        self._streams = StreamReader(journal, out, err)
        self._socket.setblocking(True)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, int(_QUICK * 1e6)))
        packets.widen(self._socket)
        self._inbox = packets.Inbox(self._socket)
        for pipe in (out, err, status):
            os.set_blocking(pipe.fileno(), False)
        self._process = _ProcessStatus()
        self._held = (self._process, self._socket, status, self._streams, self._told)
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
        if self._hung_up or not self._close.alive:
            return False
        if events := self._quick.poll(0):
            self._look(events)
        return not self._hung_up

    def send(self, kind: bytes, payload: Buffers = (), seconds: float = 60.0) -> None:
        """Send a packet. Raises WorkerDied if it cannot be sent."""
        buffers: Buffers = (packets.header(kind, size := sum(map(len, payload))), *payload)
        sent = self._sent(buffers[:_AT_ONCE])
        if sent == len(buffers[0]) + size:
            return
        unsent = deque([memoryview(buffer) for buffer in buffers if len(buffer)])
        until = time.monotonic() + seconds
        while True:
            while unsent and sent >= len(unsent[0]):
                sent -= len(unsent.popleft())
            if not unsent:
                return
            unsent[0] = unsent[0][sent:]
            if not (sent := self._sent(list(islice(unsent, _AT_ONCE)))):
                self._wait(until - time.monotonic(), writing=True)
                if self._hung_up or time.monotonic() > until:
                    raise self._gone()

    def _sent(self, buffers: Sequence[bytes | memoryview]) -> int:
        """How many of these bytes the connection takes now. Raises WorkerDied if it is closed."""
        try:
            return self._socket.sendmsg(buffers, (), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:
            raise self._gone() from None

    def receive(self, until: float, late: WorkerDeath) -> Packet:
        """The next packet, waited for until then (time.monotonic()). Raises WorkerDied, of `late` where there
        is none in time."""
        self._streams.awaited = True
        try:
            while True:
                if (packet := self._inbox.take()) is not None:
                    if packet.kind != DRAIN:
                        return packet
                    self._streams.drain()
                elif self._hung_up:
                    raise self._gone()
                elif (left := until - time.monotonic()) < 0:
                    raise WorkerDied(late)
                else:
                    self._wait(left)
        finally:
            self._streams.awaited = False

    def answered(self) -> tuple[LogLine, ...]:
        """The call is over: what the worker wrote meanwhile, and since the call before."""
        self._heard_slowly = False
        return self._streams.take()

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

    def greet(self, until: float, late: WorkerDeath) -> None:
        """Wait for the process's first frame. It has the process's id, as the fork server may die before it tells."""
        pid = packets.read_hello(self.receive(until, late).payload)
        self._process.pid = self._process.pid or pid

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

    def _wait(self, seconds: float, writing: bool = False) -> None:
        """Take in what comes first, if anything comes until then."""
        if self._given_up:
            self._hung_up = True
            return
        if not (writing or self._heard_slowly) and seconds > _QUICK:
            if not self._receives_soon():
                self._heard_slowly = not self._receive(0)
            return
        if writing:
            self._slow.modify(self._socket, select.POLLIN | select.POLLOUT)
        try:
            self._look(self._slow.poll(max(0.0, min(seconds, _SLOW)) * 1000))
        finally:
            if writing:
                self._slow.modify(self._socket, select.POLLIN)

    def _receives_soon(self) -> bool:
        """Whether something came, or the connection ended, while this process stayed awake for it."""
        until = time.perf_counter() + _AWAKE
        while not (self._receive() or self._hung_up):
            if time.perf_counter() > until:
                return False
            os.sched_yield()
        return True

    def _look(self, events: Sequence[tuple[int, int]]) -> None:
        for file, event in events:
            if file == self._socket.fileno():
                if event & ~select.POLLOUT:
                    self._receive()
            elif file == self._status_pipe.fileno():
                self._hear_status()
            else:
                self._streams.drain()
                if event & select.POLLHUP and not event & select.POLLIN:
                    self._slow.unregister(file)

    def _receive(self, flags: int = socket.MSG_DONTWAIT) -> bool:
        """Take in what is there; without flags, what comes first. Whether something did."""
        try:
            if self._inbox.read(flags):
                return True
        except BlockingIOError:
            return False
        except OSError:
            pass
        self._hang_up()
        return False

    def _hear_status(self) -> None:
        """The process id, and later how the process ended; nothing if the fork server ended."""
        piece = self._status_pipe.read(2 * NUMBER.size)
        if piece is None:
            return
        self._told += piece
        self._process.hear(self._told)
        if not piece or len(self._told) == 2 * NUMBER.size:
            self.status = self._process.status
            self._status_unknown = not piece
            for poll in (self._quick, self._slow):
                poll.unregister(self._status_pipe)
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
        while self._close.alive and not (self._process.has_ended or self._status_unknown or self._given_up):
            if (left := until - time.monotonic()) <= 0:
                break
            self._heard_slowly = True
            self._wait(left)
        self._streams.drain()
        status = self.status
        if status is None:
            if self._process.pid is None:
                return WorkerDied(exited(f"The worker process did not start. {self._server.said()}".rstrip()))
            return WorkerDied(exited("The worker closed its connection."))
        if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
            killed = "was killed (SIGKILL)" if status < 0 else f"ended with status {status}"
            also = "as for lack of memory; the server answers 507 instead of 500 when it notices in time"
            return WorkerDied(exited(f"The worker process {killed}, {also}."))
        if status < 0:
            return WorkerDied(exited(f"The worker process was ended by {signal.Signals(-status).name}."))
        return WorkerDied(exited(f"The worker process ended with status {status}."))


class _ProcessStatus:
    """What is known of the process: its id, and its exit status."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.status: int | None = None
        self.has_ended = False

    def hear(self, numbers: bytearray) -> None:
        """What the fork server wrote so far."""
        if len(numbers) >= NUMBER.size:
            (self.pid,) = NUMBER.unpack_from(numbers)
        if len(numbers) == 2 * NUMBER.size:
            (self.status,) = NUMBER.unpack_from(numbers, NUMBER.size)
            self.has_ended = True

    def kill(self) -> None:
        """End it, and the processes that it started."""
        if self.pid is not None and not self.has_ended:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def _close(
    process: _ProcessStatus,
    connection: socket.socket,
    status: io.FileIO,
    streams: StreamReader,
    numbers: bytearray,
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
        if not _ended(process, status, streams.files, numbers, seconds):
            act()
        if process.pid is None:
            break  # it did not start, and when it does it finds nobody
    status.close()
    streams.close()
    if folder is not None:
        remove_folder(folder)


def _ended(
    process: _ProcessStatus, status: io.FileIO, streams: Sequence[io.FileIO], numbers: bytearray, seconds: float
) -> bool:
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
                numbers += piece or b""
                process.hear(numbers)
                if piece == b"" and not process.has_ended:  # the fork server was killed, and ends nothing any more
                    process.kill()
                    process.has_ended = True
            else:
                stream = next(one for one in streams if one.fileno() == ready)
                if not stream.read(_PIECE):
                    poll.unregister(ready)
    return process.has_ended
