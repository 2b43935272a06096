"""Archives that are zip files, of which TorchServe reads one file after the other."""

from __future__ import annotations

import io
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from functools import partial

from handlerkit.unpack.members import Bounds, Member, Raw, add
from handlerkit.unpack.names import UnsafeArchive, checked, quoted
from handlerkit.unpack.streams import Sparing, Window

_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_BEGINS, _IN_ZIP64 = b"PK\x03\x04", 0xFFFFFFFF
_DESCRIBED, _READABLE_FLAGS = 0x08, 0x080E  # sizes behind the data; that, how hard it was deflated, and UTF-8


def read(file: io.FileIO, bounds: Bounds, closing: ExitStack) -> dict[str, Member]:
    """TorchServe reads a zip from its beginning on, and zipfile from the directory at its end: both have to agree."""
    size = os.fstat(file.fileno()).st_size
    # a directory takes a few hundred bytes a file; zipfile reads all of it before anything can be counted
    source = closing.enter_context(Sparing(file, bounds.max_files * 512))
    archive = closing.enter_context(zipfile.ZipFile(source, metadata_encoding="utf-8"))
    source.left = sys.maxsize
    infos = archive.infolist()
    bounds.check(size, sum(info.file_size for info in infos), len(infos))
    starts = _starts(file, infos, archive.start_dir)
    members: dict[str, Member] = {}
    for info in infos:
        if info.filename != info.orig_filename:
            raise UnsafeArchive(f"{quoted(info.orig_filename)} is not a name for a file")
        if info.create_system == 3 and (info.external_attr >> 28) not in (0, 0o04, 0o10):  # Unix's kinds of file
            raise UnsafeArchive(f"{quoted(info.filename)} is a link, or no file: put the file itself into the archive")
        if info.is_dir():
            checked(info.filename)
        elif info.compress_type == zipfile.ZIP_STORED:
            if info.compress_size != info.file_size:
                raise UnsafeArchive(f"{quoted(info.filename)} has two sizes in it")
            window = partial(Window, file.fileno(), starts[info.header_offset], info.file_size)
            add(members, info.filename, Member(info.file_size, window, info.CRC))
        else:
            add(members, info.filename, Member(info.file_size, _inflated(archive, info), inflates=True))
    return members


def _inflated(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], Raw]:
    def begin() -> Raw:
        longer = copy(info)
        longer.file_size += 1  # zipfile stops at this size, also where there is more
        return archive.open(longer)

    return begin


def _starts(file: io.FileIO, infos: list[zipfile.ZipInfo], end: int) -> dict[int, int]:
    """Where each member's bytes begin, by where its header does. Raises ValueError unless the members follow one
    the other from the archive's beginning on, under the names and sizes that the directory has."""
    at, starts = 0, {}
    slack: tuple[int, ...] = (0,)
    for info in sorted(infos, key=lambda info: info.header_offset):
        name = quoted(info.filename)
        if info.flag_bits & ~_READABLE_FLAGS:
            raise UnsafeArchive(f"{name} is encrypted, or packed in a way that TorchServe does not read")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnsafeArchive(f"{name} is compressed in a way that TorchServe does not read: store or deflate it")
        if info.header_offset - at not in slack:
            raise UnsafeArchive(f"{name} does not begin where the file before it ends")
        header = os.pread(file.fileno(), _LOCAL.size, info.header_offset)
        if len(header) < _LOCAL.size or not header.startswith(_LOCAL_BEGINS):
            raise UnsafeArchive(f"{name} is not where its directory says")
        _, _, flags, method, _, _, _, packed, size, name_length, extra_length = _LOCAL.unpack(header)
        behind = os.pread(file.fileno(), name_length + extra_length, info.header_offset + _LOCAL.size)
        if behind[:name_length] != info.orig_filename.encode() or method != info.compress_type:
            raise UnsafeArchive(f"{name} is another file in its header than in its directory")
        if not flags & _DESCRIBED:
            packed, size = _zip64(behind[name_length:], packed, size)
            if (packed, size) != (info.compress_size, info.file_size):
                raise UnsafeArchive(f"{name} has two sizes in it")
        starts[info.header_offset] = at = info.header_offset + _LOCAL.size + name_length + extra_length
        at += info.compress_size
        slack = (12, 16, 20, 24) if flags & _DESCRIBED else (0,)
    if end - at not in slack:
        raise ValueError("there is something between its files and its directory")
    return starts


def _zip64(extra: bytes, packed: int, size: int) -> tuple[int, int]:
    """The compressed and the true size of a local header, which are in its extra field where they need 64 bits."""
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
