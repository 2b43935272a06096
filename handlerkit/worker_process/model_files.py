"""A model's files beside the copies that a load was given: what changed since."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from handlerkit.errors import ModelError
from handlerkit.model import Entry, Model
from handlerkit.worker_process.reload_required import ReloadRequired

if TYPE_CHECKING:
    from handlerkit.worker_process.user_files import UserFiles

_Identity = tuple[int, ...]
_COMPARED = 1 << 20  # bytes of a file that is read to be compared, where its times alone might not tell
_SETTLED = 2_000_000_000  # nanoseconds after which a write shows in a file's times, on any file system


class ModelFiles:
    """Made before the files are staged; `stage` and `loaded` say when they were, and when the handler was loaded."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._begun = time.time_ns()
        self._entries = {entry.name: (entry, _identity(entry.source)) for entry in model.entries()}
        self._folder = "\0"  # which is in no path
        self._users: UserFiles | None = None
        self._staged: dict[str, _Identity] = {}
        self._sources: dict[str, bytes] = {}

    def loaded(self, model_dir: Path, users: UserFiles) -> None:
        """The handler is loaded from this folder, and its code carries the names of the user's files."""
        self._users = users
        self._folder = f"{model_dir}{os.sep}"
        self._staged = _listing(self._folder)
        self._sources = {name: (model_dir / name).read_bytes() for name in self._entries if name.endswith(".py")}

    def holds(self, module_file: str | None) -> bool:
        """Whether a module was loaded from the model's files, or code compiled from them."""
        return module_file is not None and self.staged(module_file).startswith(self._folder)

    def staged(self, file: str) -> str:
        """Where the file is staged whose name code carries."""
        return file if self._users is None else self._users.staged(file)

    def carried(self, file: str) -> str:
        """The name that code of a staged file carries."""
        return file if self._users is None else self._users.of(file)

    def read(self, file: str) -> bytes:
        """The bytes of a Python file, by where it is staged."""
        return self._sources[file.removeprefix(self._folder)]

    def edited(self) -> dict[str, bytes]:
        """The new bytes of Python files that changed, by where they are staged.

        Raises ReloadRequired if any other file changed, came or went, and if the staged ones are not what they
        were.
        """
        try:
            now = {entry.name: (entry, _identity(entry.source)) for entry in self._model.entries()}
            if came := now.keys() ^ self._entries.keys():
                name = min(came)
                raise ReloadRequired(f"{name} {'came' if name in now else 'went'}")
            if (listing := _listing(self._folder)) != self._staged:
                names = {name for name, _ in listing.items() ^ self._staged.items()}
                raise ReloadRequired(f"{min(names)} was written to in model_dir")
            edited = {}
            for name, (entry, identity) in now.items():
                source = entry.source.read_bytes() if name.endswith(".py") else None
                if not self._differs(entry, identity, source):
                    continue
                if source is None or entry.option == "model_file":
                    raise ReloadRequired(f"{name} changed")
                edited[self._folder + name] = source
            self._entries = now
            return edited
        except ModelError as problem:
            raise ReloadRequired(str(problem)) from problem
        except OSError as problem:
            raise ReloadRequired(f"{Path(problem.filename or '').name} cannot be read") from problem

    def mention(self, name: str) -> bool:
        """Whether a small file other than Python's has this name in it: what is loaded from it may look for that."""
        mentioned = re.compile(rb"\b%s\b" % name.encode())
        files = (file for file in self._staged if not file.endswith((os.sep, ".py")))
        return any(
            mentioned.search(Path(self._folder, file).read_bytes())
            for file in files
            if os.path.getsize(self._folder + file) <= _COMPARED
        )

    def write(self, file: str, source: bytes) -> None:
        """Stage a Python file again."""
        name = file.removeprefix(self._folder)
        with open(file, "r+b", buffering=0) as staged:  # what is there gives its blocks: twice as quick as new ones
            staged.write(source)
            staged.truncate()
        self._sources[name], self._staged[name] = source, _exactly(os.stat(file))
        if self._users is not None:
            self._users.remember(file, source)

    def _differs(self, entry: Entry, identity: _Identity, source: bytes | None) -> bool:
        before, identity_before = self._entries[entry.name]
        if entry.source != before.source or entry.option != before.option:
            return True
        if source is not None:
            return source != self._sources[entry.name]
        recent = identity[2] > self._begun - _SETTLED
        if entry.option == "serialized_file" or not recent or identity[1] > _COMPARED:
            return identity != identity_before
        return entry.source.read_bytes() != Path(self._folder, entry.name).read_bytes()


def _listing(folder: str) -> dict[str, _Identity]:
    """Every file and folder in a folder except for those that Python makes by itself, by its path there."""
    found: dict[str, _Identity] = {}
    folders = [""]
    while folders:
        inner = folders.pop()
        cached = inner.endswith(f"__pycache__{os.sep}")
        with os.scandir(folder + inner) as entries:
            for entry in entries:
                stat = entry.stat(follow_symlinks=False)
                if not entry.is_dir(follow_symlinks=False):
                    if not (cached and entry.name.endswith(".pyc")):
                        found[inner + entry.name] = _exactly(stat)
                    continue
                if entry.name != "__pycache__":
                    found[f"{inner}{entry.name}{os.sep}"] = (stat.st_ino, stat.st_dev)
                folders.append(f"{inner}{entry.name}{os.sep}")
    return found


def _identity(path: str | Path) -> _Identity:
    return _named(os.stat(path))


def _named(stat: os.stat_result) -> _Identity:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_dev


def _exactly(stat: os.stat_result) -> _Identity:
    """With the time that a program cannot set."""
    return *_named(stat), stat.st_ctime_ns
