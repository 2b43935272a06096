"""An exported app that its own app.py serves, as an endpoint."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import soon

import handlerkit as hk
from handlerkit.endpoints.app_server import AppServer
from handlerkit.errors import ServerError

ECHO = "def handle(data, context):\n    return [row['body'] for row in data] if data else None\n"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app of two models, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, source in {"echo": ECHO, "pid": ECHO.replace("row['body']", "str(__import__('os').getpid())")}.items():
        (tmp_path / f"{name}.py").write_text(source)
    hk.App([hk.Model(name, handler=f"{name}.py") for name in ("echo", "pid")]).save("the-app")
    return tmp_path / "the-app"


def test_it_answers_for_each_model_until_it_is_stopped(app: Path) -> None:
    with AppServer(app) as server:
        run = server.for_model("echo").predict(hk.Request.text("hello"))
        assert (run.response.text, run.endpoint, run.model) == ("hello", "the app the-app", "echo")
        pid = int(server.for_model("pid").predict(hk.Request.text("")).response.text)
        assert server.start() is server
    assert soon(lambda: not os.path.exists(f"/proc/{pid}"))
    assert repr(server) == "<AppServer: the-app, stopped>"
    with pytest.raises(ServerError, match="this AppServer does not run"):
        server.predict(hk.Request.text("hello"))


def test_what_its_handler_gets_is_compared(app: Path) -> None:
    with hk.Worker(hk.Model("echo", handler="echo.py")) as worker:
        run = worker.predict(hk.Request.json([1.5]), hk.Request.text("", headers={"X-A": "1"}))
    other = replace(run, exchanges=(run.exchanges[0], replace(run.exchanges[1], request=hk.Request.text(""))))
    with AppServer(app) as server:
        report = hk.verify(run, server)
        assert (report.compares_handed_over, [row.verdict for row in report.rows]) == (True, ["identical"] * 2)
        same, found = hk.verify(other, server).rows
    assert same.verdict == "identical"
    assert list(map(str, found.differences)) == ["header X-A that the handler gets: '1' here, nothing there"]


def test_a_token_of_the_shell_is_not_asked_for(app: Path) -> None:
    code = f"""
        from handlerkit import Request
        from handlerkit.endpoints.app_server import AppServer

        with AppServer({str(app)!r}) as server:
            print(server.for_model("echo").predict(Request.text("hello")).response.status)
    """
    variables = {**os.environ, "SERVING_TOKEN": "a-token-of-another-server"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, env=variables
    )
    assert done.stdout == "200\n", done.stderr


def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"is no app: it has no app\.py beside a models\.json"):
        AppServer(tmp_path)


def test_an_app_that_ends_says_why(app: Path) -> None:
    (app / "models.json").write_text("{}")
    with pytest.raises(ServerError, match=r"the-app/app\.py ended before it served: ValueError: .*names no models"):
        AppServer(app).start()
