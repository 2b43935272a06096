"""Temporary folders that a process owns: gone when it ends, and when it was killed, at the next start of another."""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
import time
import weakref
from pathlib import Path

#: Characters of a unix socket's path, at most.
_LONGEST = 107
#: hk-, the namespace of the owner's process id and when it started (their last digits), that id; what mkdtemp adds.
_NAME = re.compile(r"hk-([0-9a-f]{4})([0-9a-f]{5})-([0-9a-f]+)-\w{8}")
_LONGEST_NAME = len("/hk-123412345-3fffff-12345678")


def make_folder(*, below: int = 0) -> Path:
    """A new temporary folder, resolved, of a path that is short enough for a unix socket whose own path adds `below`
    characters to it. Raises OSError."""
    root = os.path.realpath(tempfile.gettempdir())
    if below and len(os.fsencode(root)) > _LONGEST - _LONGEST_NAME - below:
        root = os.path.realpath("/tmp")
    _clear_up(root)
    prefix = f"hk-{_namespace():04x}{_started('self'):05x}-{os.getpid():x}-"
    return Path(tempfile.mkdtemp(prefix=prefix, dir=root))


def remove_folder(folder: Path) -> None:
    """Remove it; a process that is just dying may still write into it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class OwnFolder:
    """A folder of `make_folder`, which takes the same arguments. `remove()` removes it; so does the end of this process
    or of this object, but not that of a process which was forked off this one."""

    def __init__(self, *, below: int = 0) -> None:
        self.path = make_folder(below=below)
        self.remove = weakref.finalize(self, _remove, self.path, os.getpid())

    def restore(self) -> bool:
        """Make it again, empty, where it was removed. Whether that was so."""
        if self.remove.alive:
            return False
        self.path.mkdir(mode=0o700)
        self.remove = weakref.finalize(self, _remove, self.path, os.getpid())
        return True


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        remove_folder(folder)


@functools.cache
def _clear_up(root: str) -> None:
    """Remove what processes left there that were killed; looked for once."""
    for entry in os.scandir(root):
        if (named := _NAME.fullmatch(entry.name)) is None or not entry.is_dir(follow_symlinks=False):
            continue
        namespace, started, owner = (int(digits, 16) for digits in named.groups())
        if namespace == _namespace() and not _lives(owner, started):
            shutil.rmtree(entry.path, ignore_errors=True)


def _lives(owner: int, started: int) -> bool:
    try:
        os.kill(owner, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _started(str(owner)) in (started, 0)


def _namespace() -> int:
    """What tells process ids of one container from another's; 0 if the system does not say."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino & 0xFFFF
    except OSError:
        return 0


def _started(process: str) -> int:
    """When a process started, in the system's ticks; 0 if the system does not say."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19]) & 0xFFFFF
    except OSError:
        return 0
