"""A model's files beside the copies that a load was given: what changed since."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from handlerkit.endpoints.source_diff import LoadAnew
from handlerkit.model import Entry, Model

_Identity = tuple[int, int, int, int]
_COMPARED = 1 << 20  # bytes of a file that is read to be compared, where its times alone might not tell
_SETTLED = 2_000_000_000  # nanoseconds after which a write shows in a file's times, on any file system


class ModelFiles:
    """Made before the files are staged; `stage` and `loaded` say when they were, and when the handler was loaded."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._begun = time.time_ns()
        self._entries = {entry.name: (entry, _identity(entry.source)) for entry in model.entries()}
        self._folder = Path()
        self._staged: dict[str, _Identity] = {}

    def loaded(self, model_dir: Path) -> None:
        """The handler is loaded from this folder."""
        self._folder = model_dir
        self._staged = dict(self._listing())

    def holds(self, module_file: str | None) -> bool:
        """Whether a module was loaded from the model's files."""
        return module_file is not None and module_file.startswith(f"{self._folder}{os.sep}")

    def read(self, file: str) -> bytes:
        """A staged file's bytes."""
        return Path(file).read_bytes()

    def edited(self) -> dict[str, bytes]:
        """The new bytes of Python files that changed, by where they are staged.

        Raises LoadAnew where any other file changed, came or went, and where the staged ones are not what they were.
        """
        try:
            now = {entry.name: (entry, _identity(entry.source)) for entry in self._model.entries()}
            if came := now.keys() ^ self._entries.keys():
                name = min(came)
                raise LoadAnew(f"{name} {'came' if name in now else 'went'}")
            if (listing := dict(self._listing())) != self._staged:
                names = {name for name, _ in listing.items() ^ self._staged.items()}
                raise LoadAnew(f"{min(names)} was written to in model_dir")
            changed = [entry for name, (entry, identity) in now.items() if self._differs(entry, identity)]
            for entry in changed:
                if not entry.name.endswith(".py") or entry.option == "model_file":
                    raise LoadAnew(f"{entry.name} changed")
            self._entries = now
            return {str(self._folder / entry.name): entry.source.read_bytes() for entry in changed}
        except OSError as problem:
            raise LoadAnew(f"{Path(problem.filename or '').name} cannot be read") from problem

    def write(self, file: str, source: bytes) -> None:
        """Stage a file anew."""
        path = Path(file)
        path.write_bytes(source)
        self._staged[path.relative_to(self._folder).as_posix()] = _identity(path)

    def _differs(self, entry: Entry, identity: _Identity) -> bool:
        before, identity_before = self._entries[entry.name]
        if entry.source != before.source or entry.option != before.option:
            return True
        python = entry.name.endswith(".py")
        recent = identity[2] > self._begun - _SETTLED
        if not python and (entry.option == "serialized_file" or not recent or identity[1] > _COMPARED):
            return identity != identity_before
        return entry.source.read_bytes() != (self._folder / entry.name).read_bytes()

    def _listing(self) -> Iterator[tuple[str, _Identity]]:
        """Every file of model_dir but for Python's own."""
        for root, folders, names in os.walk(self._folder):
            folders[:] = [folder for folder in folders if folder != "__pycache__"]
            for name in names:
                path = os.path.join(root, name)
                stat = os.lstat(path)
                yield os.path.relpath(path, self._folder), (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_dev)


def _identity(path: Path) -> _Identity:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_dev
