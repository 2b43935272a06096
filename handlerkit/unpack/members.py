"""The files of an archive, and how many of them it may hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from handlerkit.formatting import byte_size
from handlerkit.unpack.names import UnsafeArchive, checked, quoted

#: Files and folders that an archive may hold.
MAX_FILES = 10_000
#: How far an archive may grow when it is unpacked: torch-model-archiver's grow by a few percent, text by ten times.
_GROWTH, _ALWAYS = 100, 256_000_000


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
        """Raises UnsafeArchive for too much of something."""
        if files > self.max_files:
            raise UnsafeArchive(
                f"it holds more than {self.max_files:,} files: allow more with unpack(..., max_files=N)"
            )
        if unpacked > (most := self.bytes_of(size)):
            raise UnsafeArchive(f"it grows to more than {byte_size(most)}: allow more with unpack(..., max_bytes=N)")


def add(members: dict[str, Member], name: str, member: Member) -> None:
    """Take a file in. Raises UnsafeArchive for a name that lies outside, or that is taken."""
    place = checked(name)
    if place in members:
        raise UnsafeArchive(f"it holds {quoted(place)} twice")
    members[place] = member
