"""What is in an archive, read without unpacking it.

An archive from elsewhere may hold anything, and say anything of what it holds. So each format's index is read with a
bound, every name is checked, and a member gives exactly the bytes that the index says, or ArchiveError.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from handlerkit.errors import ArchiveError
from handlerkit.model import Model, PathLike
from handlerkit.serving import torchserve_facts as facts
from handlerkit.unpack import manifest as manifests
from handlerkit.unpack.formats import read_members
from handlerkit.unpack.formats.folder import file_member, root_of, within
from handlerkit.unpack.members import Bounds, Member
from handlerkit.unpack.names import UnsafeArchive, quoted
from handlerkit.unpack.streams import MOST_AT_ONCE, UNREADABLE, Exactly, reason

#: Of archives that are files.
_SUFFIXES = (".mar", ".tar.gz")


class ArchiveReader:
    """The files of an archive, by their names in it, and its manifest. Close it, or use it in a `with` block.

    Attributes:
        name: the archive's file name.
        manifest: MAR-INF/MANIFEST.json; "model" is a dict in it, what TorchServe reads is text, and what it names lies
            inside the archive, if it is there at all.
        sizes: bytes of each file, by its name; MAR-INF is not among them.
    """

    def __init__(self, name: str, manifest: dict[str, Any], members: Mapping[str, Member], closing: ExitStack) -> None:
        self.name = name
        self.manifest = manifest
        self.sizes: Mapping[str, int] = {
            file: member.size for file, member in members.items() if not file.startswith(f"{facts.ARCHIVE_FOLDER}/")
        }
        self._members = members
        self._closing = closing

    def open(self, name: str) -> IO[bytes]:
        """A file's bytes, as a stream that can seek. Raises KeyError for a name that is not in `sizes`; reading raises
        ArchiveError if the archive does not hold what it says."""
        if name not in self.sizes:
            raise KeyError(name)
        return self._opened(name)

    def _opened(self, name: str) -> IO[bytes]:
        return io.BufferedReader(Exactly(name, self._members[name], self.name))

    def inflates(self, name: str) -> bool:
        """Whether a file's bytes are inflated while they are read, so that seeking back reads all before it again.
        Raises KeyError for a name that is not in `sizes`."""
        return self._members[name].inflates

    def extract(self, name: str, path: Path) -> None:
        """Write a file's bytes to a new file. Raises ArchiveError if they are not what the archive says, KeyError
        for a name that is not in `sizes`, OSError for a path that cannot be written."""
        summed, expected = 0, self._members[name].crc
        with self.open(name) as stream, open(path, "xb", buffering=0) as out:
            while block := stream.read(MOST_AT_ONCE):
                summed = zlib.crc32(block, summed) if expected is not None else 0
                out.write(block)
        if expected not in (None, summed):
            raise ArchiveError(f"{self.name} does not unpack: {quoted(name)} is damaged: its checksum is another")

    def check(self) -> None:
        """Read what unpacks to another size than it takes in the archive, to the end. Raises ArchiveError if that
        is not what the archive says."""
        for name, member in self._members.items():
            if member.inflates:
                with self._opened(name) as stream:
                    while stream.read(MOST_AT_ONCE):
                        pass

    def close(self) -> None:
        """Close the archive."""
        self._closing.close()

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ArchiveReader {self.name}: {len(self.sizes)} files>"


def open_archive(path_or_model: PathLike | Model, bounds: Bounds | None = None) -> ArchiveReader:
    """Read what an archive (`.mar`, `.tar.gz` or a folder) holds, or what that of a Model would.

    Raises ArchiveError if there is no archive, one that cannot be read, that holds more than `bounds`, or if a
    name in it or in its manifest lies outside it.
    """
    bounds = bounds or Bounds()
    if isinstance(path_or_model, Model):
        return _of_model(path_or_model)
    path = _existing(path_or_model)
    with ExitStack() as closing, _reading(path):
        members = read_members(path, bounds, closing)
        if facts.MANIFEST not in members:
            raise ValueError(f"it holds no {facts.MANIFEST}")
        with io.BufferedReader(Exactly(facts.MANIFEST, members[facts.MANIFEST], _name(path))) as stream:
            manifest = manifests.parse(stream.read(manifests.LIMIT + 1))
        return ArchiveReader(_name(path), manifest, members, closing.pop_all())


def read_manifest(path: PathLike) -> dict[str, Any]:
    """MAR-INF/MANIFEST.json of an archive in any of the four formats; nothing is unpacked.

    Raises ArchiveError if there is no archive, or none that has a manifest.
    """
    path = _existing(path)
    if not path.is_dir():
        with open_archive(path) as archive:
            return archive.manifest
    with _reading(path):
        root = root_of(path)
        file = root / facts.MANIFEST
        if file.exists():
            file = within(root, file, facts.MANIFEST)
        if not file.is_file():
            raise ValueError(f"it holds no {facts.MANIFEST}")
        with open(file, "rb") as stream:
            return manifests.parse(stream.read(manifests.LIMIT + 1))


def _existing(path: PathLike) -> Path:
    try:
        found = Path(path).expanduser()
        if not os.fspath(path) or not found.exists():
            near = _beside(found) if os.fspath(path) else None
            meant = (
                f"; did you mean {Path(path).with_name(near.name)}?" if near else f"; looked from {_name(Path.cwd())}/"
            )
            raise ArchiveError(f"no archive {os.fspath(path)!r}{meant}")
        if not (found.is_file() or found.is_dir()):
            raise ArchiveError(f"{os.fspath(path)!r} is neither a file nor a folder")
    except (OSError, ValueError, RuntimeError) as problem:  # NUL in it, too long, ~nobody
        raise ArchiveError(f"no archive {quoted(os.fspath(path))}: {reason(problem)}") from problem
    return found


def _beside(path: Path) -> Path | None:
    """An archive of this name in another format."""
    stem = path.name.removesuffix(".mar").removesuffix(".tar.gz")
    archives = (path.with_name(f"{stem}{suffix}") for suffix in _SUFFIXES)
    return next((archive for archive in archives if stem and archive.is_file()), None)


def _name(path: Path) -> str:
    """The last part of a path: for "." and ".." that of the folder they stand for, for "/" itself."""
    return path.name if path.name not in ("", "..") else path.resolve().name or os.sep


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Says in one sentence what the formats' readers raise."""
    try:
        yield
    except UNREADABLE as problem:
        kind = "does not unpack" if isinstance(problem, UnsafeArchive) else "is not a model archive"
        raise ArchiveError(f"{_name(path)} {kind}: {reason(problem)}") from problem


def _of_model(model: Model) -> ArchiveReader:
    members = {}
    for entry in model.entries():
        try:
            members[entry.name] = file_member(entry.source, entry.source.stat())
        except (OSError, UnsafeArchive) as problem:
            raise ArchiveError(f"cannot read {entry.name}: {reason(problem)}") from problem
    return ArchiveReader(model.name, model.manifest(), members, ExitStack())
