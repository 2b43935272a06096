"""The requirements file that a check asks for: what an archive's code imports and neither it nor the target brings."""

from __future__ import annotations

from contextlib import closing
from importlib.metadata import PackageNotFoundError, distribution

from handlerkit.check.packages import Packages
from handlerkit.check.subject import Subject
from handlerkit.model import Model, PathLike
from handlerkit.targets import Target, find
from handlerkit.targets.distributions import Distribution


def requirements(model_or_archive: Model | PathLike, *, target: PathLike = "declared") -> tuple[str, ...]:
    """The distributions that the code needs beside the target's own, each pinned to the version installed here.

    Args:
        model_or_archive: as of `check`; what its own requirements file names does not count.
        target: as of `check`.

    Returns lines of a requirements file, sorted: "name==version"; "name" with a comment, where the version installed
    here does not run on the target's Python; or a comment in the place of a distribution that was not installed from
    an index, so that its name and version do not lead to it. A module that no distribution here
    brings has no line; `check` finds it. Raises as `check` does.
    """
    environment = find(target)
    packages = Packages(environment)
    with closing(Subject.of(model_or_archive)) as subject:
        program = subject.program(environment.python)
        needed = [one.module for one in program.imports if not one.level and program.resolve(one.module) is None]
    missing = [module for module in dict.fromkeys(needed) if packages.verdict(module) != "there"]
    found = {one.name: one for module in missing if (one := packages.installed(module))}
    return tuple(_line(one, packages, environment) for _, one in sorted(found.items()))


def _line(one: Distribution, packages: Packages, target: Target) -> str:
    pinned = f"{one.name}=={one.version.partition('+')[0]}"
    if _is_own(one.name):
        return f"# {pinned}: not from an index; put its files, or its wheel, into the archive"
    if not packages.runs(one):
        python = ".".join(map(str, target.python))
        return f"{one.name}  # {one.version}, installed here, is for Python {one.requires_python}, not {python}"
    return pinned


def _is_own(name: str) -> bool:
    """Whether it was installed from a folder, a file or a repository (PEP 610)."""
    try:
        return distribution(name).read_text("direct_url.json") is not None
    except PackageNotFoundError:
        return False
