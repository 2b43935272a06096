"""The target `declared`: this environment, but only what the target base and the archives' requirements declare.

It is a venv whose packages are symbolic links to the files of the declared distributions: nothing is downloaded or
copied, and what nobody declared is not there. Whole folders are linked where all in them is declared; one that several
distributions share (a namespace package) is made again, with links to the declared ones' part.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import venv
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from handlerkit.errors import TargetError
from handlerkit.targets import cache, official
from handlerkit.targets.distributions import Distribution, closure, installed
from handlerkit.targets.here import modules, versions
from handlerkit.targets.requirements import RequirementLine, parse_lines
from handlerkit.targets.target import Environment, Progress, Target

#: The target base: what the official images install by name. Not pip: asked to upgrade a package, it would follow the
#: links and remove the files of this environment.
_BASE = [Requirement(name) for name in official.PINS if name != "pip"]


class Declared(Target):
    """This environment's Python with the target base, which is what the official images install by name, and what the
    archives' requirements name; and all that these need."""

    name = key = "declared"
    installs = False

    def __init__(self) -> None:
        self.python = sys.version_info[:2]

    @cached_property
    def pins(self) -> Mapping[str, str]:
        """The target base and all that it needs, as it is installed here."""
        return versions(closure(_BASE, installed()).values())

    def built(self, requirements: Sequence[str] = ()) -> Environment | None:
        """Raises TargetError for a requirement that is not installed here, or at another version."""
        everything = installed()
        return cache.read(cache.folder(_key(_declared(requirements, everything), everything)))

    def build(self, requirements: Sequence[str] = (), progress: Progress | None = None) -> Environment:
        """Raises TargetError for a requirement that is not installed here, or at another version."""
        everything = installed()
        found = _declared(requirements, everything)

        def make(aside: Path, final: Path) -> cache.Record:
            _Venv(symlinks=True).create(aside)
            _link(found, everything.values(), aside, final)
            return cache.Record(self.name, platform.python_version(), versions(found), modules(found))

        return cache.made(_key(found, everything), self.name, make, progress)


class _Venv(venv.EnvBuilder):
    """A bare one: its scripts for shells would name the folder that it is made in."""

    def setup_scripts(self, context: object) -> None:
        pass


def _declared(requirements: Sequence[str], everything: Mapping[str, Distribution]) -> list[Distribution]:
    """The target base, what the lines require, and what these need. Raises TargetError."""
    asked = [_installed_here(line, everything) for line in parse_lines(requirements) if _counts(line)]
    return sorted(closure([*_BASE, *asked], everything).values(), key=lambda one: one.name)


def _counts(line: RequirementLine) -> bool:
    """Whether pip would install something for it on this Python."""
    if line.is_option:
        return False
    return line.requirement is None or line.requirement.marker is None or line.requirement.marker.evaluate()


def _installed_here(line: RequirementLine, found: Mapping[str, Distribution]) -> Requirement:
    """What the line requires. Raises TargetError if that is not here."""
    one = line.requirement
    if one is None:
        raise TargetError(f"the requirements name {line.text!r}, which does not say what distribution that is")
    here = found.get(canonicalize_name(one.name))
    wanted = f"{one.name}{one.specifier}"
    if here is not None and one.specifier.contains(here.version, prereleases=True):
        return one
    seen = f"{one.name} {here.version} is installed here" if here else "it is not installed here"
    asked = line.text if here is None and one.url else wanted
    raise TargetError(
        f"the requirements ask for {wanted}, and {seen}: pip install {asked!r}, or choose a target that installs it"
    )


def _key(found: Iterable[Distribution], everything: Mapping[str, Distribution]) -> str:
    """Names the environment by all that it is made from. What else is installed counts: it may share a folder. A
    distribution that is installed again has another RECORD."""
    made_from = [sys.executable, platform.python_version(), str(cache.FORM), *(one.name for one in found)]
    made_from += [f"{one.info} {_stamp(one)}" for _, one in sorted(everything.items())]
    digest = sha256("\n".join(made_from).encode()).hexdigest()
    return f"declared-py{sys.version_info[0]}{sys.version_info[1]}-{digest[:12]}"


def _stamp(one: Distribution) -> int:
    record = one.info / "RECORD"
    return (record if record.exists() else one.info).stat().st_mtime_ns


class _LinkedPaths(NamedTuple):
    """What a distribution has at one place: paths relative to `source`, "" for the place itself."""

    source: Path
    paths: Sequence[str]
    is_declared: bool


def _link(found: Sequence[Distribution], everything: Iterable[Distribution], aside: Path, final: Path) -> None:
    """Put links to the files of the distributions `found` into the venv `aside`, which becomes `final`."""
    (site,) = aside.glob("lib/python*/site-packages")
    declared = {one.name for one in found}
    parts = [
        _LinkedPaths(one.site, [path for path in one.files if _is_inside(path)], one.name in declared)
        for one in everything
    ]
    _link_parts(parts, site)
    for one in found:
        for path in one.files:
            if path.startswith("../"):
                _link_outside(one.site / path, site / path, aside, final)


def _is_inside(path: str) -> bool:
    return not path.startswith(("../", "/"))


def _link_parts(parts: Iterable[_LinkedPaths], folder: Path) -> None:
    """Link all that is declared into `folder`: whole where all is declared and comes from one place."""
    places: dict[str, list[_LinkedPaths]] = {}
    for part in parts:
        for name in {path.partition("/")[0] for path in part.paths} - {""}:
            places.setdefault(name, []).append(part)
    for name, sharers in places.items():
        declared = [part for part in sharers if part.is_declared]
        if not declared:
            continue
        source = declared[0].source / name
        if not source.exists():  # in RECORD, and removed since
            continue
        if source.is_dir() and (len(declared) < len(sharers) or any(part.source / name != source for part in declared)):
            (folder / name).mkdir()
            below = [_LinkedPaths(part.source / name, _below(part.paths, name), part.is_declared) for part in sharers]
            _link_parts(below, folder / name)
        else:
            (folder / name).symlink_to(source)


def _below(paths: Iterable[str], name: str) -> list[str]:
    return [path.removeprefix(f"{name}/") for path in paths if path.startswith(f"{name}/")]


def _link_outside(source: Path, place: Path, aside: Path, final: Path) -> None:
    """A script or data file, beside the packages' folder in the venv as it is here."""
    place = Path(_normal(place))
    if not place.is_relative_to(aside) or not source.exists() or place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.parent == aside / "bin" and (script := _script(source)) is not None:
        place.write_bytes(script.replace(b"\0python", os.fsencode(final / "bin" / "python")))
        place.chmod(0o755)
    else:
        place.symlink_to(Path(_normal(source)))


def _script(source: Path) -> bytes | None:
    """A script of this environment's Python, with "\\0python" for that; None for another file."""
    interpreter = re.compile(re.escape(os.fsencode(Path(sys.prefix) / "bin")) + rb"/python[\w.]*")
    with open(source, "rb") as file:
        head = file.readline() + file.readline()  # a long path is in the second line, behind a shell's exec
        if not head.startswith(b"#!") or not interpreter.search(head):
            return None
        return interpreter.sub(b"\0python", head) + file.read()


def _normal(path: Path) -> str:
    """Without "..", and without following links."""
    parts: list[str] = []
    for part in PurePosixPath(path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return str(PurePosixPath(*parts))
