"""A process that ends when this one ends, in whatever way: `watchdog.py` is between the two."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from handlerkit.endpoints.supervision import watchdog
from handlerkit.folders import remove_folder


class SupervisedProcess:
    """A command that runs in a process group of its own, which Ctrl-C in a terminal or a notebook does not reach.

    `end()` ends the group, waits for that and removes `folder`; so does the end of this process or of this object.

    Args:
        command: the program and its arguments.
        folder: goes with the process.
        cwd: the folder the command runs in.
        env: its environment.
        stdout, stderr: file descriptors; the caller's to close.
        grace: seconds that it has to end by itself, after SIGTERM.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
        grace: float = watchdog.GRACE,
    ) -> None:
        out = fcntl.fcntl(stdout, fcntl.F_DUPFD_CLOEXEC, 3)  # where 0 to 2 are closed here, it may be one of them
        script = [sys.executable, "-I", "-S", watchdog.__file__, str(os.getpid()), str(folder), str(cwd), str(out)]
        script.append(str(grace))
        try:
            self._watchdog = subprocess.Popen(
                [*script, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                pass_fds=(out,),
                env=env,
                start_new_session=True,
            )
        finally:
            os.close(out)
        # Called at exit at the latest, and does nothing the second time.
        self.end = weakref.finalize(self, _end, self._watchdog, folder, os.getpid(), grace)

    def fileno(self) -> int:
        """Becomes readable when the command has ended by itself."""
        assert self._watchdog.stdout is not None
        return self._watchdog.stdout.fileno()

    def has_ended(self, wait: float = 0) -> bool:
        """Whether the command ended by itself, waiting up to `wait` seconds for that."""
        return bool(select.select([self], [], [], wait)[0])

    def status(self) -> int | None:
        """The exit status (minus the number of the signal that ended it) of a command that ended by itself; None for
        one that has not. To be asked once."""
        status = os.read(self.fileno(), 20) if self.has_ended() else b""
        return int(status) if status else None


def _end(process: subprocess.Popen[bytes], folder: Path, owner: int, grace: float) -> None:
    """Have the watchdog end the command, and wait for it. Does nothing in a process forked off the owner."""
    if os.getpid() != owner:
        return
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):  # the watchdog may be gone; a byte, as a process forked off this one may hold the pipe too
        os.write(process.stdin.fileno(), b"\n")
    process.stdin.close()
    try:
        process.wait(timeout=grace + 10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        process.stdout.close()
    if process.returncode:  # it was killed, and could end nothing
        watchdog.end_session(process.pid)
    remove_folder(folder)
