"""The versions and the files of what is installed where an archive will run, as far as they can be known without
building it."""

from __future__ import annotations

from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from handlerkit.check.subject import Subject
from handlerkit.check.weights.operators import Torch
from handlerkit.errors import TargetError
from handlerkit.targets import Environment, Target


class There:
    """A target with an archive's requirements, looked into for its files."""

    def __init__(self, subject: Subject, target: Target) -> None:
        from handlerkit.targets.distributions import installed
        from handlerkit.targets.requirements import pinned

        self._target = target
        self._here = installed()
        self._declared: dict[str, str] = {
            canonicalize_name(line.requirement.name): pinned(line.requirement)
            for line in subject.requirements
            if line.requirement is not None
        }
        self._environment = _built(target)
        self.packages = subject.packages(target)

    def version(self, name: str) -> Version | None:
        """Of a distribution, by its canonical name; None if it is not there, or not known."""
        said = self._target.pins.get(name) or self._declared.get(name)
        if self._environment is not None and name in self._environment.packages:
            said = self._environment.packages[name]
        if not said and name in self._here and not self._target.installs and name in self.packages.names:
            said = self._here[name].version  # made of what is installed here
        return public(said or "")

    def site(self, name: str) -> Path | None:
        """The folder into which a distribution is installed there; or here, where the same version is."""
        version = self.version(name)
        if version is None:
            return None
        if name in self._here and public(self._here[name].version) == version:
            return self._here[name].site
        if self._environment is not None and name in self._environment.packages:
            return next(iter(self._environment.interpreter.parents[1].glob("lib/python*/site-packages")), None)
        return None

    def torch(self) -> Torch | None:
        """Its torch."""
        version = self.version("torch")
        return None if version is None else Torch(version, self.site("torch"))


def public(version: str) -> Version | None:
    """A version without what names the build, "+cu121"; None for a text that is none."""
    try:
        return Version(Version(version).public)
    except InvalidVersion:
        return None


def _built(target: Target) -> Environment | None:
    """Its environment, for a target that installs; one that is made of what is here has its files here."""
    if not target.installs:
        return None
    try:
        return target.built()
    except TargetError:
        return None
