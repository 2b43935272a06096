"""A server at a URL: a socket that answers prepared bytes, the served application, and a real TorchServe."""

from __future__ import annotations

import json
import os
import pickle
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from serving_apps import uvicorn, written

import handlerkit as hk
from handlerkit.endpoints.remote import Remote
from handlerkit.endpoints.server import Server
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import RequestError, ResponseError
from handlerkit.messages import Exchange, ForcedHead, Request, Response, Run
from handlerkit.model import Model
from handlerkit.verify import verify

Listen = Callable[..., Any]
Certificate = tuple[Path, ssl.SSLContext]
TOKEN = "s3cret-t0ken"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
server_test = pytest.mark.server


def told(listener: Any) -> list[str]:
    """The lines of the head that came, after the server has ended."""
    listener.close()
    (heard,) = listener.heard
    return heard.partition(b"\r\n\r\n")[0].decode().split("\r\n")


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_model_is_named_in_the_path_below_the_urls_own(listen: Listen) -> None:
    listener = listen(OK)
    Remote(f"http://localhost:{listener.port}/stage/", model="two words").predict(Request(query="a=1"))
    lines = told(listener)
    assert lines[:2] == ["POST /stage/predictions/two%20words?a=1 HTTP/1.1", f"Host: localhost:{listener.port}"]


def test_path_of_a_request_goes_below_the_urls_own(listen: Listen) -> None:
    listener = listen(OK)
    Remote(f"http://localhost:{listener.port}/stage").predict(Request("GET", "/ping"))
    assert told(listener)[0] == "GET /stage/ping HTTP/1.1"


def test_token_and_headers_are_added(listen: Listen) -> None:
    listener = listen(OK)
    url = f"http://localhost:{listener.port}"
    Remote(url, model="m", token=TOKEN, headers={"X-Team": "vision"}).predict(Request(headers={"X-Own": "1"}))
    assert told(listener)[2:] == ["X-Team: vision", f"Authorization: Bearer {TOKEN}", "X-Own: 1", "Content-Length: 0"]


def test_header_of_a_request_stays_as_it_is(listen: Listen) -> None:
    listener = listen(OK)
    remote = Remote(f"http://localhost:{listener.port}", model="m", token=TOKEN, headers={"x-team": "vision"})
    remote.predict(Request(headers={"AUTHORIZATION": "Basic abc", "X-Team": "sound"}))
    assert told(listener)[2:] == ["AUTHORIZATION: Basic abc", "X-Team: sound", "Content-Length: 0"]


def test_request_without_a_path_needs_a_model(free_port: int) -> None:
    with pytest.raises(RequestError, match=r"names no model: give hk\.Remote"):
        Remote(f"http://localhost:{free_port}").predict(Request(body=b"x"))


def test_for_model_names_one_where_there_is_none() -> None:
    remote = Remote("http://h")
    assert repr(remote.for_model("coins")) == "<Remote: http://h, model coins>"
    assert repr(remote) == "<Remote: http://h>"
    assert repr(Remote("http://h", model="own").for_model("coins")) == "<Remote: http://h, model own>"


# --- where it is sent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["http://other.example/predictions/m", "other.example/m", "*"])
def test_request_that_is_meant_for_another_host_is_refused(free_port: int, path: str) -> None:
    with pytest.raises(RequestError, match="sends to no other host"):
        Remote(f"http://localhost:{free_port}").predict(Request(path=path))


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Temporary", b"308 Permanent"])
def test_redirect_is_an_answer(listen: Listen, status: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        target = f"http://127.0.0.1:{other.getsockname()[1]}/predictions/m"
        answer = b"HTTP/1.1 " + status + b"\r\nLocation: " + target.encode() + b"\r\nContent-Length: 0\r\n\r\n"
        run = Remote(f"http://localhost:{listen(answer).port}", model="m", token=TOKEN).predict(Request())
        with pytest.raises(BlockingIOError):
            other.accept()
    assert run.response.status == int(status[:3])
    assert run.findings[0].message.endswith(f"redirects to {target}, and Remote follows no redirect.")


def test_no_answer_steers_a_terminal(listen: Listen) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://other/\x1b[31m\r\nContent-Length: 0\r\n\r\n"
    run = Remote(f"http://localhost:{listen(redirect).port}", model="m").predict(Request())
    assert r"redirects to http://other/\x1b[31m, and" in run.findings[0].message
    failure = b"HTTP/1.1 500 \x1b[31m\r\nContent-Length: 0\r\n\r\n"
    run = Remote(f"http://localhost:{listen(failure).port}", model="m").predict(Request())
    with pytest.raises(ResponseError, match=r"m answered 500 \\x1b\[31m"):
        run.raise_for_status()


def test_proxies_of_the_environment_are_not_used(
    listen: Listen, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    run = Remote(f"http://localhost:{listen(OK).port}", model="m").predict(Request())
    assert run.response.body == b"ok"


# --- the token stays here -------------------------------------------------------------------------------------------


def test_token_is_in_nothing_that_is_shown_or_kept(listen: Listen) -> None:
    answers = [b"HTTP/1.1 400 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n", b""]
    url = f"http://localhost:{listen(*answers).port}"
    with Remote(url, model="m", token=TOKEN, headers={"X-Key": TOKEN}) as remote:
        runs = [remote.predict(Request(body=b"x", label="x")) for _ in answers]
    report = verify(runs[0], Answers(runs[1]))
    with pytest.raises(ResponseError) as raised:
        runs[1].raise_for_status()
    shown = [repr(remote), str(raised.value), *raised.value._render_traceback_()]
    for one in (*runs, report):
        shown += [repr(one), *hk.view(one)._repr_mimebundle_().values()]
    for run in runs:
        shown += [run.request.as_curl(), run.request.as_python(), str(pickle.dumps(run))]
    assert all(TOKEN not in text for text in shown)
    assert TOKEN[-6:] not in json.dumps(shown)


class Answers:
    """Answers what a Run holds."""

    def __init__(self, run: hk.Run) -> None:
        self.run = run

    def predict(self, *requests: Request) -> hk.Run:
        return self.run


@pytest.mark.parametrize("token", ["", "two words", f"{TOKEN}\n", f"{TOKEN}\r\nx: y", "é"])
def test_token_that_no_header_carries_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(RequestError, match=r"^the token is empty or holds a space") as raised:
        Remote("http://h", token=token)
    assert TOKEN not in str(raised.value)


def test_header_that_is_none_is_refused_without_its_value() -> None:
    with pytest.raises(RequestError, match="the header 'X-Key' holds a character") as raised:
        Remote("http://h", headers={"X-Key": f"{TOKEN}\n"})
    assert TOKEN not in str(raised.value)


def test_token_beside_an_authorization_header() -> None:
    with pytest.raises(RequestError, match="leave one of the two out"):
        Remote("http://h", token=TOKEN, headers={"authorization": "Basic abc"})


# --- what comes back ------------------------------------------------------------------------------------------------


def test_no_answer_is_a_response_and_a_cause(free_port: int) -> None:
    run = Remote(f"http://localhost:{free_port}", model="m").predict(Request(), Request())
    assert [response.status for response in run.responses] == [None, None]
    assert [str(found) for found in run.findings] == [
        f"Nothing listens at localhost:{free_port}. Start the server, or name the port that it listens on."
    ]


def test_answer_that_breaks_off_keeps_what_came(listen: Listen) -> None:
    stream = b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n5\r\nc"
    run = Remote(f"http://localhost:{listen(stream).port}", model="m").predict(Request())
    assert (run.response.chunks, run.response.complete) == ((b"ab", b"c"), False)
    assert "broke off: the connection ended after 3 B" in run.findings[0].message


def test_run_names_the_url_and_the_model(listen: Listen) -> None:
    listener = listen(OK, OK)
    url = f"http://localhost:{listener.port}"
    named = Remote(f"{url}/", model="m").predict(Request())
    of_path = Remote(url).predict(Request(path="/v1/models/coins:predict"))
    assert [(run.endpoint, run.model) for run in (named, of_path)] == [(url, "m"), (url, "coins")]


def test_requests_of_a_run_are_written_for_its_url(listen: Listen) -> None:
    url = f"http://localhost:{listen(OK).port}"
    assert Remote(url, model="m").predict(Request()).request.as_curl() == f"curl -X POST {url}/predictions/m"


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_timeout_that_is_none(timeout: float) -> None:
    with pytest.raises(RequestError, match="timeout is in seconds, more than 0"):
        Remote("http://h", timeout=timeout)


# --- TLS ------------------------------------------------------------------------------------------------------------


def test_certificate_of_a_named_authority(listen: Listen, certificate: Certificate) -> None:
    file, tls = certificate
    url = f"https://localhost:{listen(OK, tls=tls).port}"
    assert Remote(url, model="m", verify_tls=file).predict(Request()).response.body == b"ok"


def test_context_of_the_callers(listen: Listen, certificate: Certificate) -> None:
    file, tls = certificate
    url = f"https://localhost:{listen(OK, tls=tls).port}"
    context = ssl.create_default_context(cafile=file)
    assert Remote(url, model="m", verify_tls=context).predict(Request()).response.body == b"ok"


def test_certificate_that_is_not_checked(listen: Listen, certificate: Certificate) -> None:
    url = f"https://127.0.0.1:{listen(OK, tls=certificate[1]).port}"
    assert Remote(url, model="m", verify_tls=False).predict(Request()).response.body == b"ok"


def test_nothing_is_sent_to_a_server_that_is_not_trusted(listen: Listen, certificate: Certificate) -> None:
    listener = listen(OK, tls=certificate[1])
    run = Remote(f"https://localhost:{listener.port}", model="m", token=TOKEN).predict(Request(body=b"private"))
    listener.close()
    assert (run.response.status, listener.heard) == (None, [])


@pytest.mark.parametrize(("text", "reason"), [(None, "No such file"), ("no certificate", "it holds no certificate")])
def test_file_that_holds_no_certificate(tmp_path: Path, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(RequestError, match=f"ca.pem, which cannot be used: {reason}"):
        Remote("https://h", verify_tls=tmp_path / "ca.pem")


# --- the served application -----------------------------------------------------------------------------------------

HANDLER = """
import time
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    answers = []
    for row in data or ():
        text = bytes(row["body"]).decode()
        if text.startswith("stream "):
            for word in text.split()[1:]:
                send_intermediate_predict_response([word], context.request_ids, "Intermediate", 200, context)
            text = "end"
        if text == "sleep":
            time.sleep(3)
        answers.append(text)
    return answers
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the application as a command serves it, with a token."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "model" / "MAR-INF").mkdir(parents=True)
    manifest = {"model": {"modelName": "says", "handler": "handler.py", "modelVersion": "1.0"}, "runtime": "python"}
    (folder / "model" / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
    (folder / "model" / "handler.py").write_text(HANDLER)
    models = [{"name": "says", "version": "1.0", "model_dir": "model", "handler": "handler.py"}]
    (folder / "models.json").write_text(json.dumps({"models": models}))
    command = [sys.executable, "-m", "handlerkit.serving.serve", str(folder / "models.json"), "--port", "0"]
    environment = os.environ | {"SERVING_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield line.split(" at ")[1].strip()
        process.terminate()


def test_app_takes_the_token(app: str) -> None:
    with Remote(app, model="says", token=TOKEN) as remote:
        assert remote.predict(Request(body=b"yes")).response.body == b"yes"


def test_app_that_misses_the_token_is_explained(app: str) -> None:
    with Remote(app, model="says") as remote:
        run = remote.predict(Request(body=b"yes"))
    assert (run.response.status, run.response.json()["type"]) == (400, "InvalidKeyException")
    assert [str(found) for found in run.findings] == [f"{app} asks for a token. Give hk.Remote(url, token=...)."]


def test_app_that_refuses_the_token_is_explained(app: str) -> None:
    with Remote(app, model="says", token="another") as remote:
        (found,) = remote.predict(Request(body=b"yes")).findings
    assert found.message == f"{app} refuses the token."


def test_stream_of_an_app_keeps_its_chunks(app: str) -> None:
    with Remote(app, model="says", token=TOKEN) as remote:
        response = remote.predict(Request(body=b"stream a bc")).response
    assert (response.chunks, response.complete) == ((b"a", b"bc", b"end"), True)
    assert response.arrivals is not None


def test_app_that_is_slow_ends_with_the_timeout_and_the_next_request_is_answered(app: str) -> None:
    with Remote(app, model="says", token=TOKEN, timeout=0.5) as remote:
        run = remote.predict(Request(body=b"sleep"))
    assert (run.response.status, "sends nothing for 0.5 s" in run.findings[0].message) == (None, True)
    with Remote(app, model="says", token=TOKEN) as remote:
        assert remote.predict(Request(body=b"awake")).response.body == b"awake"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    (folder / "says.py").write_text(HANDLER)
    with Worker(Model("says", handler=folder / "says.py")) as running:
        yield running


def test_app_is_verified_without_naming_the_model(app: str, worker: Worker) -> None:
    run = worker.predict(Request(body=b"a"))
    with Remote(app, token=TOKEN) as remote:
        report = verify(run, remote)
    assert [row.verdict for row in report.rows] == ["identical"]
    assert report.endpoint == app


def test_report_says_why_there_was_no_answer(worker: Worker, free_port: int) -> None:
    report = verify(worker.predict(Request(body=b"a", label="a")), Remote(f"http://localhost:{free_port}"))
    assert [(one.where, one.ours, one.theirs) for one in report.rows[0].differences] == [("status", "200", "no answer")]
    assert f"Nothing listens at localhost:{free_port}." in hk.view(report).text
    assert f"Nothing listens at localhost:{free_port}." in hk.view(report).html


# --- a real TorchServe ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(handlers: Path) -> Iterator[Server]:
    with Server([Model("mirror", handler=handlers / "mirror.py"), Model("letters", handler=handlers / "letters.py")],
                batch_size=3, max_batch_delay=200) as running:  # fmt: skip
        yield running


@server_test
def test_torchserve_answers_as_it_answers_server(server: Server) -> None:
    requests = Request(body=bytes(range(256))), Request(headers={"X-Status": "418"}, body=b"tea")
    run = server.predict(*requests)
    with Remote(server.url, token=server.token) as remote:
        report = verify(run, remote)
    assert [row.verdict for row in report.rows] == ["identical", "identical"]


@server_test
def test_requests_to_torchserve_share_a_batch_in_their_order(server: Server) -> None:
    with Remote(server.url, model="mirror", token=server.token) as remote:
        run = remote.predict(*(Request(body=text) for text in (b"a", b"b", b"c")))
    told = [(answer.header("X-Rows"), answer.header("X-Row"), answer.body) for answer in run.responses]
    assert told == [("3", "0", b"a"), ("3", "1", b"b"), ("3", "2", b"c")]


@server_test
def test_torchserves_streams_keep_their_chunks(server: Server) -> None:
    with Remote(server.url, model="letters", token=server.token) as remote:
        response = remote.predict(Request.text("abc")).response
    assert response.chunks == (b"a", b"b", b"c")


@server_test
def test_torchserve_that_misses_the_token_is_explained(server: Server) -> None:
    with Remote(server.url, model="mirror") as remote:
        (found,) = remote.predict(Request(body=b"x")).findings
    assert found.message == f"{server.url} asks for a token."


@server_test
def test_port_of_torchserves_management_is_explained(server: Server) -> None:
    process = server._running()
    url = f"http://127.0.0.1:{process.ports.management}"
    with Remote(url, model="mirror", token=process.keys["management"]) as remote:
        run = remote.predict(Request(body=b"x"))
    assert [found.name for found in run.findings] == ["port"]


# --- what is on the way ---------------------------------------------------------------------------------------------

MARKS = """\
def handle(data, context):
    if data:
        context.set_response_status(int(context.get_request_header(0, "X-Status") or 200), "Mine", 0)
        context.set_response_header(0, "X-Mark", context.get_request_header(0, "X-Mark") or "one")
    return ["answer" for row in data or ()]
"""


def test_what_uvicorn_forces_on_a_head_is_named_and_nothing_else(tmp_path: Path) -> None:
    served = written(tmp_path / "served", MARKS)
    with (
        Worker(Model("m", handler=tmp_path / "served" / "handler.py")) as worker,
        uvicorn(tmp_path, [served]) as port,
        Remote(f"http://127.0.0.1:{port}", model="m") as remote,
    ):
        run = worker.predict(Request(body=b"1", headers={"X-Status": "418"}), Request("HEAD"))
        report = verify(run, remote)
        assert [(row.verdict, row.differences) for row in report.rows] == [("equal", ())] * 2
        forced = {one.where for row in report.rows for one in row.forced}
        assert forced == {"reason", "header connection", "header date", "header server", "names of headers"}
        assert remote.forces is not None
        assert remote.forces.by == "uvicorn"
        other = worker.predict(Request(body=b"1", headers={"X-Mark": "two"}))
        changed = replace(other, exchanges=(replace(other.exchanges[0], request=Request(body=b"1")),))
        (row,) = verify(changed, remote).rows
        assert [one.where for one in row.differences] == ["header x-mark"]


def test_what_is_on_the_way_can_be_given(listen: Listen) -> None:
    listener = listen(OK)
    gateway = ForcedHead("the gateway", http_reasons=True)
    remote = Remote(f"http://localhost:{listener.port}", model="m", forces=gateway)
    theirs = Response(200, "", (("content-length", "2"),), b"ok")
    (row,) = verify(Run((Exchange(Request(), theirs),)), remote).rows
    assert (row.verdict, [one.where for one in row.forced]) == ("equal", ["reason"])


def test_a_torchserve_forces_nothing(listen: Listen) -> None:
    remote = Remote(f"http://localhost:{listen(OK).port}", model="m")
    remote.predict(Request())
    assert remote.forces is None
