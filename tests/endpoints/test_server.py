"""A real TorchServe, started and asked. One server is shared; the others are as few as they can be."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest
from waiting import soon

from handlerkit.archive import Archive
from handlerkit.endpoints.server import Server
from handlerkit.errors import ArchiveError, ConfigError, LoadError, RequestError, ServerError
from handlerkit.messages import Request, Response
from handlerkit.model import Model

server_test = pytest.mark.server

OWNER = """
import sys, time
from handlerkit.endpoints.server import Server
from handlerkit.model import Model

with Server(Model("mirror", handler=sys.argv[1]), progress=lambda what: print(what, flush=True)):
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def server(handlers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two models in batches of three: one from its files, one from an archive."""
    letters = Archive(Model("letters", handler=handlers / "letters.py")).save(tmp_path_factory.mktemp("archives"))
    models = [Model("mirror", handler=handlers / "mirror.py"), letters]
    with Server(models, batch_size=3, max_batch_delay=200, response_timeout=20) as running:
        yield running


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path is short enough for a server's sockets; pytest's may not be."""
    folder = tempfile.mkdtemp(prefix="t-", dir="/tmp")
    yield Path(folder)
    shutil.rmtree(folder)


@server_test
def test_answers_with_the_bytes_it_was_sent(server: Server) -> None:
    body = bytes(range(256))
    assert server.predict(Request(body=body)).response.body == body


@server_test
def test_run_names_the_endpoint_and_the_first_model(server: Server) -> None:
    run = server.predict(Request(body=b"x"))
    assert (run.endpoint, run.model, run.calls) == ("TorchServe 0.12.0", "mirror", ())


@server_test
def test_error_is_told_with_its_line_of_the_handler(server: Server) -> None:
    found = server.predict(Request.form({"image": "x"})).findings[0]
    assert found.message.startswith("The row has no 'body', it has 'image'")
    assert found.where.startswith("mirror.py, line ")


@server_test
def test_keeps_status_reason_and_the_order_of_headers(server: Server) -> None:
    response = server.predict(Request(headers={"X-Status": "418"}, body=b"tea")).response
    names = [name for name, _ in response.headers]
    assert (response.status, response.reason, response.body) == (418, "As Asked", b"tea")
    assert set(names[:2]) == {"X-Rows", "X-Row"}
    assert names[2:] == ["x-request-id", "Pragma", "Cache-Control", "Expires", "content-length", "connection"]


@server_test
def test_reason_is_empty_where_the_handler_sets_none(server: Server) -> None:
    response = server.predict(Request(body=b"x")).response
    assert (response.status, response.reason) == (200, "")


@server_test
def test_requests_share_a_batch_in_their_order(server: Server) -> None:
    run = server.predict(*(Request(body=text) for text in (b"a", b"b", b"c")))
    told = [(answer.header("X-Rows"), answer.header("X-Row"), answer.body) for answer in run.responses]
    assert told == [("3", "0", b"a"), ("3", "1", b"b"), ("3", "2", b"c")]


@server_test
def test_chunks_are_those_on_the_wire(server: Server) -> None:
    response = server.predict(Request.text("abc", path="/predictions/letters")).response
    assert (response.chunks, response.body, response.complete) == ((b"a", b"b", b"c"), b"abc", True)


@server_test
def test_stream_that_breaks_off_is_incomplete(server: Server) -> None:
    response = server.predict(Request.text("ab!c", path="/predictions/letters")).response
    assert (response.status, response.chunks, response.complete) == (200, (b"a", b"b"), False)


@server_test
def test_describe_goes_to_the_management_api(server: Server) -> None:
    response = server.predict(Request("GET", "/models/mirror", query="customized=true")).response
    assert response.json()[0]["customizedMetadata"] == {"answers": "what it was sent"}


@server_test
def test_a_body_too_large_is_refused_and_the_next_one_answered(server: Server) -> None:
    refused = server.predict(Request(body=bytes(6553501))).response
    assert refused.status == 413
    assert server.predict(Request(body=b"next")).response.body == b"next"


@server_test
def test_request_without_the_token_is_refused(server: Server) -> None:
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", "/predictions/mirror", b"x")
        refused = connection.getresponse().read()
    finally:
        connection.close()
    assert b"InvalidKeyException" in refused


@server_test
def test_own_authorization_is_sent_instead_of_the_token(server: Server) -> None:
    response = server.predict(Request(headers={"Authorization": "Bearer wrong"}, body=b"x")).response
    assert response.status == 400


@server_test
def test_metrics_page_counts_requests(server: Server) -> None:
    server.predict(Request(body=b"x"))
    assert 'ts_inference_requests_total{model_name="mirror"' in server.metrics()


@server_test
def test_request_that_is_not_http_is_an_error(server: Server) -> None:
    with pytest.raises(RequestError, match="cannot be sent"):
        server.predict(Request(path="/predictions/mir\r\nror"))


@server_test
def test_registration_that_is_interrupted_leaves_no_model(
    server: Server, handlers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, manage = Model("later", handler=handlers / "mirror.py"), server._manage

    def interrupt(method: str, target: str) -> Response:
        if method == "GET":  # when TorchServe has the model
            raise KeyboardInterrupt
        return manage(method, target)

    with monkeypatch.context() as patched:
        patched.setattr(server, "_manage", interrupt)
        with pytest.raises(KeyboardInterrupt):
            server.register(later)
    assert server.models == ("mirror", "letters")
    assert server.predict(Request("GET", "/models/later")).response.status == 404
    server.register(later)
    server.unregister("later")


@server_test
def test_model_comes_and_goes_while_it_runs(server: Server, handlers: Path) -> None:
    described = Request("GET", "/models/later", query="customized=true")
    server.register(Model("later", handler=handlers / "mirror.py"), batch_size=2, max_batch_delay=7)
    (later,) = server.predict(described).response.json()
    assert server.models == ("mirror", "letters", "later")
    assert (later["batchSize"], later["maxBatchDelay"], later["responseTimeout"]) == (2, 7, 20)
    server.unregister("later")
    assert server.models == ("mirror", "letters")
    assert server.predict(described).response.status == 404


@server_test
def test_second_server_without_tokens(server: Server, handlers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp/" + "deep/" * 30)
    monkeypatch.setattr(tempfile, "tempdir", None)
    with Server(Model("other", handler=handlers / "mirror.py"), token_auth=False) as other:
        assert other.url != server.url
        assert other.token is None
        assert other.predict(Request(body=b"2")).response.body == b"2"
        assert server.predict(Request(body=b"1")).response.body == b"1"
        assert other.predict(Request(path="/predictions/mirror")).response.status == 404
    assert "Model other loaded" in other.log()


@server_test
def test_model_that_does_not_load_shows_its_traceback(handlers: Path) -> None:
    server = Server(Model("broken", handler=handlers / "import_missing.py"))
    with pytest.raises(LoadError) as caught:
        server.start()
    assert str(caught.value).startswith(
        "broken does not load: ModuleNotFoundError: No module named 'a_module_nobody_has'"
    )
    assert 'File "import_missing.py", line 3, in <module>' in caught.value.error.traceback
    assert caught.value.response.status == 500
    assert caught.value.logs
    with pytest.raises(ServerError, match="does not run"):
        server.predict(Request())


@server_test
@pytest.mark.parametrize(("last_word", "by"), [("ready", signal.SIGKILL), ("loading mirror", signal.SIGINT)])
def test_nothing_outlives_the_owner(handlers: Path, short_folder: Path, last_word: str, by: signal.Signals) -> None:
    command = [sys.executable, "-c", OWNER, str(handlers / "mirror.py")]
    environment = os.environ | {"TMPDIR": str(short_folder)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout is not None
        while owner.stdout.readline().strip() != last_word:
            assert owner.poll() is None
        assert _processes(short_folder)
        owner.send_signal(by)
    assert soon(lambda: not _processes(short_folder))
    assert list(short_folder.iterdir()) == []


@pytest.mark.parametrize("key", ["inference_address", "model_store", "load_models"])
def test_own_keys_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Server([], {key: "x"})


def test_archive_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ArchiveError, match=r"nowhere\.mar"):
        Server("nowhere.mar")


def test_server_that_was_not_started_says_so() -> None:
    with pytest.raises(ServerError, match=r"call start\(\)"):
        Server([]).predict(Request())


def _processes(folder: Path) -> list[list[str]]:
    """Command lines that name the folder: the watchdog's, Java's and the workers'."""
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if any(str(folder) in word for word in line)]
