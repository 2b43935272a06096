"""Starts apps that were saved, in an environment that holds what their requirements.txt names and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handlerkit.targets.declared import _link, _Venv
from handlerkit.targets.distributions import closure, installed
from handlerkit.targets.requirements import read_lines


def environment_of(app: Path, folder: Path) -> Path:
    """The Python of a new environment that holds what the app requires, as links to what is installed here."""
    everything = installed()
    asked = [line.requirement for line in read_lines(app / "requirements.txt") if line.requirement is not None]
    found = sorted(closure(asked, everything).values(), key=lambda one: one.name)
    _Venv(symlinks=True).create(folder)
    _link(found, everything.values(), folder, folder)
    return folder / "bin" / "python"


@contextmanager
def running(command: list[str], folder: Path, url: str = "", **variables: str) -> Iterator[str]:
    """A server, once it answers at `url`, or has said where it does; gives that address."""
    log = folder.with_suffix(".log")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | variables
    with (
        open(log, "w") as out,
        subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=out, text=True, env=environment
        ) as process,
    ):
        assert process.stdout is not None
        try:
            if not url:
                line = process.stdout.readline()
                assert "http://" in line, log.read_text()
                url = line.split()[-1]
            while process.poll() is None and not answers(url):
                time.sleep(0.1)
            assert process.poll() is None, log.read_text()
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGINT)  # what runs is not waited for
            process.wait(60)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/ping", timeout=5).close()
    except urllib.error.HTTPError as problem:
        problem.close()
    except OSError:
        return False
    return True


def ask(url: str, path: str, body: bytes = b"x", **headers: str) -> tuple[int, bytes]:
    """Status and body of a POST."""
    request = urllib.request.Request(f"{url}{path}", body, {"Content-Type": "text/plain", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, problem.read()
