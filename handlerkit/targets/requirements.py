"""Requirements and lock files: requirements.txt, what `pip freeze`, pip-compile and `uv export` write, pylock.toml."""

from __future__ import annotations

import codecs
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from handlerkit.errors import TargetError
from handlerkit.model import Model
from handlerkit.unpack import open_archive

#: How a file says which Python it was written for: in pip-compile's and uv's own words, or as "# Python 3.9".
_PYTHON = re.compile(
    r"^#(?:.*(?:with Python |--python-version[ =]|--python[ =])|\s*python\s*[:=]?\s*)(3)\.(\d+)",
    re.MULTILINE | re.IGNORECASE,
)
_COMMENT = re.compile(r"(^|\s)#.*$", re.MULTILINE)
#: The options of one requirement, behind it on its line: --hash=..., --config-settings=...
_OPTIONS = re.compile(r"\s--[a-z].*$")
_INCLUDE = re.compile(r"(-r|--requirement)[ =]?\s*(.+)")
_CONSTRAINT = re.compile(r"(-c|--constraint)[ =]?\s*(.+)")
_EDITABLE = re.compile(r"(-e|--editable)[ =]?\s*(.+)")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: Lock files of other tools, and what writes one of the forms that are read here.
_FOREIGN = {
    "uv.lock": "uv export --format requirements.txt",
    "poetry.lock": "poetry export",
    "Pipfile.lock": "pipenv requirements",
    "pdm.lock": "pdm export",
    "conda-lock.yml": "pip list --format=freeze",
    "environment.yml": "pip list --format=freeze",
}
#: Bytes of an archive's requirements file that are read: it may come from anywhere.
_LIMIT = 1 << 20
_KNOWN_ENDS = (".txt", ".in", ".lock", ".pip", ".req", "")


@dataclass(frozen=True)
class RequirementLine:
    """One line of a requirements file, as pip reads it.

    `text` is the line without comments, with paths made absolute; `requirement` is None for an option, and for a
    path or URL that names no distribution.
    """

    text: str
    requirement: Requirement | None
    place: str

    @property
    def is_option(self) -> bool:
        """Whether it names no distribution at all, as --index-url does."""
        return self.text.startswith("-") and not _EDITABLE.fullmatch(self.text)

    @property
    def names_package(self) -> bool:
        """Whether pip has something to install for it. Any text with a slash reads as a path, so a path alone tells
        nothing."""
        return self.requirement is not None or (not self.is_option and ("://" in self.text or self.text[0] == "-"))


def read_lines(path: Path) -> tuple[RequirementLine, ...]:
    """The lines of a requirements file and of those that it includes. Raises TargetError for a file that cannot be
    read, or a line that is no requirement."""
    return tuple(_lines(str(path.absolute()), lambda included: read_text(Path(included)), ()))


def lines_of_archive(path_or_model: str | os.PathLike[str] | Model) -> tuple[RequirementLine, ...]:
    """The lines of the requirements file of an archive, or of a Model's; none where it has no such file. Includes are
    read from the archive alone. Raises ArchiveError for what is no archive, and TargetError as `read_lines`."""
    with open_archive(path_or_model) as archive:
        name = archive.manifest["model"].get("requirementsFile")
        if not name:
            return ()

        def read(included: str) -> str:
            if included not in archive.sizes:
                raise TargetError(f"the requirements of {archive.name} name {included}, which is not in the archive")
            with archive.open(included) as file:
                return _decoded(file.read(_LIMIT), included)

        return tuple(_lines(name, read, ()))


def parse_lines(lines: Sequence[str]) -> tuple[RequirementLine, ...]:
    """Lines that include no other file. Raises TargetError."""

    def read(included: str) -> str:
        raise TargetError(f"the requirements include {included}: name what it holds")

    return tuple(_parsed("\n".join(lines), "requirements", read, ()))


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The number of the first line, and the text, of each line that says something: continued ones joined, comments
    left out."""
    number = 1
    for logical in re.split(r"(?<!\\)\r?\n", text):
        if line := _COMMENT.sub("", re.sub(r"\\\r?\n", " ", logical)).strip():
            yield number, line
        number += 1 + len(re.findall(r"\\\r?\n", logical))


def pins_of(lines: tuple[RequirementLine, ...], environment: Mapping[str, str]) -> dict[str, str]:
    """Canonical name -> pinned version, "" if the line pins none; a line whose marker does not hold in this
    environment (packaging's names of variables) is left out."""
    pins: dict[str, str] = {}
    for line in lines:
        one = line.requirement
        if one is not None and (one.marker is None or one.marker.evaluate(dict(environment))):
            pins[canonicalize_name(one.name)] = pinned(one)
    return pins


def pinned(requirement: Requirement) -> str:
    """The version that a requirement pins, "" for none."""
    exact = [each.version for each in requirement.specifier if each.operator in ("==", "===")]
    return exact[0] if len(exact) == 1 and "*" not in exact[0] else ""


def asked_python(text: str) -> tuple[int, int] | None:
    """The Python that a requirements file says it was written for, by a comment; None if it says nothing."""
    found = _PYTHON.search(text)
    return (int(found[1]), int(found[2])) if found else None


def markers_environment(python: tuple[int, int]) -> dict[str, str]:
    """Marker variables that differ from this process's for another Python."""
    version = ".".join(map(str, python))
    return {"python_version": version, "python_full_version": f"{version}.0", "implementation_version": f"{version}.0"}


@dataclass(frozen=True)
class LockFile:
    """What a pylock.toml holds: its pins, and the oldest Python it allows (None if it names none)."""

    pins: Mapping[str, str]
    python: tuple[int, int] | None


def read_lock(path: Path) -> LockFile:
    """A pylock.toml (PEP 751). Raises TargetError."""
    try:
        lock = tomllib.loads(read_text(path))
        python = _oldest(str(lock.get("requires-python", "")))
        environment = markers_environment(python) if python else {}
        pins: dict[str, str] = {
            canonicalize_name(one["name"]): str(one.get("version", ""))
            for one in lock["packages"]
            if _holds(str(one.get("marker", "")), environment)
        }
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, InvalidSpecifier, InvalidMarker) as problem:
        raise TargetError(f"{path.name} is no pylock.toml: {problem}") from problem
    return LockFile(pins, python)


def check_kind(path: Path) -> None:
    """Raises TargetError for a lock file of a form that is not read here."""
    if path.is_dir():
        raise TargetError(f"{os.fspath(path)!r} is a folder: name a requirements or lock file")
    if (command := _FOREIGN.get(path.name)) is not None:
        raise TargetError(f"{path.name} is not read as a target: write what it pins to a file with `{command}`")
    if path.suffix not in _KNOWN_ENDS and not is_lock(path):
        raise TargetError(f"{path.name} is no requirements file (.txt) and no pylock.toml")


def is_lock(path: Path) -> bool:
    """Whether it is a pylock.toml, by its name (PEP 751)."""
    return re.fullmatch(r"pylock(\..+)?\.toml", path.name) is not None


def read_text(path: Path) -> str:
    """The file's text; UTF-8, or UTF-16 with its mark, as PowerShell writes. Raises TargetError."""
    try:
        return _decoded(path.read_bytes(), path.name)
    except OSError as problem:
        raise TargetError(f"{path.name} cannot be read: {problem.strerror}") from problem


def _decoded(content: bytes, name: str) -> str:
    encoding = next((encoding for mark, encoding in _BOMS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as problem:
        raise TargetError(f"{name} is no text in UTF-8: it is no requirements file") from problem


def _lines(path: str, read: Callable[[str], str], within: tuple[str, ...]) -> Iterator[RequirementLine]:
    if path in within:
        raise TargetError(f"{os.path.basename(path)} includes itself")
    yield from _parsed(read(path), path, read, (*within, path))


def _parsed(text: str, path: str, read: Callable[[str], str], within: tuple[str, ...]) -> Iterator[RequirementLine]:
    folder, name = os.path.split(path)
    for number, line in logical_lines(text):
        place = f"{name}, line {number}"
        if include := _INCLUDE.fullmatch(line):
            yield from _lines(_absolute(include[2], folder), read, within)
        elif constraint := _CONSTRAINT.fullmatch(line):
            yield RequirementLine(f"-c {_absolute(constraint[2], folder)}", None, place)
        elif editable := _EDITABLE.fullmatch(line):
            yield RequirementLine(f"-e {_absolute(editable[2], folder)}", _of_egg(editable[2]), place)
        elif line.startswith("-"):
            yield RequirementLine(line, None, place)
        else:
            yield _requirement(line, folder, place)


def _requirement(line: str, folder: str, place: str) -> RequirementLine:
    bare = _OPTIONS.sub("", line)
    try:
        return RequirementLine(line, Requirement(bare), place)
    except InvalidRequirement as problem:
        if re.match(r"[a-z+]+://", bare) or "/" in bare or bare.startswith(".") or bare.endswith((".whl", ".tar.gz")):
            return RequirementLine(_absolute(line, folder), _of_egg(bare) or _of_wheel(bare), place)
        raise TargetError(f"{place} is no requirement: {bare!r}") from problem


def _absolute(path: str, folder: str) -> str:
    """A path that is relative to the folder of the file it is in."""
    return path if "://" in path else os.path.normpath(os.path.join(folder, path))


def _of_egg(url: str) -> Requirement | None:
    """What "#egg=NAME" behind a URL says."""
    found = re.search(r"[#&]egg=([\w.-]+)", url)
    return Requirement(found[1]) if found else None


def _of_wheel(path: str) -> Requirement | None:
    """What a wheel's file name says."""
    name = unquote(Path(urlsplit(path).path).name)
    found = re.fullmatch(r"([\w.]+)-([\w.!+]+)(-\d\w*)?-[\w.]+-[\w.]+-[\w.]+\.whl", name)
    return Requirement(f"{found[1]}=={found[2]}") if found else None


def _oldest(specifier: str) -> tuple[int, int] | None:
    """The oldest Python 3 that a Requires-Python allows."""
    allowed: Any = SpecifierSet(specifier)
    return next(((3, minor) for minor in range(30) if specifier and allowed.contains(f"3.{minor}.99")), None)


def _holds(marker: str, environment: Mapping[str, str]) -> bool:
    return not marker or Marker(marker).evaluate(dict(environment))
