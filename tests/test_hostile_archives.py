"""Archives from elsewhere: whatever they hold, nothing outside their folder is read or written, nothing is imported or
unpickled, and what is refused leaves no trace and costs little."""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hostile_archives
import pytest

from handlerkit.archive import Archive
from handlerkit.endpoints.server import Server
from handlerkit.errors import ArchiveError, ModelError
from handlerkit.model import Model
from handlerkit.unpack import Unpacked, open_archive, read_manifest, unpack

_LIBRARIES = tuple({str(Path(place).resolve()) for place in (*sys.path, sys.prefix, sys.base_prefix) if place})
#: What a temporary folder is named after: its owner's start.
_OWN_START = "/proc/self/stat"


class Watch:
    """What is opened while `on` is set. A hook for audits cannot be taken back."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        self.bad: list[str] = []
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open" and isinstance(arguments[0], str):
            self.seen.append(arguments[0])
        elif event in ("pickle.find_class", "os.system", "subprocess.Popen", "os.exec", "socket.connect", "compile"):
            self.bad.append(event)


watch = Watch()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the archive; beside it `outside/`, the current folder, and where temporary files are made."""
    for name in ("archive", "outside", "current", "temporary"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("secret")
    (tmp_path / "outside" / "manifest.json").write_bytes(hostile_archives.manifest())
    for name in ("private.py", "none.py"):
        (tmp_path / "current" / name).write_text("raise SystemExit('private code ran')")
    monkeypatch.chdir(tmp_path / "current")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


@contextmanager
def little(kind: int, most: int) -> Iterator[None]:
    """More than that raises MemoryError, or is an OSError."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def tree(root: Path) -> set[str]:
    """Everything below a folder, but for the archive."""
    return {
        path.relative_to(root).as_posix()
        for top in root.iterdir()
        if top.name != "archive"
        for path in (top, *top.rglob("*"))
    }


def attempt(place: Path, act: Callable[[], object], opened: tuple[Path, ...]) -> str:
    """Do it, and say why it was refused, "" where it was not. Only these places are looked into meanwhile."""
    watch.seen, watch.bad, modules = [], [], set(sys.modules)
    refused = ""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with little(resource.RLIMIT_AS, taken + 128_000_000), little(resource.RLIMIT_FSIZE, 300_000_000):
        try:
            watch.on = True
            act()
        except (ArchiveError, ModelError) as problem:
            refused = str(problem)
        finally:
            watch.on = False
    assert len(refused) < 700
    assert refused.isprintable()
    assert watch.bad == []
    assert not {"private", "none", "h"} & (set(sys.modules) - modules)
    allowed = tuple(map(str, (*opened, place / "temporary", *_LIBRARIES, _OWN_START)))
    read = [path for path in watch.seen if Path(path).is_absolute() or Path(path).exists()]  # others are of a folder's
    assert [path for path in read if not str(Path(path).absolute()).startswith(allowed)] == []
    return refused


def read_all(path: Path) -> None:
    with open_archive(path) as archive:
        for name in archive.sizes:
            with archive.open(name) as file:
                while file.read(1 << 20):
                    pass


@pytest.mark.parametrize("name", hostile_archives.CASES)
def test_hostile_archive_is_refused(place: Path, name: str) -> None:
    path = hostile_archives.CASES[name](place / "archive")
    before = tree(place)
    inside = (place / "archive", Path("/dev/zero"))
    assert attempt(place, lambda: unpack(path, place / "new" / "folder"), (*inside, place / "new"))
    assert tree(place) == before
    (place / "empty").mkdir()
    assert attempt(place, lambda: unpack(path, place / "empty"), (*inside, place / "empty"))
    assert tree(place) == before | {"empty"}
    assert attempt(place, lambda: Unpacked(path), inside)
    attempt(place, lambda: read_manifest(path), inside)
    attempt(place, lambda: read_all(path), inside)
    attempt(place, lambda: Server(path), inside)
    assert tree(place) == before | {"empty"}


@pytest.mark.parametrize("name", hostile_archives.DAMAGED)
def test_damaged_archive_is_refused_or_stays_inside(place: Path, name: str) -> None:
    path = hostile_archives.DAMAGED[name](place / "archive")
    before, inside = tree(place), (place / "archive",)
    refused = attempt(place, lambda: unpack(path, place / "new"), (*inside, place / "new"))
    assert {one for one in tree(place) if not one.startswith("new/")} == before | (set() if refused else {"new"})
    attempt(place, lambda: read_all(path), inside)
    attempt(place, lambda: Server(path), inside)


def test_bomb_that_java_alone_unpacks_is_not_served(place: Path) -> None:
    path = hostile_archives.zip_bomb_in_mar_inf(place / "archive")
    assert "is damaged" in attempt(place, lambda: Server(path), (place / "archive",))


@pytest.mark.parametrize("name", hostile_archives.HONEST)
def test_honest_archive_is_read(place: Path, name: str) -> None:
    path = hostile_archives.HONEST[name](place / "archive")
    inside = (place / "archive", place / "new", place / "store")
    assert attempt(place, lambda: unpack(path, place / "new"), inside) == ""
    assert attempt(place, lambda: read_all(path), inside) == ""
    assert attempt(place, lambda: Server(path), inside) == ""
    (place / "again").mkdir()
    model = unpack(path, place / "again")
    assert model.version in ("1.0", "2")
    assert (place / "again" / "w.pt").read_bytes() == hostile_archives.PICKLE
    with open_archive(path) as archive, open_archive(Archive(model).save(place / "store")) as again:
        assert again.sizes == archive.sizes


def test_there_are_enough_of_them() -> None:
    assert len(hostile_archives.CASES) >= 140


@pytest.mark.parametrize("more", [{"max_bytes": 2000}, {"max_files": 3}])
def test_bounds_can_be_set(place: Path, more: dict[str, int]) -> None:
    path = hostile_archives.HONEST["zip as it should be"](place / "archive")
    assert isinstance(unpack(path, place / "new", **more), Model)
    ((option, value),) = more.items()
    with pytest.raises(ArchiveError, match=rf"more .*unpack\(\.\.\., {option}=N\)"):
        unpack(path, place / "other", **{option: value // 100 or 2})
