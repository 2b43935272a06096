"""The formats of archives, one file each: what an archive holds, from its index.

zipped.py       .mar (torch-model-archiver's default)
tarred.py       .tar.gz (tgz)
folder.py       a folder (no-archive), and the files of a Model

Each has `read`, which gives the archive's files by their names, within bounds; it raises UnsafeArchive for what
TorchServe would not read, and what the standard library raises for what is damaged. Add a format as a file here, and
name it in `read_members`; torch-model-archiver's formats are written by `handlerkit.archive`. It may import
members, streams and names of the folder above.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from handlerkit.unpack.formats import folder, tarred, zipped
from handlerkit.unpack.members import Bounds, Member
from handlerkit.unpack.names import UnsafeArchive, quoted


def read_members(path: Path, bounds: Bounds, closing: ExitStack) -> dict[str, Member]:
    """The archive's files by their names. Raises what the formats' readers raise, and ValueError."""
    if path.is_dir():
        members = folder.read(path, bounds)
    else:
        file = closing.enter_context(open(path, "rb", buffering=0))  # noqa: SIM115 - closed by `closing`
        magic = os.pread(file.fileno(), 4, 0)
        if magic.startswith(b"PK"):
            members = zipped.read(file, bounds, closing)
        elif magic.startswith(b"\x1f\x8b"):
            members = tarred.read(file, bounds, closing)
        else:
            raise ValueError("it is neither a zip nor a gzipped tar, nor a folder")
    for name in members:
        above = name
        while above := above.rpartition("/")[0]:
            if above in members:
                raise UnsafeArchive(f"{quoted(above)} is both a file and a folder in it")
    return members
