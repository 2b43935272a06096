"""This process's end of the fork server: started once, in the background, and asked for each worker."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from handlerkit import shell
from handlerkit.worker_process import fork_server as script
from handlerkit.worker_process.fork_server import ForkRequest

#: "fork" or "spawn", instead of what the system allows.
_CHOICE = "HANDLERKIT_START"
#: Seconds that it may take to go.
_GOES = 5
#: How many are kept, for as many environments; one with workers stays in any case.
_KEPT = 3


class ForkServer:
    """A process that makes workers. It ends when this one does, in whatever way, and takes its workers along.

    `environment`: its variables beside the shell's. Libraries read some when they are imported, so that workers with
    others come from another such process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def start(self) -> None:
        """Start it, where it does not run. Raises OSError."""
        with self._lock:
            self._ensure()

    def make_worker(self, request: ForkRequest) -> None:
        """Ask for a worker. Raises OSError."""
        with self._lock:
            running = self._ensure()
            try:
                script.send(running.connection, request)
            except ConnectionError:
                script.send(self._ensure(restart=True).connection, request)

    def said(self) -> str:
        """The end of what it wrote: why it did not start."""
        if self._running is None:
            return ""
        self._running.log.seek(0)
        return self._running.log.read().decode(errors="replace").strip()[-2000:]

    @property
    def pid(self) -> int | None:
        """Its process id, where it runs."""
        running = self._running
        return running.process.pid if running is not None and running.is_alive() else None

    def _ensure(self, restart: bool = False) -> _Running:
        if restart or self._running is None or not self._running.is_alive():
            self._running = _Running(self._environment)
        return self._running


class _Running:
    """One fork server."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        mode = os.environ.get(_CHOICE) or ("fork" if sys.platform == "linux" and not _has_gpu() else "spawn")
        self._owner = os.getpid()
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.connection, theirs = socket.socketpair()
        for end in (self.connection, theirs):
            end.setblocking(True)  # whatever time-out sockets have in this process
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-u", script.__file__, mode, str(self._owner)],
                stdin=theirs.fileno(), stdout=self.log, stderr=self.log, cwd="/", start_new_session=True,
                umask=shell.UMASK, env=shell.environment() | dict(environment),
            )  # fmt: skip
        self.end = weakref.finalize(self, _end, self.process, self.connection, self.log, self._owner)

    def is_alive(self) -> bool:
        """Whether it runs, and is this process's own: one that was forked off has none."""
        return os.getpid() == self._owner and self.process.poll() is None


def _has_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether the system has a GPU for torch: the driver is not asked, which would start it in this process."""
    return any(devices.glob("nvidia[0-9]*")) or (devices / "kfd").exists() or (devices / "dxg").exists()


def _end(process: subprocess.Popen[bytes], connection: socket.socket, log: IO[bytes], owner: int) -> None:
    if os.getpid() != owner:
        return
    with suppress(OSError):  # a process that was forked off this one may hold it open
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
    log.close()
    try:
        process.wait(_GOES)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def fork_server(environment: Mapping[str, str] | None = None) -> ForkServer:
    """This process's own, with these variables beside the shell's. The last few are kept."""
    return _fork_server(tuple(sorted((environment or {}).items())))


@functools.lru_cache(_KEPT)
def _fork_server(environment: tuple[tuple[str, str], ...]) -> ForkServer:
    return ForkServer(dict(environment))
