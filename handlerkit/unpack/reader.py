"""What is in an archive, read without unpacking it.

An archive from elsewhere may hold anything, and say anything of what it holds. So each format's index is read with a
bound, every name is checked, and a member gives exactly the bytes that the index says, or ArchiveError.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol

from handlerkit.errors import ArchiveError
from handlerkit.formatting import byte_size
from handlerkit.model import Model, PathLike
from handlerkit.serving import torchserve_facts as facts
from handlerkit.unpack import manifest as manifests
from handlerkit.unpack.names import Refusal, checked, quoted

#: Files and folders that an archive may hold.
MAX_FILES = 10_000
#: How far an archive may grow when it is unpacked: torch-model-archiver's grow by a few percent, text by ten times.
_GROWTH, _ALWAYS = 100, 256_000_000

#: Of archives that are files.
_SUFFIXES = (".mar", ".tar.gz")

# What reading a broken or hostile archive raises; RuntimeError stands for encryption and unknown compressions.
_UNREADABLE = (
    OSError, EOFError, ValueError, LookupError, ArithmeticError, RuntimeError, struct.error, zlib.error,
    tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip


class Raw(Protocol):
    """What a member's bytes are read from."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, /) -> object: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Member:
    """A file of an archive. `begin` opens its bytes; where `inflates` is true, reading all of them shows whether they
    are `size` ones. `crc` is what they sum up to, where nothing else compares it."""

    size: int
    begin: Callable[[], Raw]
    crc: int | None = None
    inflates: bool = False


@dataclass(frozen=True)
class Bounds:
    """How much an archive may hold; without `max_bytes`, 100 times what it takes on the disk, and 256 MB at least."""

    max_bytes: int | None = None
    max_files: int = MAX_FILES

    def bytes_of(self, size: int) -> int:
        """The most that an archive of this size may unpack to."""
        return max(_ALWAYS, _GROWTH * size) if self.max_bytes is None else self.max_bytes

    def check(self, size: int, unpacked: int, files: int) -> None:
        """Raises Refusal for too much of something."""
        if files > self.max_files:
            raise Refusal(f"it holds more than {self.max_files:,} files: allow more with unpack(..., max_files=N)")
        if unpacked > (most := self.bytes_of(size)):
            raise Refusal(f"it grows to more than {byte_size(most)}: allow more with unpack(..., max_bytes=N)")


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
        return io.BufferedReader(_Exactly(name, self._members[name], self.name))

    def inflates(self, name: str) -> bool:
        """Whether a file's bytes are inflated while they are read, so that seeking back reads all before it again.
        Raises KeyError for a name that is not in `sizes`."""
        return self._members[name].inflates

    def extract(self, name: str, path: Path) -> None:
        """Write a file's bytes to a new file. Raises ArchiveError if they are not what the archive says, KeyError
        for a name that is not in `sizes`, OSError for a path that cannot be written."""
        summed, expected = 0, self._members[name].crc
        with self.open(name) as stream, open(path, "xb", buffering=0) as out:
            while block := stream.read(_MOST_AT_ONCE):
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
                    while stream.read(_MOST_AT_ONCE):
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
        members = _members(path, bounds, closing)
        if facts.MANIFEST not in members:
            raise ValueError(f"it holds no {facts.MANIFEST}")
        with io.BufferedReader(_Exactly(facts.MANIFEST, members[facts.MANIFEST], _name(path))) as stream:
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
        root = _root(path)
        file = root / facts.MANIFEST
        if file.exists():
            file = _within(root, file, facts.MANIFEST)
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
        raise ArchiveError(f"no archive {quoted(os.fspath(path))}: {_reason(problem)}") from problem
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
    except _UNREADABLE as problem:
        kind = "does not unpack" if isinstance(problem, Refusal) else "is not a model archive"
        raise ArchiveError(f"{_name(path)} {kind}: {_reason(problem)}") from problem


def _reason(problem: BaseException) -> str:
    text = getattr(problem, "strerror", None) or " ".join(str(problem).split())
    return text[:300] or "it is damaged"


def _of_model(model: Model) -> ArchiveReader:
    members = {}
    for entry in model.entries():
        try:
            members[entry.name] = _file(entry.source, entry.source.stat())
        except (OSError, Refusal) as problem:
            raise ArchiveError(f"cannot read {entry.name}: {_reason(problem)}") from problem
    return ArchiveReader(model.name, model.manifest(), members, ExitStack())


# --- the formats -----------------------------------------------------------------------------------------------------


def _members(path: Path, bounds: Bounds, closing: ExitStack) -> dict[str, Member]:
    """The archive's files by their names. Raises what the formats' readers raise, and ValueError."""
    if path.is_dir():
        members = _folder(path, bounds)
    else:
        file = closing.enter_context(open(path, "rb", buffering=0))  # noqa: SIM115 - closed by `closing`
        magic = os.pread(file.fileno(), 4, 0)
        if magic.startswith(b"PK"):
            members = _zipped(file, bounds, closing)
        elif magic.startswith(b"\x1f\x8b"):
            members = _tarred(file, bounds, closing)
        else:
            raise ValueError("it is neither a zip nor a gzipped tar, nor a folder")
    for name in members:
        folder = name
        while folder := folder.rpartition("/")[0]:
            if folder in members:
                raise Refusal(f"{quoted(folder)} is both a file and a folder in it")
    return members


def _add(members: dict[str, Member], name: str, member: Member) -> None:
    place = checked(name)
    if place in members:
        raise Refusal(f"it holds {quoted(place)} twice")
    members[place] = member


def _zipped(file: io.FileIO, bounds: Bounds, closing: ExitStack) -> dict[str, Member]:
    """TorchServe reads a zip from its beginning on, and zipfile from the directory at its end: both have to agree."""
    size = os.fstat(file.fileno()).st_size
    # a directory takes a few hundred bytes a file; zipfile reads all of it before anything can be counted
    source = closing.enter_context(_Sparing(file, bounds.max_files * 512))
    archive = closing.enter_context(zipfile.ZipFile(source, metadata_encoding="utf-8"))
    source.left = sys.maxsize
    infos = archive.infolist()
    bounds.check(size, sum(info.file_size for info in infos), len(infos))
    starts = _starts(file, infos, archive.start_dir)
    members: dict[str, Member] = {}
    for info in infos:
        if info.filename != info.orig_filename:
            raise Refusal(f"{quoted(info.orig_filename)} is not a name for a file")
        if info.create_system == 3 and (info.external_attr >> 28) not in (0, 0o04, 0o10):  # Unix's kinds of file
            raise Refusal(f"{quoted(info.filename)} is a link, or no file: put the file itself into the archive")
        if info.is_dir():
            checked(info.filename)
        elif info.compress_type == zipfile.ZIP_STORED:
            if info.compress_size != info.file_size:
                raise Refusal(f"{quoted(info.filename)} has two sizes in it")
            window = partial(_Window, file.fileno(), starts[info.header_offset], info.file_size)
            _add(members, info.filename, Member(info.file_size, window, info.CRC))
        else:
            _add(members, info.filename, Member(info.file_size, _inflated(archive, info), inflates=True))
    return members


def _inflated(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], Raw]:
    def begin() -> Raw:
        longer = copy(info)
        longer.file_size += 1  # zipfile stops at this size, also where there is more
        return archive.open(longer)

    return begin


_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_BEGINS, _IN_ZIP64 = b"PK\x03\x04", 0xFFFFFFFF
_DESCRIBED, _READABLE_FLAGS = 0x08, 0x080E  # sizes behind the data; that, how hard it was deflated, and UTF-8


def _starts(file: io.FileIO, infos: list[zipfile.ZipInfo], end: int) -> dict[int, int]:
    """Where each member's bytes begin, by where its header does. Raises ValueError unless the members stand one behind
    the other from the archive's beginning on, under the names and sizes that the directory has."""
    at, starts = 0, {}
    slack: tuple[int, ...] = (0,)
    for info in sorted(infos, key=lambda info: info.header_offset):
        name = quoted(info.filename)
        if info.flag_bits & ~_READABLE_FLAGS:
            raise Refusal(f"{name} is encrypted, or packed in a way that TorchServe does not read")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refusal(f"{name} is compressed in a way that TorchServe does not read: store or deflate it")
        if info.header_offset - at not in slack:
            raise Refusal(f"{name} does not begin where the file before it ends")
        header = os.pread(file.fileno(), _LOCAL.size, info.header_offset)
        if len(header) < _LOCAL.size or not header.startswith(_LOCAL_BEGINS):
            raise Refusal(f"{name} is not where its directory says")
        _, _, flags, method, _, _, _, packed, size, name_length, extra_length = _LOCAL.unpack(header)
        behind = os.pread(file.fileno(), name_length + extra_length, info.header_offset + _LOCAL.size)
        if behind[:name_length] != info.orig_filename.encode() or method != info.compress_type:
            raise Refusal(f"{name} is another file in its header than in its directory")
        if not flags & _DESCRIBED:
            packed, size = _zip64(behind[name_length:], packed, size)
            if (packed, size) != (info.compress_size, info.file_size):
                raise Refusal(f"{name} has two sizes in it")
        starts[info.header_offset] = at = info.header_offset + _LOCAL.size + name_length + extra_length
        at += info.compress_size
        slack = (12, 16, 20, 24) if flags & _DESCRIBED else (0,)
    if end - at not in slack:
        raise ValueError("there is something between its files and its directory")
    return starts


def _zip64(extra: bytes, packed: int, size: int) -> tuple[int, int]:
    """The compressed and the true size of a local header, which stand in its extra field where they need 64 bits."""
    if _IN_ZIP64 not in (packed, size):
        return packed, size
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            wide = list(struct.unpack_from(f"<{min(length, len(extra) - 4) // 8}Q", extra, 4))
            size = wide.pop(0) if size == _IN_ZIP64 and wide else size
            packed = wide.pop(0) if packed == _IN_ZIP64 and wide else packed
            break
        extra = extra[4 + length :]
    return packed, size


def _tarred(file: io.FileIO, bounds: Bounds, closing: ExitStack) -> dict[str, Member]:
    """As the server does, the first folder is dropped, whatever it is called. A gzipped tar has no index, so it is
    inflated into a file without a name."""
    size = os.fstat(file.fileno()).st_size
    spool = closing.enter_context(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - closed by `closing`
    _gunzip(file, spool, size, bounds)
    source = closing.enter_context(_Sparing(spool, _LONGEST_HEADER))
    members: dict[str, Member] = {}
    with tarfile.TarFile(fileobj=source) as archive:
        for count, info in enumerate(archive, 1):
            bounds.check(size, 0, count)
            source.left = _LONGEST_HEADER
            if info.isdir():
                if info.name != ".":
                    checked(info.name)
                continue
            checked(info.name)
            if not info.isreg() or info.issparse():
                raise Refusal(f"{quoted(info.name)} is a link, or no file: put the file itself into the archive")
            window = partial(_Window, spool.fileno(), info.offset_data, info.size)
            _add(members, info.name.partition("/")[2] or info.name, Member(info.size, window))
        bounds.check(size, sum(member.size for member in members.values()), 0)
        if any(os.pread(spool.fileno(), tarfile.BLOCKSIZE, archive.offset)):
            raise ValueError("it is damaged")  # tarfile takes a header that it cannot read for the end
    return members


_LONGEST_HEADER = 1 << 20  # bytes between the contents of two files of a tar: what is said of the second
_LONGEST_USUAL_HEADER = 2048


def _gunzip(file: io.FileIO, spool: io.FileIO, size: int, bounds: Bounds) -> None:
    """What the server reads of it: its first stream. Raises ValueError for too much, or for an end amid it."""
    engine, written = zlib.decompressobj(16 + zlib.MAX_WBITS), 0
    while not engine.eof:
        packed = engine.unconsumed_tail or file.read(1 << 18)
        if not packed:
            raise ValueError("it ends in the middle of a file")
        block = engine.decompress(packed, 1 << 20)
        written += len(block)
        bounds.check(size, written - bounds.max_files * _LONGEST_USUAL_HEADER, 0)
        spool.write(block)
    spool.seek(0)


def _folder(path: Path, bounds: Bounds) -> dict[str, Member]:
    """The files below a folder; links among them are followed as long as they stay in it."""
    root = _root(path)
    members: dict[str, Member] = {}
    taken: dict[tuple[int, int], int] = {}  # bytes on the disk, by file
    count, above = 0, [(root, "")]
    while above:
        folder, prefix = above.pop()
        for entry in _entries(folder, bounds.max_files):
            count += 1
            bounds.check(0, 0, count)
            place = checked(prefix + entry.name)
            real = _within(root, Path(entry.path), place) if entry.is_symlink() else Path(entry.path)
            if not entry.is_dir():
                found = entry.stat()
                taken[found.st_dev, found.st_ino] = found.st_blocks * 512
                _add(members, place, _file(real, found))
            elif folder.is_relative_to(real):
                raise Refusal(f"{quoted(place)} is a link to a folder that it lies in")
            else:
                above.append((real, f"{place}/"))
    bounds.check(sum(taken.values()), sum(member.size for member in members.values()), count)
    return members


def _entries(folder: Path, most: int) -> list[os.DirEntry[str]]:
    """What is in a folder, up to one more than it may hold."""
    with os.scandir(folder) as entries:
        return list(islice(entries, most + 1))


def _root(path: Path) -> Path:
    """As the server does, a folder that holds nothing but another one stands for that."""
    root = path.resolve()
    inside = _entries(root, 1)
    if len(inside) != 1 or not inside[0].is_dir():
        return root
    return _within(root, root / inside[0].name, inside[0].name)


def _within(root: Path, link: Path, name: str) -> Path:
    """What a link leads to. Raises Refusal if that is outside, or nowhere."""
    try:
        real = link.resolve(strict=True)
    except (OSError, RuntimeError):  # the latter where links lead to one another
        raise Refusal(f"{quoted(name)} is a link that leads nowhere") from None
    if not real.is_relative_to(root):
        raise Refusal(f"{quoted(name)} is a link to a place outside it")
    return real


def _file(path: Path, found: os.stat_result) -> Member:
    if not stat.S_ISREG(found.st_mode):
        raise Refusal(f"{quoted(path.name)} is neither a file nor a folder")
    return Member(found.st_size, lambda: open(path, "rb", buffering=0))


# --- streams ---------------------------------------------------------------------------------------------------------


class _Sparing(io.BufferedReader):
    """A file of which `left` bytes more may be read."""

    def __init__(self, file: io.FileIO, left: int) -> None:
        super().__init__(file)
        self.left = left

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(self.left + 1 if size is None or size < 0 else min(size, self.left + 1))
        self.left -= len(block)
        if self.left < 0:
            raise ValueError("what it says of its files is too long")
        return block


class _Window:
    """A stretch of a file, read without moving the file's own position."""

    def __init__(self, number: int, start: int, size: int) -> None:
        self._number, self._start, self._size, self._at = number, start, size, 0

    def seek(self, offset: int) -> None:
        self._at = offset

    def read(self, size: int) -> bytes:
        block = os.pread(self._number, max(0, min(size, self._size - self._at)), self._start + self._at)
        self._at += len(block)
        return block

    def close(self) -> None:
        """The file is somebody else's."""


class _Exactly(io.RawIOBase):
    """A member's bytes: as many as were promised, or ArchiveError."""

    def __init__(self, name: str, member: Member, archive: str) -> None:
        self._name, self._member, self._archive = name, member, archive
        self._at = 0
        self._inner: Raw = io.BytesIO()
        with self._honest():
            self._inner = member.begin()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        base = (0, self._at, self._member.size)[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        with self._honest():
            self._inner.seek(min(base + offset, self._member.size))
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        if not len(buffer):
            return 0
        wanted = min(len(buffer), _MOST_AT_ONCE, max(0, self._member.size - self._at))
        with self._honest():
            block = self._inner.read(wanted or 1)
            if len(block) > wanted or (wanted and not block):
                raise ValueError("it has another size than is said")
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()

    @contextmanager
    def _honest(self) -> Iterator[None]:
        try:
            yield
        except _UNREADABLE as problem:
            raise ArchiveError(
                f"{self._archive} does not unpack: {quoted(self._name)} is damaged: {_reason(problem)}"
            ) from problem


_MOST_AT_ONCE = 1 << 20
