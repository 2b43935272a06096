"""Processes that end when this one ends, in whatever way: supervisor.py starts them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from . import supervisor

#: Called with "stdout" or "stderr" and a line, without its end.
Hear = Callable[[str, str], object]

#: Seconds between two looks at what a process wrote: to read each line when it comes costs a turn of the loop each. The
#: first pauses are shorter, each twice the one before: what a process says while it starts is waited for.
_FIRST_PAUSE, _PAUSE = 0.001, 0.02
#: Bytes that are read at a time: as many as a pipe holds.
_READ = 1 << 16
_LONGEST_LINE = 1 << 20
_SEND_TIMEOUT = 10.0
#: Characters of a socket's path, which some systems limit to 104, that its folder may take.
_LONGEST_FOLDER = 80


class Process:
    """A process as the app sees it.

    Attributes:
        pid: 0 until it is known.
        ended: its exit status, minus the number of the signal that ended it; all it wrote has been heard then.
    """

    def __init__(self, key: int, kill: Callable[[int], None], outputs: Sequence[_OutputStream]) -> None:
        self.pid = 0
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._key = key
        self._kill = kill
        self._outputs = outputs

    def kill(self) -> None:
        """End it, and what it started; `ended` tells when that is done."""
        if not self.ended.done():
            self._kill(self._key)

    def drain(self) -> None:
        """Hear what it has written until now."""
        for output in self._outputs:
            output.drain()

    def _end(self, status: int) -> None:
        for output in self._outputs:
            output.close()
        if not self.ended.done():
            self.ended.set_result(status)


class Supervisor:
    """Starts processes. `close()` ends them all; so does the end of this process.

    Attributes:
        folder: a temporary folder that goes with them; its path is short enough for sockets.
    """

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="serving-")
        if len(self.folder) > _LONGEST_FOLDER:
            os.rmdir(self.folder)
            self.folder = tempfile.mkdtemp(prefix="serving-", dir="/tmp")
        self._loop = asyncio.get_running_loop()
        self._keys = itertools.count()
        self._processes: dict[int, Process] = {}
        self._received = b""
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], cwd: str, env: Mapping[str, str], hear: Hear) -> Process:
        """Start a command. One that cannot be started ends with status 127, its reason on stderr. Raises OSError where
        this process may open no more files."""
        channel = self._channel or self._open()
        key = next(self._keys)
        pipes = _pipes("stdout", "stderr")
        outputs = [_OutputStream(read, stream, hear, self._loop) for stream, (read, _) in pipes.items()]
        process = self._processes[key] = Process(key, self._kill, outputs)
        asked = {"start": key, "command": [*command], "cwd": cwd, "env": {**env}}
        try:
            self._send(channel, asked, [write for _, write in pipes.values()])
        except OSError:
            self._lost()
        finally:
            for _, write in pipes.values():
                os.close(write)
        return process

    def close(self) -> None:
        """End all processes, and wait for that; they get a moment to end by themselves."""
        if self._channel is not None and self._process is not None:
            self._loop.remove_reader(self._channel)
            self._channel.close()
            self._channel = None
            self._process.wait()
        for process in self._processes.values():
            process._end(-signal.SIGTERM)
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            script = [sys.executable, "-I", "-S", supervisor.__file__, str(theirs.fileno()), str(os.getpid())]
            self._process = subprocess.Popen(
                [*script, self.folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip
        ours.settimeout(_SEND_TIMEOUT)
        self._loop.add_reader(ours, self._receive)
        self._received = b""
        self._channel = ours
        return ours

    def _kill(self, key: int) -> None:
        if self._channel is not None:
            try:
                self._send(self._channel, {"kill": key}, [])
            except OSError:
                self._lost()

    def _send(self, channel: socket.socket, asked: Mapping[str, Any], descriptors: list[int]) -> None:
        line = json.dumps(asked).encode() + b"\n"
        sent = socket.send_fds(channel, [line], descriptors)
        channel.sendall(line[sent:])

    def _receive(self) -> None:
        assert self._channel is not None
        try:
            data = self._channel.recv(_READ)
        except OSError:
            data = b""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._hear(json.loads(line))
        if not data:
            self._lost()

    def _hear(self, event: dict[str, Any]) -> None:
        if "started" in event:
            if (process := self._processes.get(event["started"])) is not None:
                process.pid = event["pid"]
        elif "failed" in event:
            if (process := self._processes.pop(event["failed"], None)) is not None:
                process._outputs[1].say(event["reason"])
                process._end(127)
        elif (process := self._processes.pop(event["ended"], None)) is not None:
            process._end(event["status"])

    def _lost(self) -> None:
        """The supervisor is gone: so go its processes; the next start has a new one."""
        if self._channel is not None and self._process is not None:
            self._loop.remove_reader(self._channel)
            self._channel.close()
            self._channel = None
            self._process.kill()
            self._process.wait()
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        for process in self._processes.values():
            if process.pid:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process._end(-signal.SIGKILL)
        self._processes.clear()


def _pipes(*streams: str) -> dict[str, tuple[int, int]]:
    """A pipe for each: all or none."""
    pipes: dict[str, tuple[int, int]] = {}
    try:
        for stream in streams:
            pipes[stream] = os.pipe()
    except OSError:
        for pipe in pipes.values():
            os.close(pipe[0])
            os.close(pipe[1])
        raise
    return pipes


class _OutputStream:
    """What a process writes, line by line."""

    def __init__(self, descriptor: int, stream: str, hear: Hear, loop: asyncio.AbstractEventLoop) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._stream = stream
        self._hear = hear
        self._loop = loop
        self._rest = b""
        self._pause = _FIRST_PAUSE
        self._timer: asyncio.TimerHandle | None = None
        loop.add_reader(descriptor, self._ready)

    def say(self, line: str) -> None:
        """One line that the process did not write itself."""
        self._hear(self._stream, line)

    def drain(self) -> None:
        """Hear what is there now, and no more of a process that writes on and on."""
        if self._descriptor >= 0:
            self._read()

    def close(self) -> None:
        """Hear what is left."""
        if self._descriptor < 0:
            return
        while self._read():
            pass
        if self._rest:
            self._take(b"\n")
        self._stop()

    def _ready(self) -> None:
        size = self._read()
        if size == 0:
            self.close()
        elif size < _READ // 2:  # one that writes a lot does not wait
            self._loop.remove_reader(self._descriptor)
            self._timer = self._loop.call_later(self._pause, self._resume)
            self._pause = min(2 * self._pause, _PAUSE)

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._descriptor, self._ready)

    def _read(self) -> int:
        """How many bytes there were; 0 at the end, and where there are none now."""
        try:
            data = os.read(self._descriptor, _READ)
        except OSError:
            return 0
        if data:
            self._take(data)
        return len(data)

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._hear(self._stream, line.decode(errors="replace"))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
