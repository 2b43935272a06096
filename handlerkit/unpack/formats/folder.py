"""Archives that are folders."""

from __future__ import annotations

import os
import stat
from itertools import islice
from pathlib import Path

from handlerkit.unpack.members import Bounds, Member, add
from handlerkit.unpack.names import UnsafeArchive, checked, quoted


def read(path: Path, bounds: Bounds) -> dict[str, Member]:
    """The files below a folder; links among them are followed as long as they stay in it."""
    root = root_of(path)
    members: dict[str, Member] = {}
    taken: dict[tuple[int, int], int] = {}  # bytes on the disk, by file
    count, above = 0, [(root, "")]
    while above:
        folder, prefix = above.pop()
        for entry in _entries(folder, bounds.max_files):
            count += 1
            bounds.check(0, 0, count)
            place = checked(prefix + entry.name)
            real = within(root, Path(entry.path), place) if entry.is_symlink() else Path(entry.path)
            if not entry.is_dir():
                found = entry.stat()
                taken[found.st_dev, found.st_ino] = found.st_blocks * 512
                add(members, place, file_member(real, found))
            elif folder.is_relative_to(real):
                raise UnsafeArchive(f"{quoted(place)} is a link to a folder that it lies in")
            else:
                above.append((real, f"{place}/"))
    bounds.check(sum(taken.values()), sum(member.size for member in members.values()), count)
    return members


def _entries(folder: Path, most: int) -> list[os.DirEntry[str]]:
    """What is in a folder, up to one more than it may hold."""
    with os.scandir(folder) as entries:
        return list(islice(entries, most + 1))


def root_of(path: Path) -> Path:
    """As the server does, a folder that holds nothing but another one stands for that."""
    root = path.resolve()
    inside = _entries(root, 1)
    if len(inside) != 1 or not inside[0].is_dir():
        return root
    return within(root, root / inside[0].name, inside[0].name)


def within(root: Path, link: Path, name: str) -> Path:
    """What a link leads to. Raises UnsafeArchive if that is outside, or nowhere."""
    try:
        real = link.resolve(strict=True)
    except (OSError, RuntimeError):  # the latter where links lead to one another
        raise UnsafeArchive(f"{quoted(name)} is a link that leads nowhere") from None
    if not real.is_relative_to(root):
        raise UnsafeArchive(f"{quoted(name)} is a link to a place outside it")
    return real


def file_member(path: Path, found: os.stat_result) -> Member:
    """A file on the disk, as a member. Raises UnsafeArchive for a device, a socket or a pipe."""
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeArchive(f"{quoted(path.name)} is neither a file nor a folder")
    return Member(found.st_size, lambda: open(path, "rb", buffering=0))
