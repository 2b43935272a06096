"""Archives that are gzipped tar files."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zlib
from contextlib import ExitStack
from functools import partial

from handlerkit.unpack.members import Bounds, Member, add
from handlerkit.unpack.names import UnsafeArchive, checked, quoted
from handlerkit.unpack.streams import Sparing, Window

_LONGEST_HEADER = 1 << 20  # bytes between the contents of two files of a tar: what is said of the second
_LONGEST_USUAL_HEADER = 2048


def read(file: io.FileIO, bounds: Bounds, closing: ExitStack) -> dict[str, Member]:
    """As the server does, the first folder is dropped, whatever it is called. A gzipped tar has no index, so it is
    inflated into a file without a name."""
    size = os.fstat(file.fileno()).st_size
    spool = closing.enter_context(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - closed by `closing`
    _gunzip(file, spool, size, bounds)
    source = closing.enter_context(Sparing(spool, _LONGEST_HEADER))
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
                raise UnsafeArchive(f"{quoted(info.name)} is a link, or no file: put the file itself into the archive")
            window = partial(Window, spool.fileno(), info.offset_data, info.size)
            add(members, info.name.partition("/")[2] or info.name, Member(info.size, window))
        bounds.check(size, sum(member.size for member in members.values()), 0)
        if any(os.pread(spool.fileno(), tarfile.BLOCKSIZE, archive.offset)):
            raise ValueError("it is damaged")  # tarfile takes a header that it cannot read for the end
    return members


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
