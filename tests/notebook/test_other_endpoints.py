"""%verify and %bench on an endpoint beside the session's worker: a URL, a variable, a name."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from IPython.core.error import UsageError

import handlerkit as hk
from handlerkit.endpoints import ENDPOINTS, EndpointSpec
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import HandlerkitError, RequestError
from handlerkit.model import Model
from handlerkit.notebook.session import Session

ECHO = "def handle(data, context):\n    return [row['body'] for row in data or ()]\n"
TOKEN = "s3cret-t0ken"


class Mirror(ThreadingHTTPServer):
    """Answers each POST with its body, in TorchServe's headers, and remembers the heads."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.heads: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.heads.append((self.path, self.headers["authorization"]))  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["content-length"]))
        head = "HTTP/1.1 200 \r\nx-request-id: 1\r\nPragma: no-cache\r\n"
        head += (
            "Cache-Control: no-cache; no-store, must-revalidate, private\r\nExpires: Thu, 01 Jan 1970 00:00:00 UTC\r\n"
        )
        head += f"content-length: {len(body)}\r\nconnection: keep-alive\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def echo(session: Session, tmp_path: Path) -> Session:
    """A session whose model has answered a request."""
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "sample.txt").write_text("hello")
    session.use("echo.py")
    session.request("sample.txt")
    return session


def test_verify_asks_a_url_for_the_model(door, echo: Session, mirror: Mirror) -> None:
    report = door.verify(endpoint=mirror.url)
    assert [row.verdict for row in report.rows] == ["identical"]
    assert (report.endpoint, mirror.heads) == (mirror.url, [("/predictions/echo", None)])


def test_verify_takes_the_token_from_the_environment(
    notebook, echo: Session, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGING", TOKEN)
    cell = notebook(f"report = %verify --endpoint {mirror.url} --token-from STAGING\nreport")
    assert mirror.heads == [("/predictions/echo", f"Bearer {TOKEN}")]
    shown = [cell.stdout, repr(cell.value), *hk.view(cell.value)._repr_mimebundle_().values()]
    assert not any(TOKEN in text for text in shown)


def test_verify_asks_the_endpoint_of_a_variable(notebook, echo: Session, mirror: Mirror) -> None:
    notebook.shell.user_ns["staging"] = hk.Remote(mirror.url, token=TOKEN)
    assert notebook("%verify --endpoint staging").value
    assert mirror.heads == [("/predictions/echo", f"Bearer {TOKEN}")]


def test_model_of_a_remote_goes_before_the_sessions(echo: Session, mirror: Mirror) -> None:
    with hk.Remote(mirror.url, model="other") as remote:
        echo.verify(remote)
    assert mirror.heads == [("/predictions/other", None)]


def test_verify_starts_an_endpoint_by_its_name(door, echo: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[dict[str, Any]] = []

    def serve(model: Model, **options: Any) -> Worker:
        served.append(options)
        return Worker(model, batch_size=options["batch_size"])

    monkeypatch.setitem(ENDPOINTS, "toy", EndpointSpec("a worker of its own", serve))
    assert door.verify(endpoint="toy")
    assert [one["batch_size"] for one in served] == [1]


def test_verify_asks_the_folder_of_an_app(door, echo: Session, tmp_path: Path) -> None:
    echo.export(tmp_path / "app", to="app")
    report = door.verify(endpoint=str(tmp_path / "app"))
    assert report, report
    with pytest.raises(RequestError, match="leave the target out"):
        door.verify(endpoint=str(tmp_path / "app"), target="here")


def test_bench_of_the_folder_of_an_app(notebook, echo: Session, tmp_path: Path) -> None:
    echo.export(tmp_path / "app", to="app")
    found = notebook(f"%bench sample.txt --endpoint {tmp_path / 'app'} --repeats 2 --warm-up 1 -b 1,2").value
    assert [row.batch for row in found.rows] == [1, 2]


def test_a_folder_without_an_app_is_said(notebook, echo: Session, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for line in ("%verify", "%bench sample.txt"):
        assert "is no app: it has no app.py" in str(notebook(f"{line} --endpoint {tmp_path / 'empty'}").error)


@pytest.mark.parametrize("word", ["here", "lock.txt"])
def test_verify_and_bench_ask_torchserve_in_the_environment_that_a_word_names(
    notebook, echo: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: str
) -> None:
    asked: list[dict[str, Any]] = []

    def serve(model: Model, **options: Any) -> Worker:
        asked.append(options)
        return Worker(model, batch_size=options["batch_size"])

    monkeypatch.setitem(ENDPOINTS, "server", EndpointSpec("a worker of its own", serve))
    (tmp_path / "lock.txt").write_text("torch==2.4.0\ntorchserve==0.12.0\n")
    assert notebook(f"%verify --endpoint {word}").value
    assert notebook(f"%bench sample.txt --endpoint {word} --repeats 2 --warm-up 1").error is None
    assert [one["target"] for one in asked] == [word, word]


def test_url_where_nobody_listens_says_so(door, echo: Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    report = door.verify(endpoint=f"http://127.0.0.1:{port}")
    assert not report
    assert f"Nothing listens at 127.0.0.1:{port}." in hk.view(report).text


def test_bench_of_a_url(notebook, echo: Session, mirror: Mirror) -> None:
    found = notebook(f"%bench sample.txt --endpoint {mirror.url} --repeats 4 --warm-up 1 -c 2").value
    assert (found.endpoint, found.rows[0].requests, found.rows[0].clients) == (mirror.url, 4, 2)
    assert set(mirror.heads) == {("/predictions/echo", None)}


def test_bench_of_another_machine_needs_a_yes(echo: Session) -> None:
    says = r"^this would send about 58 requests to http://staging\.example, 2 at a time, and that is not this machine"
    with pytest.raises(RequestError, match=says):
        echo.bench("sample.txt", endpoint="http://staging.example", repeats=52, concurrency=2)


def test_bench_of_another_machine_with_a_yes_is_sent(notebook, echo: Session, mirror: Mirror) -> None:
    class Elsewhere(hk.Remote):
        is_local = False

    notebook.shell.user_ns["staging"] = Elsewhere(mirror.url)
    assert notebook("%bench sample.txt --endpoint staging --repeats 2 --warm-up 1 --yes").error is None
    assert len(mirror.heads) == 3


def test_bench_of_a_url_needs_no_handler(session: Session, tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "sample.txt").write_text("hello")
    session.model("echo")
    assert session.bench("sample.txt", endpoint=mirror.url, repeats=2).rows[0].requests == 2


def test_token_without_a_url(echo: Session) -> None:
    for call in (echo.verify, echo.bench):
        with pytest.raises(HandlerkitError, match="a token goes with a URL"):
            call(endpoint="server", token=TOKEN)


def test_target_of_what_runs_already(door, echo: Session, mirror: Mirror) -> None:
    with pytest.raises(RequestError, match="leave the target out"):
        door.verify(endpoint=mirror.url, target="here")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "%verify --endpoint stagin",
            "--endpoint takes server, ray, declared, torchserve-0.12.0-cpu, torchserve-0.12.0-gpu, here, a URL such as",
        ),
        ("%verify --endpoint her", "not 'her'; did you mean here?"),
        ("%test --endpoint stagin", "%test: --endpoint takes server"),
        ("%verify --endpoint stagin", "that holds an endpoint, not 'stagin'; did you mean staging?"),
        ("%verify --endpoint text", "or a variable that holds an endpoint, not 'text'"),
        ("%bench sample.txt --endpoint localhost:8080", "a URL such as http://127.0.0.1:8080"),
        ("%verify other.mar --endpoint staging", "leave the archive or --endpoint out"),
        (
            "%verify --endpoint http://h --token-from NOT_SET",
            "no variable 'NOT_SET' of the notebook or the",
        ),
    ],
)
def test_a_slip_in_the_line_is_one_line(
    notebook, echo: Session, monkeypatch: pytest.MonkeyPatch, line: str, says: str
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    notebook.shell.user_ns.update(staging=hk.Remote("http://h"), text="x")
    cell = notebook(line)
    assert isinstance(cell.error, UsageError)
    assert says in str(cell.error)


def test_url_that_is_none_is_one_line(door, echo: Session) -> None:
    with pytest.raises(RequestError, match=r"http://HOST:PORT or https://HOST:PORT"):
        door.verify(endpoint="ftp://h")
