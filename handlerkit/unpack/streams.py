"""The bytes of an archive's files, as many as were promised."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from handlerkit.errors import ArchiveError
from handlerkit.unpack.members import Member, Raw
from handlerkit.unpack.names import quoted

#: Bytes that are read in one go.
MOST_AT_ONCE = 1 << 20

# What reading a broken or hostile archive raises; RuntimeError means encryption or an unknown compression.
UNREADABLE = (
    OSError, EOFError, ValueError, LookupError, ArithmeticError, RuntimeError, struct.error, zlib.error,
    tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip


def reason(problem: BaseException) -> str:
    """What went wrong, in a few words."""
    text = getattr(problem, "strerror", None) or " ".join(str(problem).split())
    return text[:300] or "it is damaged"


class Sparing(io.BufferedReader):
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


class Window:
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


class Exactly(io.RawIOBase):
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
        wanted = min(len(buffer), MOST_AT_ONCE, max(0, self._member.size - self._at))
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
        except UNREADABLE as problem:
            raise ArchiveError(
                f"{self._archive} does not unpack: {quoted(self._name)} is damaged: {reason(problem)}"
            ) from problem
