"""The most memory that a piece of work takes."""

from __future__ import annotations

import gc
import mmap
import sys

import pytest

from handlerkit.memory import peak_memory

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak")


def take(size: int) -> None:
    """Take and give back `size` bytes: of the system's, as malloc would give what lies free in the process."""
    with mmap.mmap(-1, size) as fresh:
        fresh.write(b"x" * size)


@only_linux
def test_sees_what_is_gone_afterwards() -> None:
    (_, small), (_, large) = peak_memory(lambda: None), peak_memory(lambda: take(50_000_000))
    assert large.added > 45_000_000 > small.added


@only_linux
def test_garbage_from_before_hides_nothing() -> None:
    def work() -> None:
        gc.collect()
        take(50_000_000)

    fresh = mmap.mmap(-1, 200_000_000)
    fresh.write(b"x" * 200_000_000)
    cycle: list[object] = [fresh]
    cycle.append(cycle)
    del cycle, fresh
    assert peak_memory(work)[1].added > 45_000_000


def test_is_none_where_the_system_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    assert peak_memory(lambda: None)[1].process is None
