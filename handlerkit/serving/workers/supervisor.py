"""The process that starts the workers, and ends them when the app ends, in whatever way.

Run as a script (`python -I -S supervisor.py CHANNEL OWNER FOLDER`), with nothing but the standard library. CHANNEL is
the file descriptor of a socket whose other end the app holds, OWNER the app's process id, FOLDER goes with the app.

Each line on the channel is a JSON object. The app asks
    {"start": KEY, "command": [...], "cwd": PATH, "env": {...}}, with the file descriptors of its stdout and stderr
    {"kill": KEY}
and is told
    {"started": KEY, "pid": PID}    {"failed": KEY, "reason": TEXT}    {"ended": KEY, "status": STATUS}
A worker leads a session of its own, which Ctrl-C in a terminal does not reach; what is left of its process group goes
when it ends. When the channel closes, or the app is no longer this process's parent, all workers are ended, and FOLDER
is removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any

#: Seconds between SIGTERM and SIGKILL.
GRACE = 0.5
_TICK = 1.0


class _Workers:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._received = b""
        self._descriptors: list[int] = []

    def receive(self) -> bool:
        """Read what the app asks; False where it closed the channel."""
        data, descriptors, _, _ = socket.recv_fds(self._channel, 1 << 16, 16)
        self._descriptors += descriptors
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._do(json.loads(line))
        return bool(data)

    def _do(self, asked: dict[str, Any]) -> None:
        if "kill" in asked:
            process = self._running.get(asked["kill"])
            if process is not None:
                _signal(process.pid, signal.SIGKILL)
            return
        stdout, stderr = self._descriptors[:2]
        del self._descriptors[:2]
        try:
            process = subprocess.Popen(
                asked["command"], cwd=asked["cwd"], env=asked["env"], stdin=subprocess.DEVNULL, stdout=stdout,
                stderr=stderr, start_new_session=True,
            )  # fmt: skip
        except OSError as problem:
            self._tell(failed=asked["start"], reason=str(problem))
        else:
            self._running[asked["start"]] = process
            self._tell(started=asked["start"], pid=process.pid)
        finally:
            os.close(stdout)
            os.close(stderr)

    def reap(self) -> None:
        """Tell of the workers that have ended."""
        for key, process in [*self._running.items()]:
            if (status := process.poll()) is not None:
                del self._running[key]
                _signal(process.pid, signal.SIGKILL)
                self._tell(ended=key, status=status)

    def end(self) -> None:
        """End all of them, and wait for that."""
        for process in self._running.values():
            _signal(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal(process.pid, signal.SIGKILL)
            process.wait()

    def _tell(self, **what: Any) -> None:
        with contextlib.suppress(OSError):  # the app is gone: the next look at the channel says so
            self._channel.sendall(json.dumps(what).encode() + b"\n")


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def main(channel: socket.socket, owner: int, folder: str) -> None:
    """Serve the app until it is gone."""
    child_ended, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(child_ended, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    workers = _Workers(channel)
    try:
        # The parent's id is looked at too: a process forked off the app holds the channel open when the app is killed.
        while os.getppid() == owner:
            ready, _, _ = select.select([channel.fileno(), child_ended], [], [], _TICK)
            if child_ended in ready:
                os.read(child_ended, 4096)
            workers.reap()
            if channel.fileno() in ready and not workers.receive():
                return
    finally:
        workers.end()
        _remove(folder)


def _remove(folder: str) -> None:
    """Remove the folder; a process that is just dying may still write into it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        time.sleep(0.05)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3])
