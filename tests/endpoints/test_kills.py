"""Processes that are killed at random moments under load leave nothing behind: `kills.py` does it as often as asked."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from kills import WORKERS, Found, Owner, kill


def test_a_dozen_kills_leave_nothing() -> None:
    found = kill(12, Found(), servers=False)
    assert sum(found.kills.values()) >= 12
    assert found.left == []


@pytest.mark.server
def test_kills_of_a_server_and_its_watchdog_leave_nothing() -> None:
    found = kill(4, Found(), workers=False)
    assert found.left == []


def test_what_a_handler_started_goes_with_the_fork_server(tmp_path: Path) -> None:
    owner = Owner(tmp_path, WORKERS)
    try:
        assert owner.answers(120)
        started = [process for process in owner.processes() if process.name() == "sleep"]
        server = owner.find("fork server")
        assert server is not None
        server.kill()
        _, alive = psutil.wait_procs(started, 20)
        assert alive == []
        assert owner.answers(120)
    finally:
        os.kill(owner.process.pid, signal.SIGKILL)
        owner.process.wait()
    assert list(owner.left()) == []
