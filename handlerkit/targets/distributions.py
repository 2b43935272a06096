"""The distributions that folders of installed packages hold, read without importing any of them.

importlib.metadata parses all of a distribution's metadata to find its name. The name of its folder says it, too, so
that an index of some hundred distributions takes milliseconds.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

#: What a module's file may end in, after its name: .py, .so, .cpython-311-x86_64-linux-gnu.so.
_MODULE = re.compile(r"(\w+)(\.[\w-]+)?\.(py|so|pyd)")
#: Lines of METADATA, which has the form of a mail's head.
_REQUIRES = re.compile(r"^Requires-Dist:\s*(.+)$", re.MULTILINE | re.IGNORECASE)
_FOLDED = re.compile(r"\n[ \t]+")


@dataclass(frozen=True)
class Distribution:
    """An installed distribution. `info` is its .dist-info or .egg-info, `name` the canonical one."""

    name: str
    info: Path

    @cached_property
    def version(self) -> str:
        """As its metadata has it."""
        version = self.info.name.removesuffix(".dist-info").partition("-")[2]
        return (
            version if self.info.suffix == ".dist-info" and version and "_" not in version else self._metadata.version
        )

    @property
    def site(self) -> Path:
        """The folder it is installed into."""
        return self.info.parent

    @cached_property
    def requires(self) -> tuple[Requirement, ...]:
        """What it needs, by its metadata; what cannot be parsed is left out."""
        found = []
        for line in self._requires_dist():
            try:
                found.append(Requirement(line))
            except InvalidRequirement:
                continue
        return tuple(found)

    def runs_on(self, python: tuple[int, int]) -> bool:
        """Whether it supports that Python, or a patch release of it."""
        return any(self.requires_python.contains(f"{python[0]}.{python[1]}.{patch}") for patch in (0, 99))

    @cached_property
    def requires_python(self) -> SpecifierSet:
        """The versions of Python that its metadata names; all if it names none."""
        try:
            return SpecifierSet(self._metadata.metadata["Requires-Python"] or "")
        except InvalidSpecifier:
            return SpecifierSet()

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Its files by RECORD, with "/", relative to `site`; some begin with "../". Without a RECORD (an .egg-info)
        the top-level modules stand for what is in them, beside `info` itself."""
        record = self._metadata.read_text("RECORD")
        if record is not None:
            return tuple(_path(line) for line in record.splitlines() if line)
        tops = (self._metadata.read_text("top_level.txt") or "").split()
        paths = [f"{name}{end}" for name in tops for end in ("", ".py") if (self.site / f"{name}{end}").exists()]
        return (*paths, self.info.name)

    @cached_property
    def modules(self) -> frozenset[str]:
        """The top-level modules it brings."""
        if self.is_editable:
            named = (self._metadata.read_text("top_level.txt") or "").split()
            return frozenset(named or [self.name.replace("-", "_")])
        found = set()
        for top, slash in {(path.partition("/")[:2]) for path in self.files}:
            if slash and top.isidentifier() and top != "__pycache__":
                found.add(top)
            elif not slash and (module := _MODULE.fullmatch(top)):
                found.add(module[1])
            elif not slash and top.isidentifier() and (self.site / top).is_dir():
                found.add(top)
        return frozenset(found)

    @cached_property
    def is_editable(self) -> bool:
        """Whether it is a link to a source folder (pip install --editable)."""
        try:
            url = json.loads(self._metadata.read_text("direct_url.json") or "{}")
        except ValueError:
            return False
        return bool(url.get("dir_info", {}).get("editable"))

    def _requires_dist(self) -> Sequence[str]:
        """The lines of Requires-Dist, without parsing the rest of METADATA: that takes ten times as long."""
        if (head := self._metadata.read_text("METADATA")) is None:
            return self._metadata.requires or ()
        return _REQUIRES.findall(_FOLDED.sub(" ", head.replace("\r\n", "\n").partition("\n\n")[0]))

    @cached_property
    def _metadata(self) -> metadata.Distribution:
        return metadata.Distribution.at(self.info)


def installed(folders: Iterable[str | os.PathLike[str]] | None = None) -> Mapping[str, Distribution]:
    """The distributions in these folders (sys.path's without any), by canonical name; of two, the first one counts."""
    found: dict[str, Distribution] = {}
    for folder in sys.path if folders is None else folders:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:  # a zip file, or a folder that is not there
            continue
        for name in names:
            stem, dot, kind = name.rpartition(".")
            if kind in ("dist-info", "egg-info") and dot and not stem.startswith("~"):  # "~": half removed by pip
                canonical = canonicalize_name(stem.partition("-")[0])
                found.setdefault(canonical, Distribution(canonical, Path(folder or ".").absolute() / name))
    return found


def closure(asked: Iterable[Requirement], found: Mapping[str, Distribution]) -> dict[str, Distribution]:
    """Of the distributions `found`, those `asked` for and all that these need, by their extras and markers on this
    Python; what is not there is left out."""
    reached: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(one, extra) for one in asked for extra in ("", *one.extras)]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen or (one := found.get(name)) is None:
            continue
        seen.add((name, extra))
        reached[name] = one
        for needed in one.requires:
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed, each) for each in ("", *needed.extras)]
    return reached


def _path(line: str) -> str:
    """The path of a line of RECORD: path,hash,size, where a path with a comma or quote is quoted."""
    path = line.rsplit(",", 2)[0]
    return path[1:-1].replace('""', '"') if path.startswith('"') else path
