"""handlerkit serve: clients are answered until somebody ends it."""

from __future__ import annotations

import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runs import FINE, SCRIPT


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and its URL."""
    (folder / "h.py").write_text(FINE)
    process = subprocess.Popen(
        [SCRIPT, "serve", "h.py", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = next(line for line in process.stdout if "http://" in line)
    yield process, "http://" + line.partition("http://")[2].split()[0].rstrip(",/")
    process.kill()
    process.communicate()


def ask(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(f"{url}/predictions/h", body, {"Content-Type": "text/plain"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: bytes = response.read()
        return answer


def test_clients_are_answered_and_each_is_a_line(server: tuple[subprocess.Popen[str], str]) -> None:
    process, url = server
    assert b"abc" in ask(url, b"abc")
    assert process.stdout is not None
    line = next(line for line in process.stdout if line.startswith("POST"))
    assert line.startswith("POST /predictions/h  200")


def test_a_saved_handler_answers_the_next_client(server: tuple[subprocess.Popen[str], str]) -> None:
    _, url = server
    ask(url, b"abc")
    Path("h.py").write_text(FINE.replace("str(row)", "'new'"))
    assert ask(url, b"abc") == b"new"


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_status_0(server: tuple[subprocess.Popen[str], str], ends: signal.Signals) -> None:
    process, _ = server
    process.send_signal(ends)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")


def test_a_port_in_use_is_one_line(command, archive) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said, error = command("serve", archive(FINE), "--port", port)
    assert (status, said) == (2, "")
    assert error.startswith(f"handlerkit serve: port {port} of 127.0.0.1 is in use")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--host", "0.0.0.0"], "host 0.0.0.0 lets other machines in: give a token as well"),
        (["--token-from", "NO_SUCH"], "no variable 'NO_SUCH' of the environment holds a text"),
        (["--port", "x"], "argument --port/-p: 'x' is no port, a number from 0 to 65535"),
        (["other"], "other is no model: begin with an archive"),
    ],
)
def test_a_slip_is_one_line(command, archive, words: list[str], says: str) -> None:
    model = [] if words == ["other"] else [archive(FINE)]
    status, said, error = command("serve", *model, *words)
    assert (status, said, len(error.splitlines())) == (2, "", 1)
    assert says in error
