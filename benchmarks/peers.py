"""Other tools that answer requests, each in an environment of its own, and their loops from an edit to its answer.

An environment lies in `peers/` of the environment this runs in (so in .venv, which git ignores). It is made once, by
pip, and borrows the packages that are here, torch among them: gigabytes that need not lie there twice. What the peer
asks for in another version is installed beside them and goes first.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from importlib import metadata
from pathlib import Path
from types import TracebackType

REQUEST = [1.0, 2.0, 3.0, 4.0]
#: Seconds that pip may take, and a peer until it answers.
INSTALL, ANSWER = 600, 60


class SkippedError(Exception):
    """A peer cannot be measured here; the text says why."""


class Peer:
    """A program in the peer's environment, in the folder `work`. Its file `service.py` is what an edit rewrites.

    `edit_to_answer` is timed by the caller: it writes the file, has the peer take it up, and returns the first answer.
    """

    name: str  # of the package
    requirement: str
    service: str  # the source; NUMBER is the edit's

    def __init__(self, work: Path) -> None:
        """Raises SkippedError where the environment cannot be made."""
        self._work = work
        self._python = environment(self.name, self.requirement)
        self._process: subprocess.Popen[bytes] | None = None

    def edit_to_answer(self, number: int) -> bytes:
        raise NotImplementedError

    def stop(self) -> None:
        """End the program and what it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _write(self, number: int) -> None:
        (self._work / "service.py").write_text(self.service.replace("NUMBER", str(number)))

    def _start(self, program: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        (self._work / "program.py").write_text(program)
        with open(log, "wb") as file:
            return subprocess.Popen(
                [self._python, "program.py", *arguments], cwd=self._work, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=file, start_new_session=True,
            )  # fmt: skip

    def _ended(self, log: Path) -> SkippedError:
        print(log.read_text(errors="replace")[-1000:], flush=True)
        return SkippedError(f"{self.name} is installed and does not run here")


class LitServe(Peer):
    """LitServe's server, started again for each edit, and asked until it answers. Its end before is not timed."""

    name, requirement = "litserve", "litserve"
    service = """\
import litserve
import torch

class Net(litserve.LitAPI):
    def setup(self, device):
        self.model = torch.jit.load("net.pt")

    def decode_request(self, request):
        return torch.tensor([request])

    def predict(self, rows):
        return self.model(rows)

    def encode_response(self, output):
        return {"edit": NUMBER, "output": output.tolist()[0]}
"""
    _PROGRAM = """\
import sys
import litserve
from service import Net

if __name__ == "__main__":
    server = litserve.LitServer(Net(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
"""

    def edit_to_answer(self, number: int) -> bytes:
        self._write(number)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        log = self._work / "litserve.log"
        self._process = self._start(self._PROGRAM, str(port), log=log)
        deadline = time.monotonic() + ANSWER
        while self._process.poll() is None and time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER)
            try:
                connection.request("POST", "/predict", json.dumps(REQUEST), {"Content-Type": "application/json"})
                if (answer := connection.getresponse()).status == 200:
                    return answer.read()
            except ConnectionError:
                pass
            finally:
                connection.close()
            time.sleep(0.005)
        raise self._ended(log)


class Ray(Peer):
    """Ray Serve's local testing mode: one process, in which each edit's deployment is built and asked. There is no HTTP
    in it, and its imports are not timed."""

    name, requirement = "ray", "ray[serve]"
    service = """\
import torch
from ray import serve

@serve.deployment
class Net:
    def __init__(self):
        self.model = torch.jit.load("net.pt")

    def __call__(self, request):
        return {"edit": NUMBER, "output": self.model(torch.tensor([request])).tolist()[0]}

app = Net.bind()
"""
    _PROGRAM = """\
import json, logging, os, sys
import torch
from ray import serve

logging.disable(logging.INFO)
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    names = {"__name__": "service"}
    with open("service.py") as file:
        exec(compile(file.read(), "service.py", "exec"), names)
    handle = serve.run(names["app"], _local_testing_mode=True)
    print(json.dumps(handle.remote(json.loads(line)).result()), file=answers, flush=True)
"""

    def edit_to_answer(self, number: int) -> bytes:
        self._write(number)
        log = self._work / "ray.log"
        if self._process is None:
            self._process = self._start(self._PROGRAM, log=log)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(REQUEST).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            raise self._ended(log)
        return answer


def environment(name: str, *requirements: str) -> Path:
    """The Python of the peer's environment. Raises SkippedError where it cannot be made; pip's words are printed."""
    folder = Path(sys.prefix, "peers", name)
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.is_file():
        return python
    asked = " and ".join(requirements)
    try:
        venv.create(folder, clear=True, symlinks=True)
        (_packages(folder) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *requirements]
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL, check=False)
    except OSError as problem:
        raise SkippedError(f"no environment for {asked}: {problem.strerror}") from None
    except subprocess.TimeoutExpired:
        raise SkippedError(f"pip did not install {asked} within {INSTALL} seconds") from None
    if done.returncode:
        print(done.stderr[-1000:], flush=True)
        raise SkippedError(f"pip could not install {asked}")
    ready.write_text("".join(f"{one.partition('[')[0]}\n" for one in requirements))
    return python


def versions() -> dict[str, str]:
    """Those of the peers that are installed."""
    found = {}
    for ready in sorted(Path(sys.prefix, "peers").glob("*/ready")):
        # what it borrows from this environment, and its own, which count more
        there = metadata.distributions(path=[sysconfig.get_path("purelib"), str(_packages(ready.parent))])
        named = {one.name: one.version for one in there}
        found |= {name: named[name] for name in ready.read_text().split()}
    return found


def _packages(folder: Path) -> Path:
    (packages,) = folder.glob("lib/python*/site-packages")
    return packages
