"""Exports that are interrupted, killed, or made twice at once: one whole archive is there, and nothing else."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from handlerkit import archive
from handlerkit.archive import SUFFIXES, Archive
from handlerkit.archive.interrupts import interrupts_deferred
from handlerkit.errors import ArchiveError
from handlerkit.model import Model
from handlerkit.unpack import open_archive

FORMATS = tuple(SUFFIXES)
WEIGHTS = random.Random(0).randbytes(1 << 20)


def model_of(folder: Path, version: str = "1.0", size: int = 8) -> Model:
    """A model whose files all tell its version."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "handler.py").write_text(f"VERSION = {version!r}\n")
    (folder / "weights.pt").write_bytes(version.encode() + WEIGHTS * size)
    return Model("coins", version, handler=folder / "handler.py", serialized_file=folder / "weights.pt")


def version_of(path: Path) -> str:
    """The version of an archive, whose files are all of it; each is read to its end, and its checksum compared."""
    if path.suffix == ".mar":
        with zipfile.ZipFile(path) as zipped:
            assert zipped.testzip() is None
    with open_archive(path) as archive:
        version = str(archive.manifest["model"]["modelVersion"])
        assert set(archive.sizes) == {"handler.py", "weights.pt"}
        assert archive.open("handler.py").read() == f"VERSION = {version!r}\n".encode()
        weights = archive.open("weights.pt").read()
        assert weights.startswith(version.encode() + WEIGHTS)
        assert (len(weights) - len(version)) % len(WEIGHTS) == 0
    return version


def run(script: str, *arguments: object, timeout: float = 120) -> str:
    """What a script prints, which is run as a program of its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout


INTERRUPTED = """
import json, os, random, signal, sys, threading, time
from pathlib import Path
from handlerkit.archive import Archive
from handlerkit.model import Model

signal.signal(signal.SIGINT, signal.default_int_handler)
folder, archive_format, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
model = Model("coins", "2.0", handler=folder / "handler.py", serialized_file=folder / "weights.pt")
archive, chance = Archive(model, archive_format), random.Random(0)
begun = time.perf_counter()
archive.save(folder / "warm", force=True)
whole = time.perf_counter() - begun
for _ in range(times):
    sent = threading.Event()
    def press(wait):
        time.sleep(wait)
        os.kill(os.getpid(), signal.SIGINT)
        sent.set()
    saved, lasted = False, 0.0
    try:
        threading.Thread(target=press, args=(chance.uniform(0, whole),)).start()
        begun = time.perf_counter()
        try:
            archive.save(folder / "store", force=True)
            saved = True
        finally:
            lasted = time.perf_counter() - begun
        sent.wait()
        time.sleep(1)
        print("the signal was lost", file=sys.stderr)
        raise SystemExit(1)
    except KeyboardInterrupt:
        pass
    left = sorted(path.name for path in (folder / "store").iterdir())
    print(json.dumps([saved, lasted, left]))
"""


@pytest.mark.parametrize("archive_format", FORMATS)
def test_ctrl_c_at_any_moment_ends_an_export(tmp_path: Path, archive_format: str) -> None:
    path = Archive(model_of(tmp_path / "one", "1.0"), archive_format).save(tmp_path / "two" / "store")
    model_of(tmp_path / "two", "2.0")
    lines = run(INTERRUPTED, tmp_path / "two", archive_format, 25).splitlines()
    told = [json.loads(line) for line in lines]
    assert len(told) == 25
    assert {tuple(left) for _, _, left in told} == {(path.name,)}
    assert not all(saved for saved, _, _ in told)
    assert version_of(path) in ("1.0", "2.0")


def test_ctrl_c_is_raised_where_it_is_looked_for() -> None:
    reached: list[str] = []
    with pytest.raises(KeyboardInterrupt), interrupts_deferred() as deliver:  # noqa: PT012 - how far it comes is asked
        signal.raise_signal(signal.SIGINT)
        reached.append("before")
        deliver()
        reached.append("behind")
    assert reached == ["before"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_that_nobody_looked_for_is_raised_at_the_end() -> None:
    reached: list[str] = []
    with pytest.raises(KeyboardInterrupt), interrupts_deferred():  # noqa: PT012 - how far it comes is asked
        signal.raise_signal(signal.SIGINT)
        reached.append("end")
    assert reached == ["end"]


def test_ctrl_c_goes_to_whoever_had_it_before() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with interrupts_deferred() as deliver:
            signal.raise_signal(signal.SIGINT)
            assert heard == []
            deliver()
            assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_exports_in_another_thread_leave_ctrl_c_alone(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        path = pool.submit(Archive(model).save, tmp_path / "store").result()
    assert version_of(path) == "1.0"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("archive_format", FORMATS)
def test_exports_at_once_in_threads_end_with_one_whole_archive(tmp_path: Path, archive_format: str) -> None:
    models = [model_of(tmp_path / f"in-{number}", f"{number}.0", size=1) for number in range(4)]

    def export(model: Model) -> None:
        for _ in range(10):
            Archive(model, archive_format).save(tmp_path / "store", force=True)

    with ThreadPoolExecutor(len(models)) as pool:
        list(pool.map(export, models))
    (path,) = (tmp_path / "store").iterdir()
    assert version_of(path) in {model.version for model in models}


EXPORTING = """
import sys
from pathlib import Path
from handlerkit.archive import Archive
from handlerkit.model import Model

folder = Path(sys.argv[1])
model = Model("coins", sys.argv[3], handler=folder / "handler.py", serialized_file=folder / "weights.pt")
for _ in range(15):
    Archive(model, sys.argv[2]).save(folder.parent / "store", force=True)
"""


@pytest.mark.parametrize("archive_format", ["default", "no-archive"])
def test_exports_at_once_in_processes_end_with_one_whole_archive(tmp_path: Path, archive_format: str) -> None:
    versions = ["1.0", "2.0", "3.0"]
    for version in versions:
        model_of(tmp_path / version, version, size=1)
    command = [sys.executable, "-c", EXPORTING]
    begun = [
        subprocess.Popen(
            [*command, str(tmp_path / version), archive_format, version], stderr=subprocess.PIPE, text=True
        )
        for version in versions
    ]
    errors = [process.communicate(timeout=120)[1] for process in begun]
    assert [(process.returncode, error) for process, error in zip(begun, errors, strict=True)] == [(0, "")] * 3
    (path,) = (tmp_path / "store").iterdir()
    assert version_of(path) in versions


def test_second_of_two_exports_at_once_finds_the_first_ones_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, store = model_of(tmp_path), tmp_path / "store"
    monkeypatch.setattr(archive, "time", SimpleNamespace(monotonic=itertools.count().__next__))  # every block is told
    with pytest.raises(ArchiveError, match="already exists"):
        Archive(model).save(store, progress=lambda done, total: Archive(model).save(store, force=True))
    assert [path.name for path in store.iterdir()] == ["coins.mar"]


KILLED = """
import itertools, os, sys, types
from pathlib import Path
from handlerkit import archive
from handlerkit.archive import Archive
from handlerkit.model import Model

archive.time = types.SimpleNamespace(monotonic=itertools.count().__next__)  # every block is told
folder = Path(sys.argv[1])
model = Model("coins", handler=folder / "handler.py", serialized_file=folder / "weights.pt")

def die(done, total):
    os.kill(os.getpid(), int(sys.argv[3]))

Archive(model, sys.argv[2]).save(folder / "store", progress=die)
"""


def begin_and(number: int, folder: Path, archive_format: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", KILLED, str(folder), archive_format, str(int(number))])


def wait_for_part(store: Path) -> list[str]:
    while not (found := [path.name for path in store.glob(".*.part")] if store.is_dir() else []):
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("archive_format", FORMATS)
def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path: Path, archive_format: str) -> None:
    model = model_of(tmp_path)
    assert begin_and(signal.SIGKILL, tmp_path, archive_format).wait(60) == -signal.SIGKILL
    assert wait_for_part(tmp_path / "store")
    path = Archive(model, archive_format).save(tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == [path]


@pytest.mark.parametrize("archive_format", ["default", "no-archive"])
def test_what_an_export_that_still_runs_has_written_is_left_alone(tmp_path: Path, archive_format: str) -> None:
    model_of(tmp_path)
    other = begin_and(signal.SIGSTOP, tmp_path, archive_format)
    try:
        parts = wait_for_part(tmp_path / "store")
        path = Archive(model_of(tmp_path / "mine", "2.0"), archive_format).save(tmp_path / "store")
        assert sorted(left.name for left in path.parent.iterdir()) == sorted([*parts, path.name])
    finally:
        other.kill()
        other.wait()


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    names = [
        ".coins.mar.part",
        ".coins.mar.0123456x.part",
        ".coins.01234567.part",
        ".other.mar.01234567.part",
        "coins.mar.part",
    ]
    for name in names:
        (store / name).touch()
    Archive(model_of(tmp_path)).save(store)
    assert sorted(path.name for path in store.iterdir()) == sorted([*names, "coins.mar"])


def test_archive_that_a_killed_export_had_moved_aside_is_put_back(tmp_path: Path) -> None:
    path = Archive(model_of(tmp_path), "no-archive").save(tmp_path / "store")
    path.rename(path.with_name(".coins.01234567.old"))
    with pytest.raises(ArchiveError, match="already exists"):
        Archive(model_of(tmp_path, "2.0"), "no-archive").save(tmp_path / "store")
    assert [left.name for left in (tmp_path / "store").iterdir()] == ["coins"]
    assert version_of(path) == "1.0"


def test_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int, how: int) -> None:
        raise OSError(37, "No locks available")

    store = tmp_path / "store"
    store.mkdir()
    (store / ".coins.mar.01234567.part").touch()  # perhaps of an export that runs
    monkeypatch.setattr(fcntl, "flock", refuse)
    path = Archive(model_of(tmp_path)).save(store)
    assert version_of(path) == "1.0"
    assert sorted(left.name for left in store.iterdir()) == [".coins.mar.01234567.part", "coins.mar"]


def test_export_waits_for_another_that_changes_the_folder(tmp_path: Path) -> None:
    model, store = model_of(tmp_path), tmp_path / "store"
    store.mkdir()
    held = os.open(store, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    writer = threading.Thread(target=Archive(model).save, args=[store])
    writer.start()
    writer.join(0.3)
    assert writer.is_alive()
    assert list(store.iterdir()) == []
    os.close(held)
    writer.join()
    assert version_of(store / "coins.mar") == "1.0"
