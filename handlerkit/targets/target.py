"""Target and Environment: where an archive is proven, as plain data and as something on the disk."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path

from handlerkit.errors import TargetError
from handlerkit.targets.lock import Lock

#: Called with a few words that say what is going on.
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Environment:
    """A Python and its packages, ready to run.

    Attributes:
        target: the target's name.
        interpreter: its Python.
        python_version: such as "3.9.18".
        packages: canonical distribution name -> version.
        stands_in: "", or the sentence that says which Python stands in for the one that the target asks for.
        folder: what `handlerkit targets` removes; None for one that is not the kit's own.
    """

    target: str
    interpreter: Path
    python_version: str
    packages: Mapping[str, str] = field(repr=False)
    stands_in: str = ""
    folder: Path | None = None
    _modules: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """What a report says of it: its Python, torch and the target."""
        torch = f", torch {self.packages['torch']}" if "torch" in self.packages else ""
        return f"Python {self.python_version}{torch}, target {self.target}"

    def modules(self) -> Mapping[str, str]:
        """Top-level module -> the canonical name of the distribution that brings it."""
        return self._modules

    @property
    def path(self) -> Path:
        """The folder of its interpreter and scripts."""
        return self.interpreter.parent

    def find_module(self, name: str) -> Path | None:
        """The folder of an installed package, by the module's name; None if it is not there."""
        if self.folder is None:
            spec = util.find_spec(name)  # a package need not be imported for this
            return Path(spec.origin).parent if spec is not None and spec.origin is not None else None
        return next(iter(self.folder.glob(f"lib/python*/site-packages/{name}")), None)

    def hold(self) -> Lock:
        """Keeps it from being removed, until the lock's release() or its end. Raises TargetError if it is gone."""
        if self.folder is None:
            return Lock.free()
        lock = Lock.shared(self.folder)
        if not self.interpreter.exists():
            lock.release()
            raise TargetError(f"the environment of {self.target} was removed meanwhile: run it again")
        os.utime(self.folder)  # last use
        return lock


class Target(ABC):
    """Where an archive will run: a Python version and a set of packages. Nothing is made before `build`.

    Attributes:
        name: as `find` takes it; a file's name for a requirements or lock file.
        python: the Python it asks for, such as (3, 9).
        key: tells it from another of its name: a file may have changed.
        installs: whether TorchServe installs an archive's requirements there (install_py_dep_per_model).
    """

    name: str
    python: tuple[int, int]
    key: str
    installs: bool

    @property
    @abstractmethod
    def pins(self) -> Mapping[str, str]:
        """Canonical distribution name -> the version it is pinned to, or has; "" if it is not pinned."""

    def __repr__(self) -> str:
        return f"<Target {self.name}: Python {'.'.join(map(str, self.python))}, {len(self.pins)} distributions>"

    @abstractmethod
    def built(self, requirements: Sequence[str] = ()) -> Environment | None:
        """Its environment, if that is there already; None if `build` has to make it."""

    @abstractmethod
    def build(self, requirements: Sequence[str] = (), progress: Progress | None = None) -> Environment:
        """Its environment, which is made where it is not there yet.

        Args:
            requirements: lines of the archives' requirements files. A target that `installs` leaves them to
                TorchServe; the others hold what is declared there.
            progress: called with a few words that say what is going on.

        Raises TargetError, in one sentence, where it cannot be made. Ctrl-C leaves nothing half made.
        """
