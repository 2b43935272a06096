"""The target `here`: this environment, whole."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from handlerkit.targets.distributions import Distribution, installed
from handlerkit.targets.target import Environment, Progress, Target


class Here(Target):
    """This environment with all that is installed in it."""

    name = key = "here"
    installs = False

    def __init__(self) -> None:
        self.python = sys.version_info[:2]

    @cached_property
    def pins(self) -> Mapping[str, str]:
        """All that is installed."""
        return versions(installed().values())

    def built(self, requirements: Sequence[str] = ()) -> Environment:
        """As `build`: there is nothing to make, and the requirements are there or not."""
        found = installed().values()
        return Environment(
            self.name, Path(sys.executable), platform.python_version(), versions(found), _modules=modules(found)
        )

    def build(self, requirements: Sequence[str] = (), progress: Progress | None = None) -> Environment:
        """This environment as it is."""
        return self.built()


def versions(found: Iterable[Distribution]) -> dict[str, str]:
    """Canonical name -> version."""
    return {one.name: one.version for one in found}


def modules(found: Iterable[Distribution]) -> dict[str, str]:
    """Top-level module -> distribution; of several, the first by name."""
    return {module: one.name for one in sorted(found, key=lambda one: one.name, reverse=True) for module in one.modules}
