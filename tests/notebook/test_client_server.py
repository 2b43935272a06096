"""%serve and hk.session.serve."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from handlerkit.errors import ConfigError, LoadError, ModelError, ServerError
from handlerkit.messages import Request
from handlerkit.notebook.session import Session

ECHO = "def handle(data, context):\n    return [row['body'] for row in data or ()]\n"
SLOW = """\
import time

def handle(data, context):
    if data:
        time.sleep(1.5)
    return ["slow"] * len(data or ())
"""


def answers(text: str) -> str:
    return f"def handle(data, context):\n    return [{text!r} for row in data or ()]\n"


def port_of(server: Any) -> int:
    return int(server.url.rpartition(":")[2])


def ask(server: Any, body: str = "hi", path: str = "/", **headers: str) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=60)) as connection:
        connection.request("POST", path, body.encode(), {"Content-Type": "text/plain"} | headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


@contextlib.contextmanager
def call_of_a_client(session: Session, handler: str) -> Iterator[Future[tuple[int, str]]]:
    """While this handler works for a client."""
    Path("echo.py").write_text(handler)
    session.use("echo.py")
    server = session.serve(0)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(ask, server)
        time.sleep(0.5)
        yield running


@pytest.fixture
def loaded(session: Session) -> Session:
    Path("echo.py").write_text(ECHO)
    session.use("echo.py")
    return session


def test_clients_get_what_the_handler_answers_and_later_the_new_one(door: Any, session: Session) -> None:
    door.handler("echo.py", ECHO)
    server = door.serve("0")
    assert ask(server, path="/predictions/echo") == (200, "hi")
    door.handler("echo.py", answers("new"))
    assert ask(server) == (200, "new")


def test_a_module_and_a_file_in_an_editor_count_too(door: Any, session: Session) -> None:
    door.handler("echo.py", ECHO)
    server = door.serve("0")
    door.module("words.py", "WORD = 'one'\n")
    door.handler("echo.py", "import words\n" + answers("x").replace("'x'", "words.WORD"))
    assert ask(server) == (200, "one")
    Path("words.py").write_text("WORD = 'two'\n")
    assert ask(server) == (200, "two")


def test_what_came_in_is_kept_and_can_be_sent_again(door: Any, session: Session) -> None:
    door.handler("echo.py", ECHO)
    ask(door.serve("0"), "first")
    assert session.served[-1].response.text == "first"
    door.handler("echo.py", answers("again"))
    assert door.request(session.served[-1]).response.text == "again"
    assert len(session.served) == 1  # a cell's own request is none of a client's


def test_another_port_takes_the_place_of_the_one_before(door: Any, session: Session, free_port: int) -> None:
    door.handler("echo.py", ECHO)
    first = door.serve("0")
    second = door.serve(str(free_port))
    assert port_of(second) == free_port
    assert (first.running, second.running) == (False, True)
    assert ask(second)[0] == 200


def test_another_model_takes_the_place_of_the_one_before(door: Any, session: Session, free_port: int) -> None:
    door.handler("echo.py", ECHO)
    first = door.serve(str(free_port))
    door.model("other")
    door.handler("other.py", answers("other"))
    assert ask(first) == (200, "hi")  # until %serve says otherwise
    second = door.serve()
    assert port_of(second) == free_port
    assert ask(second, path="/predictions/other") == (200, "other")


def test_the_same_again_goes_on(door: Any, session: Session) -> None:
    door.handler("echo.py", ECHO)
    assert door.serve("0") is door.serve()


def test_config_properties_that_changed_count_when_it_is_said_again(door: Any, session: Session) -> None:
    door.handler("echo.py", ECHO)
    door.serve("0")
    door.model(config_properties={"max_request_size": 10})
    assert ask(door.serve("0"), "x" * 11)[0] == 413


def test_stop(door: Any, session: Session) -> None:
    door.handler("echo.py", ECHO)
    server = door.serve("0")
    assert door.serve(stop=True) is server
    with pytest.raises(ConnectionRefusedError):
        ask(server)
    assert door.serve(stop=True) is None
    assert door.request(b"hi").response.text == "hi"


def test_a_token_of_the_environment(door: Any, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_TOKEN", "open-sesame")
    door.handler("echo.py", ECHO)
    server = door.serve("0", host="0.0.0.0", token_from="ECHO_TOKEN")
    assert ask(server)[0] == 400
    assert ask(server, Authorization="Bearer open-sesame") == (200, "hi")


def test_without_a_token_other_machines_are_not_let_in(door: Any, session: Session) -> None:
    door.handler("echo.py", ECHO)
    with pytest.raises(ConfigError, match="give a token as well"):
        door.serve("0", host="0.0.0.0")


def test_a_port_that_is_taken_leaves_the_server_before(door: Any, session: Session) -> None:
    door.handler("echo.py", ECHO)
    server = door.serve("0")
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ServerError, match="is in use"):
        door.serve(str(other.getsockname()[1]))
    assert ask(server)[0] == 200


class TestMagic:
    def test_a_variable_of_the_notebook_holds_the_token(self, notebook: Any, loaded: Session) -> None:
        notebook("secret = 'open-sesame'")
        cell = notebook("%serve 0 --token-from secret")
        assert cell.error is None
        assert ask(cell.value, Authorization="Bearer open-sesame") == (200, "hi")

    def test_a_variable_that_is_not_there(self, notebook: Any, loaded: Session) -> None:
        cell = notebook("%serve --token-from nowhere")
        assert "%serve: no variable 'nowhere' of the notebook or the environment holds a text" in cell.stderr + str(
            cell.error
        )

    @pytest.mark.parametrize("port", ["80a", "65536", "-1"])
    def test_what_is_no_port(self, notebook: Any, loaded: Session, port: str) -> None:
        assert "%serve: " in notebook(f"%serve {port}").stderr

    def test_help_has_examples(self, notebook: Any) -> None:
        told = notebook("%serve --help").stdout
        assert "%serve --host 0.0.0.0 --token-from COINS_TOKEN" in told
        assert "hk.session.served" in told

    def test_a_run_of_a_variable_is_sent_again(self, notebook: Any, loaded: Session) -> None:
        ask(loaded.serve(0), "first")
        notebook("import handlerkit as hk\nlast = hk.session.served[-1]")
        assert notebook("%request last").value.response.text == "first"


class TestModels:
    def test_a_handler_that_does_not_load_is_an_error_of_the_cell(self, session: Session) -> None:
        Path("broken.py").write_text("import no_such_module\n" + ECHO)
        session.model("m", handler="broken.py")
        with pytest.raises(LoadError):
            session.serve(0)

    def test_a_model_begun_anew_is_served_once_it_has_a_handler(self, loaded: Session) -> None:
        server = loaded.serve(0)
        loaded.model("echo", version="2.0")
        assert ask(server, path="/predictions/echo")[0] == 500
        assert "has no handler yet" in str(loaded.served[-1].findings[0])
        loaded.use("echo.py")
        ask(server, path="/predictions/echo")
        assert ask(server, path="/predictions/echo/2.0") == (200, "hi")

    def test_another_model_may_be_worked_on_meanwhile(self, loaded: Session) -> None:
        server = loaded.serve(0)
        loaded.model("other")
        Path("other.py").write_text(answers("other"))
        loaded.use("other.py")
        assert loaded.request("x").response.text == "other"
        assert ask(server) == (200, "hi")

    def test_batches_of_a_cell_and_clients_do_not_mix(self, loaded: Session) -> None:
        Path("echo.py").write_text(
            "def handle(data, context):\n    return [str(len(data))] * len(data) if data else None\n"
        )
        loaded.use("echo.py")
        server = loaded.serve(0)
        ended = threading.Event()

        def client() -> set[tuple[int, str]]:
            got = set()
            while not ended.is_set():
                got.add(ask(server))
            return got

        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(client)
            try:
                runs = [loaded.request("x", batch=3) for _ in range(10)]
            finally:
                ended.set()
            assert found.result() == {(200, "1")}
        assert {response.text for run in runs for response in run.responses} == {"3"}

    def test_a_cell_waits_for_the_call_of_a_client(self, loaded: Session) -> None:
        with call_of_a_client(loaded, SLOW) as running:
            loaded.model("echo", batch_size=2)  # another registration ends the worker
            Path("echo.py").write_text(ECHO)
            loaded.use("echo.py")
            assert running.result() == (200, "slow")
        assert loaded.request("hi").response.text == "hi"


class TestEnd:
    def test_close_ends_it(self, loaded: Session) -> None:
        server = loaded.serve(0)
        loaded.close()
        assert server.running is False

    def test_close_waits_for_no_call(self, loaded: Session, tmp_path: Path) -> None:
        done = tmp_path / "done"
        slow = SLOW.replace("time.sleep(1.5)", f"time.sleep(40); open({str(done)!r}, 'w').close()")
        with call_of_a_client(loaded, slow) as running:
            loaded.close()
            assert isinstance(running.exception(), http.client.RemoteDisconnected | ConnectionResetError)
        assert not done.exists()

    def test_without_a_model_there_is_nothing_to_serve(self, session: Session) -> None:
        with pytest.raises(ModelError, match="there is no model yet"):
            session.serve(0)

    def test_stop_of_a_client_that_waits(self, loaded: Session) -> None:
        with call_of_a_client(loaded, SLOW) as running:
            loaded.serve(stop=True)
            assert running.result() == (200, "slow")


def test_requests_of_a_run(session: Session, loaded: Session) -> None:
    run = loaded.request("a", "b")
    assert [response.text for response in loaded.request(run, Request.text("c")).responses] == ["a", "b", "c"]
