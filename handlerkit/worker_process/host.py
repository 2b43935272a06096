"""A worker process from its first line to its last: it becomes a worker of TorchServe, loads a handler, and answers."""

from __future__ import annotations

import atexit
import logging
import os
import random
import signal
import socket
import sys
import types
from collections.abc import Set
from pathlib import Path
from types import FrameType

from handlerkit.worker_process import packets, streams
from handlerkit.worker_process.assignment import Assignment
from handlerkit.worker_process.loaded_handler import LoadedHandler, NotLoadedError
from handlerkit.worker_process.log_capture import hide_kit
from handlerkit.worker_process.packets import Connection, SharedMemory
from handlerkit.worker_process.reload_required import ReloadRequired


class Host:
    """Serves one Worker, until that closes the connection."""

    def __init__(self, connection: socket.socket, shared: SharedMemory, fresh: bool, startup: Set[str]) -> None:
        self._connection = Connection(connection)
        self._shared = shared
        self._fresh = fresh
        self._startup = startup
        self._turns = streams.Turns(lambda: self._connection.send((packets.DRAIN, ())))
        self._handler: LoadedHandler | None = None
        self._working = False

    def run(self) -> None:
        """Serve until the Worker closes the connection."""
        signal.signal(signal.SIGINT, self._interrupt)
        streams.install(self._turns)
        hide_kit()
        self._connection.send((packets.HELLO, packets.hello(os.getpid())))
        while (packet := self._connection.receive()) is not None:
            self._serve(packet)
            del packet

    def _serve(self, packet: packets.Packet) -> None:
        payload = packet.payload
        if packet.kind == packets.CALL:
            self._call(payload)
        elif packet.kind == packets.FORGET:
            self._loaded.forget()
        elif packet.kind == packets.EXPLAIN:
            self._done(self._loaded.explain(packets.unpack(payload)))
        elif packet.kind == packets.SWAP:
            self._swap(packets.unpack(payload))
        elif packet.kind == packets.LOAD:
            self._load(packets.unpack(payload))

    def _load(self, given: Assignment) -> None:
        shadowed = _shadowed(given.model_dir, self._startup)
        if shadowed and not self._fresh:
            self._done(None)  # only a new process would import those files
            return
        for name in shadowed:
            del sys.modules[name]
        _become(given)
        self._begin()
        try:
            self._handler = LoadedHandler(given, self._send_piece)
        except NotLoadedError as problem:
            self._end()
            self._done(tuple(problem.failed))
        else:
            self._end()
            self._done(tuple(self._handler.loaded))

    def _call(self, payload: memoryview) -> None:
        measures_memory, envelope, message = self._shared.read_call(payload)
        self._begin()
        try:
            reply, called = self._loaded.call((message,), envelope, measures_memory)
        finally:
            self._end()
        self._connection.send((packets.ANSWER, self._shared.pack_answer(called.plain(), reply or b"")))

    def _swap(self, batch_size: int | None) -> None:
        try:
            changed = self._loaded.swap(batch_size)
        except ReloadRequired as problem:
            self._done(("", str(problem), *self._loaded.loaded))
        else:
            self._done((changed, "", *self._loaded.loaded))

    @property
    def _loaded(self) -> LoadedHandler:
        assert self._handler is not None
        return self._handler

    def _done(self, value: object) -> None:
        self._connection.send((packets.DONE, (packets.pack(value),)))

    def _send_piece(self, piece: bytes, seconds: float) -> None:
        self._connection.send((packets.PIECE, (packets.SECONDS.pack(seconds), piece)))

    def _begin(self) -> None:
        self._turns.heard = self._working = True

    def _end(self) -> None:
        self._turns.heard = self._working = False

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C interrupts only the handler's code."""
        if self._working:
            self._working = False
            signal.default_int_handler(number, frame)


def serve(connection: socket.socket, shared: int, fresh: bool, startup: Set[str], at_exit: int) -> None:
    """Run the worker at this end of the connection. Does not return.

    Args:
        shared: a descriptor of the memory that both ends share, which is closed.
        fresh: this process has imported nothing that a model's file may shadow.
        startup: the names of the modules that a bare interpreter has.
        at_exit: how many functions were registered with atexit before the worker began. They are torch's, and slow, so
            they are called only if there are others.
    """
    try:
        memory = SharedMemory(shared)
        os.close(shared)
        Host(connection, memory, fresh, startup).run()
        if atexit._ncallbacks() > at_exit:
            atexit._run_exitfuncs()
    except BaseException:
        logging.exception("The worker process ends.")
        os._exit(1)
    finally:
        os._exit(0)  # the handler's threads are not waited for: TorchServe kills its workers, too


def _shadowed(folder: Path, startup: Set[str]) -> list[str]:
    """Modules that are already imported, and that a new interpreter would import from model_dir."""
    own = set()
    for entry in os.scandir(folder):
        if entry.name.endswith(".py"):
            own.add(entry.name[:-3])
        elif entry.is_dir() and os.path.exists(os.path.join(entry.path, "__init__.py")):
            own.add(entry.name)
    own -= startup
    return [name for name in sys.modules if name.partition(".")[0] in own]


def _become(given: Assignment) -> None:
    """Set this process up as the worker script that TorchServe starts for this model."""
    os.umask(given.umask)
    for name in [name for name in os.environ if name not in given.environment]:
        del os.environ[name]
    os.environ.update(given.environment)
    os.chdir(given.model_dir)
    sys.argv = list(given.command)
    sys.path[:0] = given.path
    random.seed()
    if (numpy := sys.modules.get("numpy.random")) is not None:
        numpy.seed()
    script = sys.modules.get("ts.model_service_worker")
    main = types.ModuleType("__main__")
    vars(main).update({**(vars(script) if script else {}), "__name__": "__main__", "__file__": given.command[0]})
    vars(main).pop("__spec__", None)
    sys.modules["__main__"] = main
