"""Where an archive is written: beside what it replaces, whole or not at all, whoever else writes there."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from handlerkit.folders import remove

_LOOK = 0.01  # seconds from one look at a lock to the next


@contextmanager
def beside(target: Path, *, folder: bool, check: Callable[[], None], deliver: Callable[[], None]) -> Iterator[Path]:
    """A hidden file or folder beside `target` to write to; at the end it takes the target's place, or is removed.

    `check` raises where the target may not be replaced. It is called before and after, while no other export looks at
    the same folder or changes it. `deliver` is called before the last step and while that is waited for. What an
    export of this name left that was killed is removed.
    """
    with _locked(target.parent, deliver) as alone:
        if alone:
            _clear_up(target)
        check()
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        held = _begin(part, folder)
    try:
        yield part
        with _locked(target.parent, deliver):
            check()
            deliver()
            old = _put(part, target)
        if old is not None:
            remove(old)
    finally:
        remove(part)
        os.close(held)


def _begin(part: Path, folder: bool) -> int:
    """Create what is written to. The file number holds its lock for as long as the export runs, or its process."""
    if folder:
        part.mkdir()
    held = os.open(part, os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    _lock(held)
    return held


def _put(part: Path, target: Path) -> Path | None:
    """Put `part` in the target's place. No system call replaces a folder that is not empty: the old one is moved aside,
    and back if the new one fails; its new path is returned, for it to be removed."""
    if not target.is_dir():
        os.replace(part, target)
        return None
    old = part.with_suffix(".old")
    os.replace(target, old)
    try:
        os.replace(part, target)
    except BaseException:
        os.replace(old, target)
        raise
    return old


def _clear_up(target: Path) -> None:
    """Remove what exports to `target` left that were killed, except for an older archive that one had moved aside: that
    takes its place again."""
    left = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.(part|old)")
    for path in [path for path in target.parent.iterdir() if left.fullmatch(path.name)]:
        if path.suffix == ".part":
            _remove_unless_held(path)
        elif os.path.lexists(target):
            remove(path)
        else:
            os.replace(path, target)


def _remove_unless_held(part: Path) -> None:
    """Remove what a dead export was writing to."""
    try:
        number = os.open(part, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if _lock(number):
            remove(part)
    finally:
        os.close(number)


@contextmanager
def _locked(folder: Path, deliver: Callable[[], None]) -> Iterator[bool]:
    """Keeps other exports to this folder waiting. False if its file system knows no locks, as some of networks."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to and not be looked into
        yield False
        return
    try:
        while (locked := _lock(number)) is False:
            deliver()
            time.sleep(_LOOK)
        yield bool(locked)
    finally:
        os.close(number)


def _lock(number: int) -> bool | None:
    """Whether the file or folder is locked now; None if its file system knows no locks."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
