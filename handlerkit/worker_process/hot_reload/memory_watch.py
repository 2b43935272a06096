"""Whether memory was written to: that of weights, of whose changes no counter of versions tells in every case.

Linux 6.7 and newer keeps an account of the pages that are written to, where a process asks for it (userfaultfd, with
write faults that the kernel resolves by itself; PAGEMAP_SCAN reads the account). Nothing is copied or read, and a
gigabyte is answered for in a third of a millisecond. Where that is not to be had (macOS, an older kernel, a container
whose seccomp profile forbids it), and for memory that others may write to past this process's page tables, all of it is
hashed, at the speed of memory.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import struct
import sys
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import xxhash

_PAGE = mmap.PAGESIZE
_LEAST = 64 * _PAGE  # a hash of less takes no longer than asking the kernel
#: An address, and the one behind the last byte.
Span = tuple[int, int]


class MemoryWatch:
    """Begins to watch when it is made, and ends when it is collected.

    Args:
        spans: what is watched, with what to call it. It has to stay allocated for as long as the watch lives.
    """

    def __init__(self, spans: Mapping[Span, str]) -> None:
        large = any(end - start > _LEAST for start, end in spans)
        self._pages = _Pages.account() if large else None
        mappings = _mappings() if self._pages else []
        hashed: list[tuple[Span, str]] = []
        self._watched: list[tuple[Span, str]] = []
        self._backing: dict[str, _Identity | None] = {}
        for (start, end), name in spans.items():
            inner = -(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE
            own, files = _private(inner, mappings)
            if self._pages and inner[1] - inner[0] >= _LEAST and own and self._pages.watch(inner):
                self._watched.append((inner, name))
                self._backing |= {file: _identity(file) for file in files}
                hashed += [((start, inner[0]), name), ((inner[1], end), name)]
            else:
                hashed.append(((start, end), name))
        self._hashes = [(span, name, _hash(span)) for span, name in hashed if span[0] < span[1]]

    def written(self) -> str:
        """What to call a part of it that is not what it was; "" if all of it is."""
        if changed := [file for file, identity in self._backing.items() if _identity(file) != identity]:
            return os.path.basename(changed[0])
        if self._pages is not None:
            for span, name in self._watched:
                if self._pages.written(span):
                    return name
        return next((name for span, name, before in self._hashes if _hash(span) != before), "")


def _hash(span: Span) -> bytes:
    start, end = span
    return xxhash.xxh3_128_digest((ctypes.c_char * (end - start)).from_address(start))


# what is mapped where

_Identity = tuple[int, int, int, int]


class _Mapping(NamedTuple):
    start: int
    end: int
    private: bool
    file: str


def _mappings() -> list[_Mapping]:
    """This process's, by address."""
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            place, rights, _, _, inode, *file = line.rstrip("\n").split(None, 5)
            start, _, end = place.partition("-")
            path = file[0] if file and inode != "0" else ""
            found.append(_Mapping(int(start, 16), int(end, 16), rights[3] == "p", path))
    return found


def _private(span: Span, mappings: list[_Mapping]) -> tuple[bool, set[str]]:
    """Whether no other process can write to a span, and the files whose content it shows where it was not written."""
    start, end = span
    first = bisect_right(mappings, start, key=lambda mapping: mapping.start) - 1
    under: Iterator[_Mapping] = (one for one in mappings[max(first, 0) :] if one.start < end)
    found = []
    for one in under:
        found.append(one)
        if one.end >= end:
            break
    return all(one.private for one in found), {one.file for one in found if one.file}


def _identity(file: str) -> _Identity | None:
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_dev


# the kernel's account: linux/userfaultfd.h and linux/fs.h

_USERFAULTFD = {"x86_64": 323, "aarch64": 282}
_USER_MODE_ONLY = 1
_UFFD_API, _WP_UNPOPULATED, _WP_ASYNC, _WP_FILES = 0xAA, 1 << 13, 1 << 15, 1 << 12
_MODE_WP = 2
_PAGE_IS_WRITTEN = 1 << 1


def _request(kind: int, number: int, size: int) -> int:
    """The number of an ioctl that reads and writes `size` bytes."""
    return 3 << 30 | size << 16 | kind << 8 | number


_API = _request(_UFFD_API, 0x3F, 24)
_REGISTER = _request(_UFFD_API, 0x00, 32)
_WRITE_PROTECT = _request(_UFFD_API, 0x06, 24)
_SCAN = _request(ord("f"), 16, 96)


class _Pages:
    """The kernel's account of pages of this process that were written to."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._map = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, _close, file, self._map)
        self._found = (ctypes.c_uint64 * 3)()

    @classmethod
    def account(cls) -> _Pages | None:
        """A new one, with nothing in it; None if the kernel keeps none."""
        number = _USERFAULTFD.get(platform.machine())
        if sys.platform != "linux" or number is None:
            return None
        file = ctypes.CDLL(None).syscall(number, os.O_CLOEXEC | os.O_NONBLOCK | _USER_MODE_ONLY)
        if file < 0:
            return None
        try:
            features = _WP_ASYNC | _WP_UNPOPULATED | _WP_FILES
            fcntl.ioctl(file, _API, bytearray(struct.pack("QQQ", _UFFD_API, features, 0)))
            return cls(file)
        except OSError:
            os.close(file)
            return None

    def watch(self, span: Span) -> bool:
        """Have whole pages in the account from now on, as not written to; False if that cannot be."""
        start, end = span
        try:
            fcntl.ioctl(self._file, _REGISTER, bytearray(struct.pack("QQQQ", start, end - start, _MODE_WP, 0)))
            fcntl.ioctl(self._file, _WRITE_PROTECT, bytearray(struct.pack("QQQ", start, end - start, 1)))
            return not self.written(span)
        except OSError:
            return False

    def written(self, span: Span) -> bool:
        """Whether a page of these was written to."""
        want = struct.pack(
            "12Q", 96, 0, *span, 0, ctypes.addressof(self._found), 1, 1, 0, _PAGE_IS_WRITTEN, 0, _PAGE_IS_WRITTEN
        )  # fmt: skip
        found: int = fcntl.ioctl(self._map, _SCAN, bytearray(want))
        return found > 0


def _close(*files: int) -> None:
    for file in files:
        os.close(file)
