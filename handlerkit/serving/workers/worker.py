"""One worker of a model: a process that runs TorchServe's own Python code, started again when it died.

It does what org.pytorch.serve.wlm.WorkerLifeCycle and WorkerThread do: the command line, the environment, the time-outs
and the pauses between two starts are theirs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .. import torchserve_facts as facts
from .. import wire
from ..config import Config
from ..frontend import QueuedRequest
from ..wire import Buffers, ProtocolError, TooLongError, WorkerResponse
from ..worker_death import WorkerDeath, WorkerDied, back_off, exited, too_long, too_slow, unreadable
from . import start, worker_command
from .any_worker import LoadFailed, Owner
from .processes import Process, Supervisor
from .recorder import Recorder

_STARTED = "Torch worker started."
_READ = 1 << 18
#: Bytes of a socket's buffer: an image fits, so that a worker gets it in one piece.
_SOCKET_BUFFER = 1 << 20
#: Buffers that one call of sendmsg takes on every system.
_MOST_BUFFERS = 512
_LOG_LINES = 200
#: Seconds a worker that was told to end, or says that it does, is waited for.
_ENDS = 5
_LOGGER = logging.getLogger("serving")


@dataclass(frozen=True)
class LoadSpec:
    """A model as its workers load it; times in seconds."""

    model: str
    model_dir: str
    handler: str
    config: Config
    batch_size: int
    response_timeout: int
    startup_timeout: int
    max_retry_timeout: float
    python: str = sys.executable
    any_casing: bool = False
    env: Mapping[str, str] | None = None

    def command(self, socket_name: str) -> tuple[str, ...]:
        """The worker's command line."""
        options = (start.ANY_CASING,) if self.any_casing else ()
        return (self.python, start.__file__, *options, *worker_command.command_line(socket_name, self.config))

    def environment(self, logs: str) -> dict[str, str]:
        """The worker's environment: this process's, and what TorchServe adds."""
        outer = os.environ if self.env is None else self.env
        return worker_command.environment(outer, self.handler, self.model_dir, self.config, logs)


class ProcessWorker:
    """One worker of a model, which is a process; its members are those of AnyWorker."""

    def __init__(
        self, number: int, given: LoadSpec, supervisor: Supervisor, owner: Owner, gpu_id: int | None = None
    ) -> None:
        self.number = number
        self.gpu_id = gpu_id
        self.since = datetime.now(timezone.utc)
        self.load_seconds = 0.0
        self._given = given
        self._supervisor = supervisor
        self._owner = owner
        self._recorder = Recorder(number)
        self._loop = asyncio.get_running_loop()
        self._process: Process | None = None
        self._connection: _WorkerSocket | None = None
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._listens: asyncio.Future[None] | None = None
        self._loaded: asyncio.Future[WorkerResponse] | None = None
        #: Batches that were sent and not answered: the worker has begun the first of them.
        self._sent = 0
        #: Answers that no batch waited for: the next one gets them.
        self._early: deque[WorkerResponse] = deque()
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """The process's id; 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    @property
    def serves(self) -> bool:
        """Whether the model is loaded."""
        return self._connection is not None and self._loaded is None

    async def run(self) -> None:
        """Start the worker, and again whenever it died, until it has failed for too long, or this is cancelled."""
        try:
            await self._run()
        finally:
            self._end()

    async def _run(self) -> None:
        deaths, failing_since = 0, None
        while True:
            try:
                process = await self._start()
            except LoadFailed as failed:
                self._owner.not_loaded(self, failed)
            else:
                deaths, failing_since = 0, None
                self._owner.loaded(self)
                await asyncio.shield(process.ended)
                self._die(exited("The worker's process ended."))
            now = self._loop.time()
            failing_since = now if failing_since is None else failing_since
            if now - failing_since > self._given.max_retry_timeout:
                self._owner.gone(self)
                return
            await asyncio.sleep(back_off(deaths))
            deaths += 1

    def send(self, batch: Sequence[QueuedRequest]) -> None:
        """Hand over a batch, which the worker begins when it has answered those before; the owner gets the answers.
        Only for a worker that serves."""
        assert self._connection is not None
        self._sent += 1
        if self._sent == 1:
            self.expect()
        message = wire.encode_batch([received.encoded for received in batch])
        self._recorder.keep(message)
        self._connection.send(message)
        while self._early and self._sent:
            self._answer(self._early.popleft())

    def expect(self) -> None:
        """Wait for an answer, or another one, for as long as the response time-out says."""
        self._deadline = self._loop.time() + self._given.response_timeout
        if self._timer is None:  # one timer serves many batches: it looks at the deadline when it goes off
            self._timer = self._loop.call_at(self._deadline, self._look)

    def rest(self) -> None:
        """The first batch is answered."""
        self._sent -= 1
        if self._sent:
            self.expect()

    def drain(self) -> None:
        """The owner hears what the process has written until now: all of it, where it answered or died since."""
        if self._process is not None:
            self._process.drain()

    def kill(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()

    async def _start(self) -> Process:
        """Raises LoadFailed."""
        given = self._given
        self._log.clear()
        self._early.clear()
        self._sent = 0
        begun = self._loop.time()
        self.since = datetime.now(timezone.utc)
        name = os.path.join(self._supervisor.folder, f".ts.sock.{self.number}")
        logs = os.path.join(self._supervisor.folder, "logs")
        self._listens = self._loop.create_future()
        try:
            with suppress(FileNotFoundError):
                os.remove(name)
            os.makedirs(logs, exist_ok=True)
            command, environment = given.command(name), given.environment(logs)
            process = self._supervisor.start(command, os.path.realpath(given.model_dir), environment, self._hear)
        except OSError as problem:
            raise self._failed(f"no process can be started: {problem.strerror}") from None
        except ImportError as missing:
            raise self._failed(str(missing)) from None
        self._process = process
        try:
            await self._until(self._listens, facts.WORKER_START, f"it did not start within {facts.WORKER_START} s")
            self._connection = _WorkerSocket(_connect(name), given.config.max_response_size, self._answer, self._die)
            self._loaded = self._loop.create_future()
            message = wire.encode_load(
                given.model, os.path.realpath(given.model_dir), given.batch_size, given.handler, self.gpu_id,
                given.config.service_envelope or "", given.config.limit_max_image_pixels,
            )  # fmt: skip
            self._connection.send((message,))
            slow = f"it did not load the model within {given.startup_timeout} s"
            await self._until(self._loaded, given.startup_timeout, slow)
            answer = self._loaded.result()
            if answer.code != 200:
                await asyncio.wait([process.ended], timeout=_ENDS)  # it says why before it ends by itself
                raise self._failed(answer.message, answer.code)
        except OSError as problem:
            self._end()
            raise self._failed(f"it cannot be reached: {problem}") from None
        except BaseException:
            self._end()
            raise
        self._loaded = None
        self.load_seconds = self._loop.time() - begun
        return process

    async def _until(self, awaited: asyncio.Future[Any], seconds: float, slow: str) -> None:
        """Raises LoadFailed where the process ends before, or the time."""
        assert self._process is not None
        ended = self._process.ended
        await asyncio.wait([awaited, ended], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if awaited.done():
            return
        reason = slow
        if ended.done():
            reason = f"its process ended with status {ended.result()}"
        else:
            self._process.kill()
            await asyncio.wait([ended], timeout=_ENDS)
        raise self._failed(reason)

    def _failed(self, reason: str, code: int = 0) -> LoadFailed:
        return LoadFailed(f"{self._given.model} does not load: {reason}", tuple(self._log), code)

    def _hear(self, stream: str, line: str) -> None:
        if line == _STARTED and self._listens is not None and not self._listens.done():
            self._listens.set_result(None)
        if self._connection is None or self._loaded is not None:
            self._log.append(line)
        self._owner.hear(self, stream, line)

    def _answer(self, answer: WorkerResponse) -> None:
        if self._loaded is not None:
            if not self._loaded.done():
                self._loaded.set_result(answer)
        elif not self._sent:
            self._early.append(answer)
        else:
            try:
                self._owner.answered(self, answer)
            except WorkerDied as problem:
                self._die(problem.death)
            except Exception as problem:  # as with TorchServe, whatever it is: the clients do not wait
                _LOGGER.exception("the answer of worker %d", self.number)
                self._die(unreadable(problem))

    def _look(self) -> None:
        self._timer = None
        if self._sent and self._connection is not None:
            if self._loop.time() >= self._deadline:
                self._die(too_slow(self._given.response_timeout))
            else:
                self._timer = self._loop.call_at(self._deadline, self._look)

    def _die(self, death: WorkerDeath) -> None:
        """What was sent gets no answer any more."""
        if self._connection is None:
            return
        if self._loaded is not None:  # its process says why before it ends by itself
            self._connection.close()
        else:
            self._end()
            self._owner.died(self, death)

    def _end(self) -> None:
        self._sent = 0
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.kill()


class _WorkerSocket:
    """The socket to a worker, which may be slow to read and writes answers in pieces.

    `hear` gets each answer, `lost` how it died when the worker closes it, or sends what the frontend cannot read.
    """

    def __init__(
        self,
        sock: socket.socket,
        limit: int,
        hear: Callable[[WorkerResponse], None],
        lost: Callable[[WorkerDeath], None],
    ) -> None:
        self._socket = sock
        self._limit = limit
        self._hear = hear
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        #: What a worker sends is read into the same place again and again; a part of an answer waits in `_received`.
        self._buffer = memoryview(bytearray(_READ))
        self._received = bytearray()
        self._unsent: deque[memoryview] = deque()
        self._closed = False
        self._loop.add_reader(sock, self._read)

    def send(self, buffers: Buffers) -> None:
        """Hand over a message: what the socket does not take at once follows when it can."""
        begin, waits = 0, bool(self._unsent)
        try:
            while not waits and begin < len(buffers):
                some = buffers[begin : begin + _MOST_BUFFERS]
                sent = self._socket.sendmsg(some)
                if sent < sum(map(len, some)):
                    waits = True
                    buffers = (*_from(some, sent), *buffers[begin + _MOST_BUFFERS :])
                    break
                begin += _MOST_BUFFERS
            else:
                buffers = buffers[begin:]
        except BlockingIOError:
            buffers = buffers[begin:]
        except OSError:
            return  # the reader hears of it
        if buffers:
            if not self._unsent:
                self._loop.add_writer(self._socket, self._write)
            self._unsent.extend(map(memoryview, buffers))

    def close(self) -> None:
        """Let go of it."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def _write(self) -> None:
        try:
            while self._unsent:
                piece = self._unsent.popleft()
                sent = self._socket.send(piece)
                if sent < len(piece):
                    self._unsent.appendleft(piece[sent:])
                    return
        except BlockingIOError:
            self._unsent.appendleft(piece)
            return
        except OSError:
            self._unsent.clear()
        self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            size = self._socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._lost(exited("The worker closed the connection."))
            return
        received: bytearray | memoryview = self._buffer[:size]
        if self._received:
            self._received += received
            received = self._received
        try:
            while received and (taken := wire.take_answer(received, self._limit)) is not None:
                answer, end = taken
                received = received[end:]
                self._hear(answer)
                if self._closed:
                    return
        except TooLongError as problem:
            self._lost(too_long(problem.size, self._limit))
        except ProtocolError as problem:
            self._lost(unreadable(problem))
        else:
            self._received = bytearray(received) if isinstance(received, memoryview) else received


def _from(buffers: Buffers, begin: int) -> Buffers:
    """What follows the first `begin` bytes."""
    left: list[bytes | memoryview] = []
    for buffer in buffers:
        if begin < len(buffer):
            left.append(memoryview(buffer)[begin:] if begin else buffer)
        begin = max(0, begin - len(buffer))
    return tuple(left)


def _connect(name: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, buffer, _SOCKET_BUFFER)
        sock.connect(name)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
