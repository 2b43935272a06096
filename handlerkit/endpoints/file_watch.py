"""Whether a model's files are still those that a worker read.

Looking costs one `stat` for each file, and for each folder of an extra folder.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from handlerkit.model import Entry, Model

_Identity = tuple[int, ...]
#: Seconds between two looks at files that were written just now, how long they are waited for, and after how many looks
#: that show the same they count as written.
_INTERVAL, _PATIENCE, _STEADY = 0.02, 1.0, 3


class _Look(NamedTuple):
    """The files by their name in the archive (None: not there), and every path that tells of a change."""

    files: dict[str, _Identity | None]
    paths: list[tuple[str, _Identity | None]]


class FileChanges(NamedTuple):
    """What differs from what was read: the names of files in the archive.

    Attributes:
        changed: with other contents, new, or no longer in an extra folder.
        gone: named by one of the model's options, and not on the disk.
        unfinished: a program is still writing one of them.
    """

    changed: tuple[str, ...]
    gone: tuple[str, ...]
    unfinished: bool


class FileWatch:
    """Made before a model's files are read. Raises nothing if they cannot be."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._read = self._look()

    def change(self) -> FileChanges | None:
        """What differs by now, None if nothing does. Files that are being written are waited for."""
        read = self._read
        if all(identity is not None and _identity(path) == identity for path, identity in read.paths):
            return None
        now, steady, until = self._look(), 0, time.monotonic() + _PATIENCE
        while now.files != read.files and _is_recent(now.files) and steady < _STEADY and time.monotonic() < until:
            time.sleep(_INTERVAL)
            before, now = now, self._look()
            steady = steady + 1 if now.files == before.files else 0
        gone = tuple(name for name, identity in now.files.items() if identity is None)
        changed = dict.fromkeys(name for name, _ in sorted(now.files.items() ^ read.files.items(), key=str))
        if not changed and not gone:
            self._read = now
            return None
        unfinished = bool(changed) and steady < _STEADY and _is_recent(now.files)
        return FileChanges(tuple(name for name in changed if name not in gone), gone, unfinished)

    def broken(self, change: FileChanges) -> tuple[str, SyntaxError] | None:
        """The first Python file among those that changed which Python cannot read, and which loading reads: the
        handler's, the model's, or one that another of them names."""
        sources = {one.name: _read(one.source) for one in self._model.named_entries() if one.name.endswith(".py")}
        for name in change.changed:
            if (source := sources.get(name)) is None or (error := _syntax_error(source, name)) is None:
                continue
            named = re.compile(rb"\b%s\b" % re.escape(Path(name).stem.encode()))
            own = {file.name for file in (self._model.handler_file, self._model.model_file) if file is not None}
            if name in own or any(named.search(text or b"") for other, text in sources.items() if other != name):
                return name, error
        return None

    def _look(self) -> _Look:
        try:
            entries = self._model.named_entries()
        except OSError:  # a folder that goes away meanwhile
            entries = []
        files = {one.name: _identity(str(one.source)) if one.source.is_file() else None for one in entries}
        paths = [(str(one.source), files[one.name]) for one in entries]
        return _Look(files, [*paths, *((path, _identity(path)) for path in _folders(self._model, entries))])


def _folders(model: Model, entries: list[Entry]) -> set[str]:
    """The folders in which files of an extra folder may come and go."""
    extra = [str(path) for path in model.extra_files if path.is_dir()]
    inner = {
        str(one.source.parent) for one in entries if str(one.source).startswith(tuple(one + os.sep for one in extra))
    }
    return {*extra, *inner}


def _identity(path: str) -> _Identity | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev


def _is_recent(found: Mapping[str, _Identity | None]) -> bool:
    """Whether one of the files was written since the last look, or is gone, perhaps for a moment."""
    since = time.time_ns() - int(_INTERVAL * 1e9)
    return any(identity is None or identity[0] > since for identity in found.values())


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _syntax_error(source: bytes, name: str) -> SyntaxError | None:
    try:
        compile(source, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        return error.with_traceback(None)
    except (ValueError, RecursionError, MemoryError):  # as the load says
        return None
    return None
