"""Kills the kit's processes at random moments under load, and says what they leave.

`python tests/endpoints/kills.py 300` kills 300 times; a test kills a dozen times. Owners are programs that start
workers, call them, load them again and write archives, or that run a real server. Each has a temporary folder of its
own and a mark in its environment, which all of its processes share.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_MARK = "HANDLERKIT_KILLS"
HANDLER = """
import subprocess, threading, time

def handle(data, context):
    if data is None:
        subprocess.Popen(["sleep", "300"])
        threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
        return None
    print("x" * 1000)
    time.sleep(0.01)
    return ["y" * 100_000] * len(data)
"""
WORKERS = """
import threading, handlerkit as hk
from handlerkit.errors import LoadError, WorkerError

model = hk.Model("m", handler="h.py", serialized_file="weights.pt")

def write_archives():
    while True:
        hk.Archive(model).save("store", force=True)

threading.Thread(target=write_archives, daemon=True).start()
while True:
    try:
        with hk.Worker(model) as worker, hk.Worker(model) as other:
            for number in range(20):
                ok = worker.predict(hk.Request.text("a")).ok and other.predict(hk.Request.text("b")).ok
                print("answered" if ok else "failed", flush=True)
                if number % 5 == 4:
                    worker.reload(force=True)
    except (LoadError, WorkerError):
        print("refused", flush=True)
"""
SERVER = """
import handlerkit as hk
from handlerkit.errors import HandlerkitError

while True:
    try:
        with hk.Server(hk.Model("m", handler="h.py", serialized_file="weights.pt"), target="here") as server:
            for number in range(20):
                print("answered" if server.predict(hk.Request.text("a")).ok else "failed", flush=True)
    except HandlerkitError:
        print("refused", flush=True)
"""
#: What is killed, by a word in the command line of the process.
ROLES = {"fork server": "fork_server.py", "watchdog": "watchdog.py", "server": "org.pytorch.serve.ModelServer"}


@dataclass
class Found:
    """What was killed, and everything that was left, as sentences."""

    kills: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)


class Owner:
    """A program under load, in a folder that is its own."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self.mark = folder, uuid.uuid4().hex
        self.tmp = folder / "tmp"
        self.tmp.mkdir()
        (folder / "h.py").write_text(HANDLER)
        (folder / "weights.pt").write_bytes(os.urandom(3_000_000))
        self.environment = {**os.environ, _MARK: self.mark, "TMPDIR": str(self.tmp), "OMP_NUM_THREADS": "1"}
        self.log = folder / "log.txt"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program], cwd=folder, env=self.environment, stdout=log, stderr=log
            )

    def processes(self) -> Iterator[psutil.Process]:
        """All that carry the mark."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def find(self, role: str) -> psutil.Process | None:
        """One of that role."""
        if role == "owner":
            return psutil.Process(self.process.pid)
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                parent = process.parent()
                is_server = ROLES["fork server"] in line
                above = parent is not None and ROLES["fork server"] in " ".join(parent.cmdline())
                if (role == "worker" and is_server and above) or (role in ROLES and ROLES[role] in line and not above):
                    found.append(process)
        return random.choice(found) if found else None

    def answers(self, seconds: float) -> bool:
        """Whether there is one more good answer within that time."""
        before, deadline = self.log.read_text().count("answered"), time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.log.read_text().count("answered") > before:
                return True
            time.sleep(0.05)
        return False

    def left(self) -> Iterator[str]:
        """What is there once the owner is gone and another program has started."""
        deadline = time.monotonic() + 15
        while (alive := list(self.processes())) and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in alive:
            with suppress(psutil.Error):
                yield f"a process: {process.cmdline()}"
                process.kill()
        again = "import handlerkit as hk; hk.Archive(hk.Model('m', handler='h.py')).save('store', force=True); "
        again += "from handlerkit.folders import OwnFolder; OwnFolder().remove()"
        subprocess.run([sys.executable, "-c", again], cwd=self.folder, env=self.environment, timeout=120, check=True)
        theirs = ("torchinductor_", ".ses")  # torch's and Java's caches, which stay in any case
        yield from (f"a file: {file.name}" for file in self.tmp.iterdir() if not file.name.startswith(theirs))
        yield from (f"a file: {file.name}" for file in (self.folder / "store").iterdir() if file.name != "m.mar")


def kill(kills: int, found: Found, *, workers: bool = True, servers: bool = True) -> Found:
    """Kill that often, and note it."""
    while (left := kills - sum(found.kills.values())) > 0:
        is_server = servers and (not workers or random.random() < 0.25)
        roles = ["watchdog", "server"] if is_server else ["worker"] * 6 + ["fork server"]
        with tempfile.TemporaryDirectory(prefix="kills-") as place:
            owner = Owner(Path(place), SERVER if is_server else WORKERS)
            victims = [random.choice(roles) for _ in range(random.randrange(0, min(left, 3 if is_server else 9)))]
            if victims and not owner.answers(120):
                found.left.append(f"no answer at first: {owner.log.read_text()[-500:]}")
            for role in victims:
                time.sleep(random.random() * 0.4)
                if (victim := owner.find(role)) is None:
                    continue
                with suppress(psutil.Error):
                    victim.kill()
                    found.kills[role] += 1
                # the first may have been on its way; if the owner is killed before it notices, what handlers themselves
                # started stays, for both who knew of it are gone
                if not (owner.answers(120) and owner.answers(120)):
                    found.left.append(f"no answer after the {role} was killed: {owner.log.read_text()[-500:]}")
            time.sleep(random.random() * (0.3 if victims else 6))
            owner.process.send_signal(signal.SIGKILL)
            owner.process.wait()
            found.kills["owner"] += 1
            found.left += owner.left()
    return found


if __name__ == "__main__":
    so_far = Found()
    while sum(so_far.kills.values()) < int(sys.argv[1]):
        kill(min(int(sys.argv[1]), sum(so_far.kills.values()) + 20), so_far)
        print(dict(so_far.kills), *so_far.left, sep="\n", flush=True)
    sys.exit(bool(so_far.left))
