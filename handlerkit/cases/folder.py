"""The files of cases: their names, how they are written at once, and what may be read."""

from __future__ import annotations

import os
import re
import secrets
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from handlerkit.archive.interrupts import interrupts_deferred
from handlerkit.errors import CaseError
from handlerkit.formatting import byte_size, printable

SUFFIX = ".har"
#: Bytes of a case's file, and of a body beside it.
LARGEST, LARGEST_BODY = 32_000_000, 256_000_000
_NAME = re.compile(r"[^\W_][\w-]*")
_LONGEST = 100  # bytes of a name: those of the files add to it, and file systems take 255


def checked_name(name: str) -> str:
    """A case's name in one form. Raises CaseError for one that cannot name files everywhere."""
    name = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(name):
        raise CaseError(
            f"{printable(name)!r} cannot name a case: use letters, digits, '_' and '-', with a letter or digit first"
        )
    if len(name.encode()) > _LONGEST:
        raise CaseError(f"{name[:20]}… is too long to name a case: {_LONGEST} bytes at most")
    return name


def find_files(folder: Path) -> list[Path]:
    """The files that hold cases, in it and below, sorted. Raises CaseError for no folder, and for none in it."""
    if not folder.is_dir():
        kind = "is a file" if folder.exists() else "is not there"
        raise CaseError(f"there is no folder {folder.as_posix()!r} of cases: it {kind}; %keep and hk.keep write them")
    found = sorted(path for path in folder.rglob(f"*{SUFFIX}") if not path.name.startswith("."))
    if not found:
        raise CaseError(f"there is no case in {folder.as_posix()}/: %keep and hk.keep write them")
    return found


def read_file(path: Path, folder: Path, most: int = LARGEST) -> bytes:
    """A file of the cases. Raises CaseError for one that lies outside of the folder, is no file, or is too large."""
    try:
        if path.resolve().parent != folder.resolve():
            raise CaseError(f"{path.name} is a link that leaves the folder of cases: it is not read")
        if not path.is_file():
            raise CaseError(f"{path.name} is {'no file' if path.exists() else 'not there'}")
        if (size := path.stat().st_size) > most:
            raise CaseError(f"{path.name} has {byte_size(size)}, and {byte_size(most)} are read")
        return path.read_bytes()
    except OSError as problem:
        raise CaseError(f"{path.name} cannot be read: {problem.strerror}") from None
    except RuntimeError:  # a link to itself, before Python 3.13
        raise CaseError(f"{path.name} is a link to itself") from None


class Bodies:
    """Reads the bodies that a case names, which lie beside it."""

    def __init__(self, file: Path) -> None:
        self._folder, self._file = file.parent, file.name
        #: What was read.
        self.names: list[str] = []

    def __call__(self, name: object) -> bytes:
        if (
            not isinstance(name, str)
            or not name
            or name != os.path.basename(name)
            or set(name) <= {"."}
            or re.search(r"[\0\ud800-\udfff]", name)
        ):
            raise CaseError(f"{self._file}: _file names a file beside it, not {name!r}")
        try:
            body = read_file(self._folder / name, self._folder, LARGEST_BODY)
        except CaseError as problem:
            raise CaseError(f"{self._file}: the body {problem}") from None
        self.names.append(name)
        return body


def write_files(folder: Path, name: str, files: Mapping[str, bytes], *, force: bool) -> tuple[Path, ...]:
    """Write the files of a case, all or none of them; a file that is there already and holds the same is left.

    Raises CaseError if one holds something else, unless `force` replaces it, and if the folder cannot be written to.
    """
    _refuse_casing(folder, name)
    paths = {folder / file: content for file, content in files.items()}
    changed = {path: content for path, content in paths.items() if _content(path) != content}
    if not force and (taken := [path for path in changed if os.path.lexists(path)]):
        raise CaseError(
            f"{taken[0].as_posix()} exists and holds something else: choose another name, or replace it with --force "
            "(force=True)"
        )
    old = _of_case(folder, name) - {path.name for path in paths} if force else set()
    if changed or old:
        try:
            _write(folder, changed, [folder / one for one in old])
        except OSError as problem:
            raise CaseError(f"{name} was not kept in {folder.as_posix()}/: {problem.strerror}") from problem
    return tuple(paths)


def _content(path: Path) -> bytes | None:
    """What a file holds; None for what is no plain file."""
    try:
        return path.read_bytes() if path.is_file() and not path.is_symlink() else None
    except OSError:
        return None


def _refuse_casing(folder: Path, name: str) -> None:
    """Two names that differ in capitals alone are one file on some systems."""
    for path in folder.glob(f"*{SUFFIX}") if folder.is_dir() else ():
        other = unicodedata.normalize("NFC", path.stem)
        if other != name and other.casefold() == name.casefold():
            raise CaseError(f"{name} and {other}, which is there, are one name on some systems: choose another")


def _of_case(folder: Path, name: str) -> set[str]:
    """The bodies of a case that is replaced."""
    own = re.compile(rf"{re.escape(name)}(\.\d+)?\.(request|response)(\.\d+)?\.\w+")
    return {path.name for path in folder.iterdir() if own.fullmatch(path.name)} if folder.is_dir() else set()


def _write(folder: Path, files: Mapping[Path, bytes], old: list[Path]) -> None:
    """All are written under other names first. Ctrl-C comes before the first takes its place, or after the last."""
    parts: dict[Path, Path] = {}
    with interrupts_deferred() as deliver:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path, content in files.items():
                parts[path] = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
                parts[path].write_bytes(content)
                deliver()
            for path, part in parts.items():
                os.replace(part, path)
            for path in old:
                path.unlink(missing_ok=True)
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)
