"""Locks on the environments in the cache: shared by those that use one, exclusive for who makes or removes it.

The operating system keeps them, and takes them back when a process ends in whatever way.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Callable
from pathlib import Path


class Lock:
    """A lock that is held until `release()`, the end of this object or of the process."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self.release: Callable[[], object] = (
            (lambda: None) if descriptor is None else weakref.finalize(self, os.close, descriptor)
        )

    @classmethod
    def free(cls) -> Lock:
        """One on nothing, for what nobody removes."""
        return cls(None)

    @classmethod
    def shared(cls, folder: Path) -> Lock:
        """Waits while somebody makes or removes `folder`."""
        return cls(_lock(folder, fcntl.LOCK_SH))

    @classmethod
    def exclusive(cls, folder: Path, waiting: Callable[[], object] = lambda: None) -> Lock:
        """Waits until nobody else has it; `waiting` is called once where it is not to be had at once."""
        if (lock := cls.exclusive_now(folder)) is None:
            waiting()
            lock = cls(_lock(folder, fcntl.LOCK_EX))
        return lock

    @classmethod
    def exclusive_now(cls, folder: Path) -> Lock | None:
        """None if somebody else uses, makes or removes `folder`."""
        try:
            return cls(_lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            return None

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def lock_file(folder: Path) -> Path:
    """The file that stands for `folder`, beside it. Who holds its exclusive lock may remove it."""
    return folder.with_name(f"{folder.name}.lock")


def _lock(folder: Path, kind: int) -> int:
    """An open file with the lock. A file that was removed while it was waited for locks nothing: then once more."""
    path = lock_file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, kind)
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
