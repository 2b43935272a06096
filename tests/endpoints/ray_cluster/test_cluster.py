"""A Ray that belongs to a process ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from waiting import soon

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]

OWNER = """\
from handlerkit.endpoints.ray_cluster.cluster import Cluster

cluster = Cluster.start(1, {})
print(cluster.folder, cluster._process._watchdog.pid, flush=True)
input()
"""


def of_session(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session:
                found.append(process)
        except ProcessLookupError:
            continue
    return found


def test_a_killed_owner_leaves_no_process_and_no_file() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'handlerkit[ray]'")
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        folder, session = owner.stdout.readline().split()
        started = of_session(int(session))
        assert len(started) > 4
        owner.send_signal(signal.SIGKILL)
    assert psutil.wait_procs(started, 30)[1] == []
    assert soon(lambda: not Path(folder).exists())
    assert of_session(int(session)) == []
