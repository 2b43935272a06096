"""The command that serves models."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from serving_apps import ECHO, Answer, Connection, request, written

from handlerkit.serving.models_file import read
from handlerkit.serving.serve import TOKEN, asked_token, main

pytestmark = pytest.mark.timeout(120)

SLEEPS = """\
import time

def handle(data, context):
    if data:
        print("runs", flush=True)
        time.sleep(2)
    return ["done" for row in data or ()]
"""


class Served:
    """The command in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.started = psutil.Process(process.pid).children(recursive=True)

    def ask(self, body: bytes = b"x") -> Answer:
        with Connection(self.port) as connection:
            connection.send(request("POST", "/", (), body))
            return connection.receive()

    def gone(self, seconds: float = 10) -> bool:
        """Whether all that it started has ended by then."""
        return not psutil.wait_procs(self.started, seconds)[1]


def models_json(folder: Path, source: str = ECHO) -> Path:
    written(folder / "model", source)
    file = folder / "models.json"
    file.write_text(
        json.dumps({"models": [{"name": "m", "version": "1.0", "model_dir": "model", "handler": "handler.py"}]})
    )
    return file


@contextmanager
def serving(file: Path, *options: str, **variables: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "handlerkit.serving.serve", str(file), "--port", "0", *options]
    with (
        open(file.parent / "log", "w") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **variables}
        ) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("Serving m at http://127.0.0.1:"), (file.parent / "log").read_text()
            yield Served(process, int(line.rpartition(":")[2]))
        finally:
            process.kill()


def answers_of(served: Served, answers: list[Answer]) -> threading.Thread:
    """Ask in the background, and return when the handler runs."""
    thread = threading.Thread(target=lambda: answers.append(served.ask()))
    thread.start()
    time.sleep(0.5)
    return thread


def test_it_serves_and_ctrl_c_lets_what_runs_end(tmp_path: Path) -> None:
    with serving(models_json(tmp_path, SLEEPS)) as served:
        answers: list[Answer] = []
        asking = answers_of(served, answers)
        served.process.send_signal(signal.SIGINT)
        asking.join()
        assert answers[0].body == b"done"
        assert served.process.wait(10) == 0
        assert served.gone()
    assert "runs" in (tmp_path / "log").read_text()


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    with serving(models_json(tmp_path, SLEEPS.replace("sleep(2)", "sleep(60)"))) as served:
        answers: list[Answer] = []
        asking = answers_of(served, answers)
        served.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert served.process.poll() is None
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(10) == 130
        asking.join()
        assert served.gone()


def test_a_request_that_takes_longer_than_the_grace_is_waited_for_once(tmp_path: Path) -> None:
    file = models_json(tmp_path, SLEEPS.replace("sleep(2)", "sleep(60)"))
    with serving(file, "--grace", "4") as served:
        answers: list[Answer] = []
        asking = answers_of(served, answers)
        began = time.monotonic()
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(30) == 0
        assert 3.5 < time.monotonic() - began < 7.5
        asking.join()
        assert answers[0].status is None
        assert served.gone()


def test_nothing_outlives_it_when_it_is_killed(tmp_path: Path) -> None:
    with serving(models_json(tmp_path)) as served:
        assert served.ask().status == 200
        served.process.kill()
        served.process.wait()
        assert served.gone()


def test_sigterm_stops_it_as_a_container_does(tmp_path: Path) -> None:
    with serving(models_json(tmp_path), SERVING_TOKEN="secret") as served:
        assert served.ask().status == 400  # without the token
        served.process.terminate()
        assert served.process.wait(10) == 0
        assert served.gone()


def test_a_model_that_does_not_load_ends_it_with_the_workers_words(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "handlerkit.serving.serve", str(models_json(tmp_path, "import no_such_module"))]
    done = subprocess.run([*command, "--port", "0"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "No module named 'no_such_module'" in done.stderr
    assert done.stderr.endswith("m does not load: its process ended with status 1\n")


def test_another_host_needs_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(models_json(tmp_path)), "--host", "0.0.0.0"])
    assert "set a token" in capsys.readouterr().err


def test_what_the_file_says(tmp_path: Path) -> None:
    found = read(str(models_json(tmp_path)))
    (model,) = found.models
    assert (model.name, model.model_dir, found.config_properties) == ("m", str(tmp_path / "model"), {})


def test_a_word_that_a_model_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "models.json"
    file.write_text('{"models": [{"name": "m", "handlr": "x"}]}')
    assert main([str(file)]) == 1
    assert "handlr" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["65536", "-1", "x"])
def test_a_port_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str) -> None:
    with pytest.raises(SystemExit):
        main([str(models_json(tmp_path)), "--port", given])
    assert f"a port is a number from 0 to 65535, not '{given}'" in capsys.readouterr().err


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "handlerkit.serving.serve", str(models_json(tmp_path)), "--port", str(port)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: " in done.stderr
    assert "address already in use" in done.stderr


@pytest.mark.parametrize(("given", "token"), [("abc\n", "abc"), ("abc", "abc"), (" \n", None), ("", None)])
def test_a_token_that_came_from_a_file(monkeypatch: pytest.MonkeyPatch, given: str, token: str | None) -> None:
    monkeypatch.setenv(TOKEN, given)
    assert asked_token() == token
