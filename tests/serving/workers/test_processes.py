"""Processes that end when the one that started them ends."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from waiting import soon

from handlerkit.serving.workers.processes import Process, Supervisor


def python(source: str) -> tuple[str, ...]:
    return sys.executable, "-c", source


def with_supervisor(do: Callable[[Supervisor, list[tuple[str, str]]], Awaitable[None]]) -> None:
    """Run something with a supervisor, and with the lines that its processes write."""
    heard: list[tuple[str, str]] = []

    async def main() -> None:
        supervisor = Supervisor()
        try:
            await asyncio.wait_for(do(supervisor, heard), 30)
        finally:
            supervisor.close()
        assert not os.path.exists(supervisor.folder)

    asyncio.run(main())


def start(supervisor: Supervisor, source: str, heard: list[tuple[str, str]]) -> Process:
    return supervisor.start(python(source), "/", os.environ, lambda stream, line: heard.append((stream, line)))


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether the process has ended; a zombie has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_last_line_without_an_end_is_heard_when_the_process_closes_it() -> None:
    async def do(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
        source = "import os, time; os.write(1, b'one\\ntwo'); os.close(1); time.sleep(60)"
        process = start(supervisor, source, heard)
        while len(heard) < 2:
            await asyncio.sleep(0.01)
        assert heard == [("stdout", "one"), ("stdout", "two")]
        process.kill()
        await process.ended

    with_supervisor(do)


def test_all_that_a_process_writes_is_heard_before_its_end_is_told() -> None:
    async def do(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
        source = "import sys; print('one'); print('two', end=''); print('three', file=sys.stderr); sys.exit(7)"
        assert await start(supervisor, source, heard).ended == 7
        assert sorted(heard) == [("stderr", "three"), ("stdout", "one"), ("stdout", "two")]

    with_supervisor(do)


def test_what_it_has_written_until_now_is_heard_at_once(tmp_path: Path) -> None:
    async def do(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
        wrote = tmp_path / "wrote"
        source = f"""
import pathlib, sys, time
print("one", file=sys.stderr), print("\\n".join(["x" * 99] * 600), flush=True)
pathlib.Path({str(wrote)!r}).touch()
time.sleep(60)
"""
        process = start(supervisor, source, heard)
        assert soon(wrote.exists)  # the loop stands still meanwhile
        assert heard == []
        process.drain()
        assert heard == [("stdout", "x" * 99)] * 600 + [("stderr", "one")]
        process.kill()
        await process.ended
        process.drain()
        assert len(heard) == 601

    with_supervisor(do)


def test_much_output_does_not_block_the_process() -> None:
    async def do(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
        assert await start(supervisor, "for number in range(100_000): print('x' * 100)", heard).ended == 0
        assert len(heard) == 100_000

    with_supervisor(do)


def test_where_it_runs_and_with_what(tmp_path: Path) -> None:
    async def do(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
        source = "import os; print(os.getcwd(), os.environ['NAME'])"
        process = supervisor.start(
            python(source), str(tmp_path), {"NAME": "value"}, lambda stream, line: heard.append((stream, line))
        )
        await process.ended
        assert heard == [("stdout", f"{tmp_path} value")]

    with_supervisor(do)


def test_kill_ends_a_process_and_what_it_started() -> None:
    async def do(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
        source = (
            "import subprocess, time\nchild = subprocess.Popen(['sleep', '100'])\nprint(child.pid, flush=True)\n"
            "time.sleep(100)"
        )
        process = start(supervisor, source, heard)
        await until(lambda: heard and process.pid)
        process.kill()
        assert await process.ended == -signal.SIGKILL
        await until(lambda: is_gone(int(heard[0][1])))

    with_supervisor(do)


def test_a_command_that_does_not_exist_ends_and_says_why() -> None:
    async def do(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
        process = supervisor.start(("/no/such",), "/", {}, lambda stream, line: heard.append((stream, line)))
        assert await process.ended == 127
        assert "No such file" in heard[0][1]

    with_supervisor(do)


def test_close_ends_all() -> None:
    pids: list[int] = []

    async def do(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
        processes = [start(supervisor, "import time; time.sleep(100)", heard) for _ in range(3)]
        await until(lambda: all(process.pid for process in processes))
        pids.extend(process.pid for process in processes)

    with_supervisor(do)
    assert all(map(is_gone, pids))


def test_a_killed_supervisor_takes_its_processes_along_and_another_one_follows() -> None:
    async def do(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
        process = start(supervisor, "import time; time.sleep(100)", heard)
        await until(lambda: process.pid)
        assert supervisor._process is not None
        os.kill(supervisor._process.pid, signal.SIGKILL)
        assert await process.ended == -signal.SIGKILL
        await until(lambda: is_gone(process.pid))
        assert await start(supervisor, "pass", heard).ended == 0

    with_supervisor(do)


OWNER = """
import asyncio, os, sys, time
from handlerkit.serving.workers.processes import Supervisor

async def main():
    supervisor = Supervisor()
    command = (sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(100)")
    process = supervisor.start(command, "/", os.environ, print)
    while not process.pid:
        await asyncio.sleep(0.01)
    print(process.pid, supervisor.folder, flush=True)
    time.sleep(100)

asyncio.run(main())
"""


def test_processes_end_with_their_owner_also_when_that_is_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        assert not is_gone(int(pid))
        owner.kill()
    assert soon(lambda: is_gone(int(pid)) and not os.path.exists(folder)), "the process outlives its owner"


def test_no_more_files_leave_none_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def pipe() -> tuple[int, int]:
        if opened:
            raise OSError(errno.EMFILE, "Too many open files")
        opened.extend(real())
        return opened[0], opened[1]

    async def do(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
        await start(supervisor, "pass", heard).ended
        monkeypatch.setattr(os, "pipe", pipe)
        with pytest.raises(OSError, match="Too many open files"):
            start(supervisor, "pass", heard)
        monkeypatch.undo()
        for descriptor in opened:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)

    real = os.pipe
    with_supervisor(do)
