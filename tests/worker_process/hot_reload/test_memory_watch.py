"""MemoryWatch: what was written to, by the kernel's account of pages and by hashes."""

from __future__ import annotations

import os

import numpy
import pytest

from handlerkit.worker_process.hot_reload import memory_watch
from handlerkit.worker_process.hot_reload.memory_watch import MemoryWatch, Span


def span(array: numpy.ndarray) -> Span:
    return array.ctypes.data, array.ctypes.data + array.nbytes


@pytest.fixture(params=["pages", "hashes"], autouse=True)
def watch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "hashes":
        monkeypatch.setattr(memory_watch._Pages, "account", classmethod(lambda kind: None))


@pytest.mark.parametrize("size", [1, 4095, 70_000, 5_000_001])
def test_each_byte_is_watched(size: int) -> None:
    memory = numpy.zeros(size + 4096, numpy.uint8)
    watched = memory[7 : 7 + size]
    for place in {0, size // 2, size - 1}:
        watch = MemoryWatch({span(watched): "it"})
        assert watch.written() == ""
        watched[place] += 1
        assert watch.written() == "it"


def test_bytes_beside_it_are_not_watched() -> None:
    memory = numpy.zeros(1 << 20, numpy.uint8)
    watch = MemoryWatch({span(memory[5000:900_000]): "it"})
    memory[4999] = memory[900_000] = 1
    assert watch.written() == ""


def test_part_that_was_written_to_is_told() -> None:
    parts = [numpy.zeros(1 << 18, numpy.uint8) for _ in range(5)]
    watch = MemoryWatch({span(part): str(number) for number, part in enumerate(parts)})
    parts[3][77] = 1
    assert watch.written() == "3"


def test_watches_of_one_memory_are_each_told() -> None:
    memory = numpy.zeros(1 << 20, numpy.uint8)
    watches = [MemoryWatch({span(memory): "it"}) for _ in range(2)]
    memory[-1] = 1
    assert [watch.written() for watch in watches] == ["it", "it"]


def test_watch_that_ended_leaves_the_memory_as_it_was() -> None:
    memory = numpy.zeros(1 << 20, numpy.uint8)
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    for _ in range(3):
        MemoryWatch({span(memory): "it"})
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
    memory[:] = 1
    assert MemoryWatch({span(memory): "it"}).written() == ""


def test_forked_child_writes_to_memory_of_its_own() -> None:
    memory = numpy.zeros(1 << 20, numpy.uint8)
    watch = MemoryWatch({span(memory): "it"})
    if (child := os.fork()) == 0:
        memory[:] = 1
        os._exit(0)
    os.waitpid(child, 0)
    assert watch.written() == ""
    memory[9] = 1
    assert watch.written() == "it"
