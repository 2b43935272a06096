"""Where environments are kept: one folder each, whole or not there at all, shared by all processes of a user.

An environment is made aside, under a lock, and renamed when it is whole; those used least recently go where there are
too many, and never one in use. HANDLERKIT_CACHE names another place for it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from handlerkit.errors import TargetError
from handlerkit.targets.lock import Lock, lock_file
from handlerkit.targets.target import Environment, Progress

#: Counts up when what is in an environment's folder changes.
FORM = 1
#: How many environments of each kind are kept: those of `declared` are small and many.
KEPT = {"declared": 16, "installed": 6}
_RECORD = "environment.json"


@dataclass(frozen=True)
class Record:
    """What an environment's folder says of itself, in environment.json; the attributes are Environment's."""

    target: str
    python_version: str
    packages: Mapping[str, str]
    modules: Mapping[str, str]
    stands_in: str = ""


#: Makes an environment in the first folder, which is then renamed to the second.
Make = Callable[[Path, Path], Record]


@dataclass(frozen=True)
class Cached:
    """An environment of the cache. Sizes in bytes; `frees` is what removing it gives back, as most of an installed one
    is shared with uv's own cache. `last_used` in seconds since 1970."""

    environment: Environment
    size: int
    frees: int
    last_used: float
    in_use: bool

    @property
    def name(self) -> str:
        """The target's name."""
        return self.environment.target


def root() -> Path:
    """The folder of all environments."""
    named = os.environ.get("HANDLERKIT_CACHE")
    place = Path(named).expanduser() if named else platformdirs.user_cache_path("handlerkit")
    return place.absolute() / "targets"


def folder(key: str) -> Path:
    """The environment's folder, whether it is there or not."""
    return root() / key


def read(place: Path) -> Environment | None:
    """The environment in that folder; None if there is none, or its Python is no longer there."""
    try:
        record = Record(**json.loads((place / _RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    interpreter = place / "bin" / "python"
    if not interpreter.exists():  # a link to a Python that was removed
        return None
    return Environment(
        record.target, interpreter, record.python_version, record.packages, record.stands_in, place, record.modules
    )


def made(key: str, name: str, make: Make, progress: Progress | None = None) -> Environment:
    """The environment of that key, which `make` makes where it is not there yet. Raises what `make` raises, and
    TargetError if the cache cannot be written."""
    place, say = folder(key), progress or (lambda _: None)
    if (found := read(place)) is not None:
        return found
    try:
        with Lock.exclusive(place, lambda: say(f"waiting for another process, which makes {name}")):
            if (found := read(place)) is None:
                found = _make(place, make)
    except OSError as problem:
        raise TargetError(
            f"the environment of {name} cannot be kept in {root()}: {problem.strerror or problem};"
            " HANDLERKIT_CACHE names another place for it"
        ) from problem
    prune()
    return found


def cached() -> list[Cached]:
    """What is in the cache, the last used first."""
    found = [one for place in _places() if (one := _look(place)) is not None]
    return sorted(found, key=lambda one: one.last_used, reverse=True)


def remove(name: str) -> tuple[str, ...]:
    """Remove the environments of the target of that name, or of "all"; returns the names of those that went.

    Raises TargetError if there is none, and if one is in use, which stays.
    """
    chosen = [one for one in cached() if name in ("all", one.name)]
    if not chosen and name != "all":
        known = ", ".join(sorted({one.name for one in cached()})) or "none"
        raise TargetError(f"no environment of {name!r} is kept: there are {known}")
    kept = [one.name for one in chosen if one.environment.folder and not _remove(one.environment.folder)]
    _sweep()
    if kept:
        raise TargetError(
            f"{', '.join(sorted(set(kept)))} is in use: end the servers that run there, and remove it then"
        )
    return tuple(one.name for one in chosen)


def prune() -> None:
    """Remove those used least recently, if there are more than KEPT of a kind, and what ended builds left."""
    kinds: dict[str, list[Path]] = {kind: [] for kind in KEPT}
    for place in _places():
        kinds["declared" if place.name.startswith("declared-") else "installed"].append(place)
    for kind, places in kinds.items():
        for place in sorted(places, key=_last_used, reverse=True)[KEPT[kind] :]:
            _remove(place)
    _sweep()


def _make(place: Path, make: Make) -> Environment:
    """Under the lock. What is made aside has a name of its own: a process that was killed may have left children."""
    shutil.rmtree(place, ignore_errors=True)  # one that cannot be read any more
    aside = Path(tempfile.mkdtemp(prefix=f"{place.name}.new-", dir=place.parent))
    try:
        aside.chmod(0o755)
        record = make(aside, place)
        (aside / _RECORD).write_text(json.dumps(asdict(record)))
        aside.rename(place)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        lock_file(place).unlink(missing_ok=True)
        raise
    found = read(place)
    assert found is not None
    return found


def _remove(place: Path) -> bool:
    """Whether it went; it stays where somebody uses it."""
    if (lock := Lock.exclusive_now(place)) is None:
        return False
    with lock:
        gone = Path(tempfile.mkdtemp(prefix=f"{place.name}.new-", dir=place.parent))
        if place.exists():
            place.rename(gone / "gone")  # from now on it is not there, whatever stops us
        lock_file(place).unlink(missing_ok=True)
        shutil.rmtree(gone, ignore_errors=True)
    return True


def _sweep() -> None:
    """What builds and removals left that were killed: nobody has the lock of its environment."""
    for left in root().glob("*.new-*"):
        place = left.with_name(left.name.partition(".new-")[0])
        if (lock := Lock.exclusive_now(place)) is not None:
            with lock:
                shutil.rmtree(left, ignore_errors=True)
                if not place.exists():
                    lock_file(place).unlink(missing_ok=True)


def _places() -> Iterator[Path]:
    """The environments' folders."""
    yield from (path.parent for path in root().glob(f"*/{_RECORD}") if ".new-" not in path.parent.name)


def _last_used(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except FileNotFoundError:
        return 0


def _look(place: Path) -> Cached | None:
    if (environment := read(place)) is None:
        return None
    size = frees = 0
    for base, _, files in os.walk(place):
        for file in files:
            with suppress(FileNotFoundError):  # somebody removes it
                status = os.lstat(os.path.join(base, file))
                size += status.st_size
                frees += status.st_size * (status.st_nlink == 1)
    lock = Lock.exclusive_now(place)
    if lock is not None:
        lock.release()
    return Cached(environment, size, frees, _last_used(place), in_use=lock is None)
