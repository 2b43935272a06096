"""Writes a Model as an archive that TorchServe loads, in one streamed pass.

Names, layout and manifest are torch-model-archiver's (model_archiver/model_packaging_utils.py, 0.12). What differs:
the order of the files is fixed, nothing is staged, and weights that would not shrink are stored in every `.mar`.

The classes here write the formats; place.py puts an archive where it belongs, whole or not at all; interrupts.py holds
Ctrl-C back meanwhile. Nothing here imports or unpickles what it writes. It may import model, serving and below. A new
format is a writer in this module and its name in SUFFIXES.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Any

from handlerkit.archive.interrupts import interrupts_deferred
from handlerkit.archive.place import beside
from handlerkit.errors import ArchiveError
from handlerkit.formatting import byte_size
from handlerkit.model import Entry, Model, PathLike
from handlerkit.serving.torchserve_facts import MANIFEST

#: Called with (bytes read so far, bytes in all) of the model's files.
Progress = Callable[[int, int], object]

#: archive_format: how the name of what is written ends.
SUFFIXES = {"default": ".mar", "zip-store": ".mar", "tgz": ".tar.gz", "no-archive": ""}

_BLOCK = 256 << 10  # small enough to stay in a core's cache while it is read, summed and written
_PENDING = 4  # blocks that wait for the writing thread
_SAMPLE, _SAMPLES = 64 << 10, 5
# Deflate takes 7 % off float32 and float16 weights, 11 % off int8 and 20 % off bfloat16, at some 30 MB/s. Below this
# gain it is not worth the wait; pruned weights and text are above it.
_WORTHWHILE = 0.25


class Archive:
    """A model's archive, in torch-model-archiver's formats.

    Args:
        model: what goes in.
        archive_format: `default` (a zip: files are deflated where that gains a quarter, else stored), `zip-store`
            (a zip, everything stored), `tgz` (a gzipped tar of the folder `<model name>/`) or `no-archive` (a folder).

    Raises ArchiveError for any other format.
    """

    def __init__(self, model: Model, archive_format: str = "default") -> None:
        if archive_format not in SUFFIXES:
            raise ArchiveError(f"archive_format is one of {', '.join(SUFFIXES)}, not {archive_format!r}")
        self.model = model
        self.archive_format = archive_format

    @property
    def name(self) -> str:
        """The name of the file or folder to be written: `<model name>.mar`, `.tar.gz` or nothing added."""
        return self.model.name + SUFFIXES[self.archive_format]

    def save(self, folder: PathLike, *, force: bool = False, progress: Progress | None = None) -> Path:
        """Write the archive into `folder` and return its path.

        A folder that does not exist is created, where torch-model-archiver refuses. It is written beside the target,
        under a hidden name until it is whole, so that an export broken off by an error or by Ctrl-C leaves
        an older archive as it was. `progress` is called about every 50 ms and once at the end; what it raises breaks
        the export off.

        Raises ArchiveError when the target exists and `force` is false, when it does not fit on the disk, when a file
        cannot be read or changes meanwhile, and when the target cannot be written. With `no-archive`, `force`
        replaces only a folder that holds an exported model; it never replaces one of the model's own files.
        """
        target = Path(folder).expanduser() / self.name
        as_folder = self.archive_format == "no-archive"
        try:
            members = [_member(entry, self.archive_format) for entry in self.model.named_entries()]
            manifest = json.dumps(self.model.manifest(), indent=2).encode()
            check = partial(self._check_target, target, members, force)
            target.parent.mkdir(parents=True, exist_ok=True)
            with (
                interrupts_deferred() as deliver,
                beside(target, folder=as_folder, check=check, deliver=deliver) as part,
            ):
                _check_space(target, members)
                meter = _Meter(progress, sum(member.size for member in members), deliver)
                if self.archive_format == "tgz":
                    _write_tgz(part, members, manifest, meter, self.model.name)
                elif as_folder:
                    _write_folder(part, members, manifest, meter)
                else:
                    _write_zip(part, members, manifest, meter)
        except (FileExistsError, NotADirectoryError) as problem:
            raise ArchiveError(f"{self.name} was not written: {target.parent} is no folder") from problem
        except OSError as problem:
            raise ArchiveError(f"{self.name} was not written: {problem.strerror or problem}") from problem
        meter.tell()
        return target

    def _check_target(self, target: Path, members: list[_Member], force: bool) -> None:
        if not os.path.lexists(target):
            return
        if not force:
            raise ArchiveError(f"{target} already exists: replace it with force=True (%export --force)")
        place = target.resolve()
        if any(member.source.resolve().is_relative_to(place) for member in members):
            raise ArchiveError(f"{self.name} is, or holds, one of the model's own files: save elsewhere")
        # A folder is removed with all that is in it, so be sure that it is an export and not someone's work.
        if target.is_dir() and (self.archive_format != "no-archive" or not (target / MANIFEST).is_file()):
            raise ArchiveError(f"{self.name} is a folder and no exported model: move it away, or save elsewhere")


# --- what is written -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Member:
    """An Entry with what was known of its file before anything was written."""

    name: str
    source: Path
    size: int
    mtime_ns: int
    deflate: bool


def _member(entry: Entry, archive_format: str) -> _Member:
    try:
        entry.name.encode()
        found = entry.source.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ArchiveError(f"{entry.name} is neither a file nor a folder: leave it out")
        deflate = archive_format == "tgz" or (archive_format == "default" and _shrinks(entry.source, found.st_size))
    except OSError as problem:
        raise ArchiveError(f"cannot read {entry.name}: {problem.strerror}") from problem
    except UnicodeEncodeError:
        raise ArchiveError(f"the name of {entry.name!a} is not valid text: rename the file") from None
    return _Member(entry.name, entry.source, found.st_size, found.st_mtime_ns, deflate)


def _shrinks(source: Path, size: int) -> bool:
    """Whether deflating is worth its time, judged by slices spread over the file.

    The first and last bytes are no sample: a .pt file begins with a pickle and ends with a directory, both of which
    shrink well, and is incompressible in between.
    """
    with open(source, "rb") as file:
        if size <= _SAMPLE * _SAMPLES:
            sample = file.read()
        else:
            pieces = []
            for part in range(_SAMPLES):
                file.seek((2 * part + 1) * size // (2 * _SAMPLES) - _SAMPLE // 2)
                pieces.append(file.read(_SAMPLE))
            sample = b"".join(pieces)
    return len(zlib.compress(sample, 1)) < len(sample) * (1 - _WORTHWHILE)


def _write_zip(part: Path, members: list[_Member], manifest: bytes, meter: _Meter) -> None:
    """A zip without data descriptors: TorchServe reads it with Java's ZipInputStream, which refuses stored entries
    that have one. zipfile comes back to write sum and sizes into each local header, as the file is seekable."""
    with _WriteBehind(part) as out, zipfile.ZipFile(out, "w") as archive:
        for member in members:
            with _MemberReader(member, meter) as source:
                info = zipfile.ZipInfo.from_file(member.source, member.name, strict_timestamps=False)
                info.compress_type = zipfile.ZIP_DEFLATED if member.deflate else zipfile.ZIP_STORED
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                info.file_size = member.size  # decides whether the header is a ZIP64 one
                with archive.open(info, "w") as body:
                    shutil.copyfileobj(source, body, _BLOCK)
        archive.writestr(MANIFEST, manifest)


def _write_tgz(part: Path, members: list[_Member], manifest: bytes, meter: _Meter, prefix: str) -> None:
    with (
        _WriteBehind(part) as out,
        gzip.GzipFile("", "wb", fileobj=out, mtime=0) as squeezed,
        tarfile.TarFile(fileobj=squeezed, mode="w") as archive,
    ):
        for member in members:
            info = tarfile.TarInfo(f"{prefix}/{member.name}")
            info.size = member.size
            info.mtime = member.mtime_ns // 10**9
            with _MemberReader(member, meter) as source:
                archive.addfile(info, source)
        info = tarfile.TarInfo(f"{prefix}/{MANIFEST}")
        info.size = len(manifest)
        archive.addfile(info, io.BytesIO(manifest))


def _write_folder(part: Path, members: list[_Member], manifest: bytes, meter: _Meter) -> None:
    for member in members:
        path = part / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with _MemberReader(member, meter) as source, _WriteBehind(path) as out:
            shutil.copyfileobj(source, out, _BLOCK)
    (part / MANIFEST).parent.mkdir(parents=True)
    (part / MANIFEST).write_bytes(manifest)


class _Meter:
    """Tells `progress` how far the export is, about every 50 ms. Between two blocks is the time for Ctrl-C."""

    def __init__(self, progress: Progress | None, total: int, deliver: Callable[[], None]) -> None:
        self._progress = progress
        self._total = total
        self._deliver = deliver
        self._done = 0
        self._told = time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        self._deliver()
        if self._progress is not None and time.monotonic() - self._told >= 0.05:
            self.tell()

    def tell(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total)
            self._told = time.monotonic()


class _MemberReader:
    """A member's file, read once from end to end: exactly the bytes that were promised, or ArchiveError."""

    def __init__(self, member: _Member, meter: _Meter) -> None:
        self._member = member
        self._meter = meter
        self._left = member.size
        try:
            self._file = open(member.source, "rb", buffering=0)  # noqa: SIM115 - closed by __exit__
        except OSError as problem:
            raise ArchiveError(f"cannot read {member.name}: {problem.strerror}") from problem

    def __enter__(self) -> _MemberReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        with self._file:
            now = os.fstat(self._file.fileno())
        if kind is None and (now.st_size, now.st_mtime_ns) != (self._member.size, self._member.mtime_ns):
            raise self._changed()

    def read(self, size: int = -1) -> bytes:
        try:
            block = self._file.read(self._left if size < 0 else min(size, self._left)) or b""
        except OSError as problem:
            raise ArchiveError(f"cannot read {self._member.name}: {problem.strerror}") from problem
        if not block and self._left and size:
            raise self._changed()
        self._left -= len(block)
        self._meter.add(len(block))
        return block

    def _changed(self) -> ArchiveError:
        return ArchiveError(f"{self._member.name} changed while it was exported: export again once it is fully written")


class _WriteBehind(io.FileIO):
    """A new file that a second thread writes, block by block in order, a few blocks behind.

    zipfile sums the CRC of a block before it writes it, and both let go of the GIL: so the sum of one block runs beside
    the writing of those before it, which makes a stored entry almost as quick as a plain copy. A write that
    fails is raised by whatever is called next.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w")
        self._todo: Queue[bytes | None] = Queue(_PENDING)
        self._problem: Exception | None = None
        self._writer = Thread(target=self._write_blocks, name="handlerkit-archive", daemon=True)
        self._writer.start()

    def write(self, block: Any, /) -> int:
        self._raise()
        self._todo.put(bytes(block))  # no copy of what is bytes already
        return len(block)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._settle()
        return super().seek(offset, whence)

    def tell(self) -> int:
        self._settle()
        return super().tell()

    def close(self) -> None:
        if not self.closed:
            self._todo.put(None)
            self._writer.join()
            super().close()
            self._raise()

    def _settle(self) -> None:
        self._todo.join()
        self._raise()

    def _raise(self) -> None:
        if self._problem is not None:
            raise self._problem

    def _write_blocks(self) -> None:
        while (block := self._todo.get()) is not None:
            try:
                rest = memoryview(block if self._problem is None else b"")
                while rest:  # a raw file may take less than it is given
                    rest = rest[super().write(rest) :]
            except Exception as problem:
                self._problem = problem
            finally:
                self._todo.task_done()


def _check_space(target: Path, members: list[_Member]) -> None:
    """Count only what is stored; how far the rest shrinks is not known yet."""
    needed = sum(member.size for member in members if not member.deflate)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise ArchiveError(
            f"{target.name} needs {byte_size(needed)} and the disk has {byte_size(free)} free: "
            "free some space, or save elsewhere"
        )
