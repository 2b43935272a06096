"""The process between an owner and its TorchServe or worker: when the owner goes, in whatever way, that goes too.

Run as a script (`python -I -S watchdog.py OWNER FOLDER CWD OUT GRACE COMMAND...`), with nothing but the standard
library. It starts COMMAND in CWD as the leader of a process group, which the processes it starts join, with the file
descriptor OUT as its stdout. When a byte or the end of stdin comes from the owner, or the process with the id OWNER is
no longer its parent, it ends the group, with SIGKILL from GRACE seconds after SIGTERM on, then the rest of the session,
and removes FOLDER. When COMMAND ends by itself, it ends the rest of the group and writes the exit status to its own
stdout.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time

#: Seconds between SIGTERM and SIGKILL. Java alone would take two to close its idle network threads.
GRACE = 0.5
_PR_SET_PDEATHSIG = 1


def main(owner: int, folder: str, cwd: str, out: int, grace: float, command: list[str]) -> None:
    """Start the command, wait for the owner's word or end, clean up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    process = subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, process_group=0, preexec_fn=_die_with_parent
    )
    watcher = threading.Thread(target=_watch, args=(process,), daemon=True)
    watcher.start()
    try:
        # The parent's id is looked at too: a process forked off the owner holds the pipe open when the owner is killed.
        while not select.select([sys.stdin], [], [], 1.0)[0] and os.getppid() == owner:
            pass
    finally:
        if watcher.is_alive():
            _end(process.pid, signal.SIGTERM)
            watcher.join(grace)
            _end(process.pid, signal.SIGKILL)
            watcher.join()
            _wait_for(process.pid)
        end_session(os.getpid(), but=os.getpid())
        _remove(folder)


def _die_with_parent() -> None:
    """Where this process is killed, it can end nothing any more."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _watch(process: subprocess.Popen[bytes]) -> None:
    status = process.wait()
    _end(process.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.write(1, b"%d\n" % status)


def _end(group: int, by: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, by)


def end_session(session: int, but: int = 0) -> None:
    """Kill the processes of a session, except for one, where the system tells of them: some have made a group of their
    own."""
    for process in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{process}/stat", "rb") as stat:
                found = int(stat.read().rpartition(b")")[2].split()[3])
            if found == session and int(process) != but:
                os.kill(int(process), signal.SIGKILL)


def _wait_for(group: int) -> None:
    """Wait until every process of the group is gone. What stays is dead, and its parent does not ask for it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        for _ in range(40):
            os.killpg(group, 0)
            time.sleep(0.05)


def _remove(folder: str) -> None:
    """Remove the folder; a process that is just dying may still write into it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        time.sleep(0.05)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), sys.argv[6:])
