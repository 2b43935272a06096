"""The target `here`: this environment, whole."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from handlerkit.targets.distributions import Distribution, installed
from handlerkit.targets.target import Environment, Progress, Target


class Here(Target):
    """This environment with all that is installed in it."""

    name = "here"
    installs = False

    def __init__(self) -> None:
        self.python = sys.version_info[:2]
        self._found = installed()
        self.pins = versions(self._found.values())

    def built(self, requirements: Sequence[str] = ()) -> Environment:
        """As `build`: there is nothing to make, and the requirements are there or not."""
        return Environment(
            self.name,
            Path(sys.executable),
            platform.python_version(),
            self.pins,
            _modules=modules(self._found.values()),
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
