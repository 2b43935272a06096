"""The cache of environments: whole or not there, made once, bounded, and never taken away from who uses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from handlerkit.errors import TargetError
from handlerkit.targets import Environment, cached, remove
from handlerkit.targets.cache import Make, Record, prune
from handlerkit.targets.cache import made as cache_made

#: Makes an environment in a process of its own, slowly: says "making", waits for its standard input, and ends it.
BUILDER = """
import sys, pathlib
from handlerkit.targets import cache

def make(aside, final):
    (aside / "bin").mkdir()
    print("making", flush=True)
    sys.stdin.readline()
    (aside / "bin" / "python").symlink_to(sys.executable)
    return cache.Record("other", "3.11.7", {"torch": "2.0"}, {})

found = cache.made("other-py311-key", "other", make, lambda what: print(what, flush=True))
print("made", found.packages["torch"], found.interpreter.exists(), flush=True)
"""


def make(aside: Path, final: Path) -> Record:
    (aside / "bin").mkdir()
    (aside / "bin" / "python").symlink_to(sys.executable)
    (aside / "large.txt").write_text("x" * 1000)
    return Record("image.txt", "3.11.7", {"torch": "2.4.0"}, {"torch": "torch"})


def made(key: str = "image.txt-py311-key", making: Make = make) -> Environment:
    return cache_made(key, "image.txt", making)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def builder() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", BUILDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def close(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_environment_has_what_its_maker_told(cache: Path) -> None:
    environment = made()
    assert (environment.target, environment.python_version) == ("image.txt", "3.11.7")
    assert (environment.packages, environment.modules()) == ({"torch": "2.4.0"}, {"torch": "torch"})
    assert environment.interpreter == cache / "image.txt-py311-key" / "bin" / "python"
    assert str(environment) == "Python 3.11.7, torch 2.4.0, target image.txt"


def test_second_time_nothing_is_made() -> None:
    def unasked(aside: Path, final: Path) -> Record:
        raise AssertionError("it is made again")

    assert made() == made(making=unasked)


@pytest.mark.parametrize("problem", [KeyboardInterrupt, TargetError, OSError])
def test_making_that_fails_leaves_nothing(cache: Path, problem: type[BaseException]) -> None:
    def failing(aside: Path, final: Path) -> object:
        (aside / "half").mkdir()
        raise problem("no room")

    with pytest.raises((KeyboardInterrupt, TargetError), match="no room"):
        made(making=failing)  # type: ignore[arg-type]
    assert left_in(cache) == []
    assert made().interpreter.exists()


def test_two_processes_at_once_make_one(cache: Path) -> None:
    first, second = builder(), None
    try:
        assert said(first) == "making"
        second = builder()
        assert said(second) == "waiting for another process, which makes other"
        go_on(first)
        assert said(first) == "made 2.0 True"
        assert said(second) == "made 2.0 True"
    finally:
        for process in filter(None, (first, second)):
            close(process)
    assert left_in(cache) == ["other-py311-key", "other-py311-key.lock"]


def test_process_that_is_killed_while_it_makes_one_does_not_hinder_the_next(cache: Path) -> None:
    killed = builder()
    assert said(killed) == "making"
    close(killed)
    assert [name for name in left_in(cache) if ".new-" in name] != []
    following = builder()
    try:
        assert said(following) == "making"
        go_on(following)
        assert said(following) == "made 2.0 True"
    finally:
        close(following)
    assert left_in(cache) == ["other-py311-key", "other-py311-key.lock"]


def test_interrupted_process_leaves_nothing(cache: Path) -> None:
    process = builder()
    try:
        assert said(process) == "making"
        process.send_signal(signal.SIGINT)
        process.wait(20)
    finally:
        close(process)
    assert process.returncode not in (0, None)
    assert left_in(cache) == []


def test_waiting_can_be_interrupted() -> None:
    first, second = builder(), None
    try:
        assert said(first) == "making"
        second = builder()
        said(second)
        second.send_signal(signal.SIGINT)
        assert second.wait(20) != 0
        go_on(first)
        assert said(first) == "made 2.0 True"
    finally:
        for process in filter(None, (first, second)):
            close(process)


def test_threads_at_once_make_one() -> None:
    times: list[int] = []

    def counted(aside: Path, final: Path) -> Record:
        times.append(1)
        time.sleep(0.05)
        return make(aside, final)

    threads = [threading.Thread(target=made, kwargs={"making": counted}) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert times == [1]


def test_environment_whose_python_was_removed_is_made_again(cache: Path) -> None:
    made()
    python = cache / "image.txt-py311-key" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3.9")
    assert made().interpreter.exists()


def test_environment_whose_record_cannot_be_read_is_made_again(cache: Path) -> None:
    made()
    (cache / "image.txt-py311-key" / "environment.json").write_text("{")
    assert made().packages == {"torch": "2.4.0"}


@pytest.fixture
def three(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes three environments of a kind, of which two are kept; the first was used last of all but the third."""
    monkeypatch.setattr("handlerkit.targets.cache.KEPT", {"declared": 2, "installed": 2})

    def make_them() -> None:
        for number, used in ((1, 20), (2, 10)):
            made(f"image.txt-py311-{number}")
            os.utime(cache / f"image.txt-py311-{number}", (used, used))
        made("image.txt-py311-3")

    return make_them


def test_the_one_used_least_recently_goes(cache: Path, three: Callable[[], None]) -> None:
    three()
    assert [name for name in left_in(cache) if not name.endswith(".lock")] == ["image.txt-py311-1", "image.txt-py311-3"]
    assert "image.txt-py311-2.lock" not in left_in(cache)


def test_one_in_use_never_goes(cache: Path, three: Callable[[], None]) -> None:
    used = made("image.txt-py311-2").hold()
    three()
    assert len([name for name in left_in(cache) if not name.endswith(".lock")]) == 3
    used.release()
    prune()
    assert len([name for name in left_in(cache) if not name.endswith(".lock")]) == 2


def test_kinds_are_counted_apart(cache: Path, three: Callable[[], None]) -> None:
    made("declared-py311-1")
    three()
    assert "declared-py311-1" in left_in(cache)


def test_holding_one_makes_it_the_last_used() -> None:
    made("image.txt-py311-1")
    made("image.txt-py311-2")
    for one in cached():
        assert one.environment.folder is not None
        os.utime(one.environment.folder, (1, 1))
    made("image.txt-py311-1").hold().release()
    assert [str(one.environment.folder)[-1] for one in cached()] == ["1", "2"]


def test_list_tells_sizes_and_use() -> None:
    held = made().hold()
    (one,) = cached()
    assert (one.name, one.in_use) == ("image.txt", True)
    assert one.size >= one.frees >= 1000
    held.release()
    assert not cached()[0].in_use


def test_what_is_shared_is_not_freed(tmp_path: Path) -> None:
    def sharing(aside: Path, final: Path) -> Record:
        record = make(aside, final)
        os.link(aside / "large.txt", tmp_path / "in uv's cache")
        return record

    made(making=sharing)
    (one,) = cached()
    assert one.size - one.frees == 1000


def test_removed_by_name(cache: Path) -> None:
    made()
    made("declared-py311-1", declared)
    assert remove("image.txt") == ("image.txt",)
    assert left_in(cache) == ["declared-py311-1", "declared-py311-1.lock"]


def declared(aside: Path, final: Path) -> Record:
    make(aside, final)
    return Record("declared", "3.11.7", {}, {})


def test_all_are_removed(cache: Path) -> None:
    made("image.txt-py311-1")
    made("image.txt-py311-2")
    assert remove("all") == ("image.txt", "image.txt")
    assert left_in(cache) == []
    assert remove("all") == ()


def test_one_in_use_is_not_removed() -> None:
    environment = made()
    held = environment.hold()
    with pytest.raises(TargetError, match=r"image.txt is in use: end the servers that run there"):
        remove("all")
    assert environment.interpreter.exists()
    held.release()
    assert remove("all") == ("image.txt",)


def test_name_that_is_not_kept_is_told_with_those_that_are() -> None:
    with pytest.raises(TargetError, match=r"no environment of 'here' is kept: there are none"):
        remove("here")
    made()
    with pytest.raises(TargetError, match=r"there are image.txt"):
        remove("here")


def test_holding_one_that_was_removed_says_so() -> None:
    environment = made()
    remove("all")
    with pytest.raises(TargetError, match="was removed meanwhile: run it again"):
        environment.hold()


def test_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HANDLERKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(TargetError, match=r"the environment of image.txt cannot be kept in .*: Not a directory"):
        made()
