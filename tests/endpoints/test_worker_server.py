"""A Worker for HTTP clients."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from waiting import soon

from handlerkit.endpoints.worker import Worker
from handlerkit.endpoints.worker_server import WorkerServer, serve
from handlerkit.errors import ConfigError, ServerError
from handlerkit.messages import Request
from handlerkit.model import Model
from handlerkit.serving import torchserve_facts

pytestmark = pytest.mark.usefixtures("no_pause")

TEXT = {"Content-Type": "text/plain"}
#: Runs what the body says.
RUNS = """\
import os, time
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return
    for row in data:
        answers = ["ok"] * len(data)
        names = {"data": data, "context": context, "os": os, "time": time, "answers": answers,
                 "send": lambda text: send_intermediate_predict_response(
                     [text] * len(data), context.request_ids, "", 200, context)}
        exec(row["body"], names)
    return names["answers"]
"""


class Answer(NamedTuple):
    status: int
    body: str


def ask(
    server: WorkerServer, body: str = "", path: str = "/predictions/m", method: str = "POST", **headers: str
) -> Answer:
    """One exchange on a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)) as connection:
        connection.request(method, path, body.encode() or None, TEXT | headers)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode())


def answers(text: str) -> str:
    return f"def handle(data, context):\n    return [{text!r} for row in data or ()]\n"


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    file = tmp_path / "handler.py"
    file.write_text(RUNS)
    return file


@pytest.fixture
def worker(handler: Path) -> Iterator[Worker]:
    with Worker(Model("m", handler=handler)) as worker:
        yield worker


@pytest.fixture
def server(worker: Worker) -> Iterator[WorkerServer]:
    with serve(worker, 0) as server:
        yield server


class TestAnswers:
    @pytest.mark.parametrize(
        "path", ["/predictions/m", "/predictions/m/1.0", "/invocations", "/v1/models/m:predict", "/"]
    )
    def test_the_routes_of_torchserve_lead_to_the_handler(self, server: WorkerServer, path: str) -> None:
        assert ask(server, "answers = ['hi']", path) == (200, "hi")

    def test_the_client_gets_what_the_worker_answers_itself(self, server: WorkerServer, worker: Worker) -> None:
        code = "context.set_response_header(0, 'X-Odd', 'yes'); context.set_response_status(418, 'Short', 0)"
        own = worker.predict(Request.text(code)).response
        ask(server, code)
        served = server.served[-1].response
        assert (served.status, served.reason, served.body) == (418, "Short", own.body)
        assert [name for name, _ in served.headers] == [name for name, _ in own.headers]

    def test_explanations(self, worker: Worker, handler: Path, server: WorkerServer) -> None:
        handler.write_text(
            "def handle(data, context):\n    return [str(context.get_request_header(0, 'explain'))] if data else None\n"
        )
        assert ask(server, "x", "/explanations/m") == (200, "True")

    def test_a_description(self, server: WorkerServer, handler: Path) -> None:
        handler.write_text(answers("{}"))
        (described,) = json.loads(ask(server, path="/models/m?customized=true", method="GET").body)
        assert (described["modelName"], described["batchSize"]) == ("m", 1)

    def test_health_and_metrics(self, server: WorkerServer) -> None:
        assert json.loads(ask(server, path="/ping", method="GET").body) == {"status": "Healthy"}
        ask(server, "context.metrics.add_time('PredictionTime', 7)")
        assert soon(lambda: "PredictionTime{" in ask(server, path="/metrics", method="GET").body)
        assert "ts_inference_requests_total{" in ask(server, path="/metrics", method="GET").body

    def test_a_handler_that_fails_and_one_that_crashes(self, server: WorkerServer) -> None:
        failed = ask(server, "1 / 0")
        assert json.loads(failed.body) == {
            "code": 503,
            "type": "InternalServerException",
            "message": "Prediction failed",
        }
        died = ask(server, "os._exit(3)")
        assert json.loads(died.body) == {"code": 500, "type": "InternalServerException", "message": "Worker died."}
        assert ask(server, "answers = ['back']") == (200, "back")

    def test_pieces_of_a_stream_leave_while_the_handler_runs(self, server: WorkerServer) -> None:
        address = server.url.removeprefix("http://").split(":")
        body = b"send('one'); time.sleep(1); answers = ['two']"
        head = b"POST /predictions/m HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        with socket.create_connection((address[0], int(address[1])), 30) as client, client.makefile("rb") as file:
            client.sendall(head % len(body) + body)
            while file.readline() != b"\r\n":
                pass
            assert file.readline() + file.readline() == b"3\r\none\r\n"
            assert not server.served  # it runs still
            assert file.readline() + file.readline() == b"3\r\ntwo\r\n"
            assert file.readline() + file.readline() == b"0\r\n\r\n"
        assert server.served[-1].response.chunks == (b"one", b"two")

    def test_a_stream_whose_worker_dies_is_cut(self, server: WorkerServer) -> None:
        with pytest.raises(http.client.IncompleteRead):
            ask(server, "send('one'); os._exit(1)")
        assert server.served[-1].response.complete is False

    def test_batches_form_of_what_comes_together(self, handler: Path) -> None:
        handler.write_text("def handle(data, context):\n    return [str(len(data))] * len(data) if data else None\n")
        with (
            Worker(Model("m", handler=handler), batch_size=3, max_batch_delay=10_000) as worker,
            serve(worker, 0) as server,
            ThreadPoolExecutor(3) as pool,
        ):
            assert [*pool.map(lambda _: ask(server, "x"), range(3))] == [(200, "3")] * 3
            (run,) = server.served
            assert len(run.exchanges) == 3

    def test_a_full_queue(self, handler: Path) -> None:
        with (
            Worker(Model("m", handler=handler), {"job_queue_size": 1}) as worker,
            serve(worker, 0) as server,
            ThreadPoolExecutor(2) as pool,
        ):
            running = pool.submit(ask, server, "time.sleep(3)")
            assert soon(lambda: worker_is_busy(worker))
            waiting = pool.submit(ask, server, "")
            time.sleep(0.3)
            assert ask(server, "").status == 503
            assert [finding.name for finding in server.served[-1].findings] == ["unavailable"]
            assert (running.result().status, waiting.result().status) == (200, 200)

    def test_web_pages_are_let_in_as_config_properties_says(self, handler: Path) -> None:
        properties = {"cors_allowed_origin": "https://page.example", "cors_allowed_methods": "POST"}
        with Worker(Model("m", handler=handler), properties) as worker, serve(worker, 0) as server:
            ask(server, "")
            assert server.served[-1].response.header("access-control-allow-origin") == "https://page.example"

    def test_otherwise_they_are_not(self, server: WorkerServer) -> None:
        ask(server, "", Origin="https://page.example")
        assert server.served[-1].response.header("access-control-allow-origin") is None


def worker_is_busy(worker: Worker) -> bool:
    """Whether a call runs: its lock is taken."""
    found: list[bool] = []

    def look() -> None:  # in a thread of its own, since a lock may be taken twice by one
        lock = worker._lifecycle.lock
        found.append(not lock.acquire(blocking=False))
        if not found[0]:
            lock.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


class TestNewCode:
    def test_a_file_that_changed_counts_from_the_next_request_on(self, server: WorkerServer, handler: Path) -> None:
        assert ask(server, "").body == "ok"
        handler.write_text(answers("new"))
        assert ask(server, "").body == "new"

    def test_no_request_is_lost_while_the_handler_is_loaded_again(
        self, server: WorkerServer, worker: Worker, handler: Path
    ) -> None:
        ended = threading.Event()

        def client(_: int) -> set[Answer]:
            got = set()
            while not ended.is_set():
                got.add(ask(server, ""))
            return got

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(client, number) for number in range(8)]
            try:
                for number in range(4):
                    handler.write_text(answers(f"version {number}"))
                    worker.reload(force=number % 2 == 1)
                    before = server.served.total
                    assert soon(lambda before=before: server.served.total > before + 8)
            finally:
                ended.set()
            got = set().union(*(one.result() for one in clients))
        assert {answer.status for answer in got} == {200}
        assert "version 3" in {answer.body for answer in got}

    def test_one_that_does_not_load_says_so_until_it_does(self, server: WorkerServer, handler: Path) -> None:
        handler.write_text("def handle(data, context)\n")
        assert json.loads(ask(server, "").body)["message"] == "Worker died."
        assert [finding.name for finding in server.served[-1].findings] == ["syntax"]
        handler.write_text("import no_such_module\n" + answers("x"))
        assert ask(server, "").status == 500
        assert "no_such_module" in str(server.served[-1].findings[0])
        handler.write_text(answers("loads"))
        assert ask(server, "") == (200, "loads")

    def test_another_batch_size_counts_too(self, tmp_path: Path, handler: Path) -> None:
        handler.write_text("def handle(data, context):\n    return [str(len(data))] * len(data) if data else None\n")
        settings = tmp_path / "model-config.yaml"
        settings.write_text("batchSize: 1\n")
        with (
            Worker(Model("m", handler=handler, config_file=settings)) as worker,
            serve(worker, 0) as server,
            ThreadPoolExecutor(2) as pool,
        ):
            assert ask(server, "x").body == "1"
            settings.write_text("batchSize: 2\nmaxBatchDelay: 10000\n")
            assert ask(server, "x").body == "1"  # it finds the file changed
            assert [*pool.map(lambda _: ask(server, "x").body, range(2))] == ["2", "2"]

    def test_a_dead_worker_stays_away_unless_another_handler_comes(
        self, server: WorkerServer, handler: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torchserve_facts, "BACK_OFF", (600,))
        assert ask(server, "os._exit(1)").status == 500
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(ask, server, "")
            time.sleep(0.3)
            assert not waits.done()
            handler.write_text(answers("another"))
            worker.reload()
            assert waits.result(30) == (200, "another")


class TestBesideCells:
    def test_the_notebooks_own_requests_go_between_those_of_clients(self, server: WorkerServer, worker: Worker) -> None:
        ended = threading.Event()

        def client(number: int) -> set[Answer]:
            got = set()
            while not ended.is_set():
                got.add(ask(server, f"answers = ['client {number}']"))
            return got

        with ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(client, number) for number in range(4)]
            try:
                own = {worker.predict(Request.text("answers = ['cell']")).response.text for _ in range(50)}
                own |= {worker.send(Request.text("answers = ['cell']")).response.text for _ in range(50)}
            finally:
                ended.set()
            got = [one.result() for one in clients]
        assert own == {"cell"}
        assert got == [{Answer(200, f"client {number}")} for number in range(4)]

    def test_ctrl_c_in_a_cell_reaches_no_client(self, tmp_path: Path) -> None:
        program = tmp_path / "program.py"
        program.write_text(
            "import os, signal, sys, threading, time, urllib.request\n"
            "import handlerkit as hk\n"
            "server = hk.serve(hk.Worker(hk.Model('m', handler='handler.py')), 0)\n"
            "def ask(body):\n"
            "    sent = urllib.request.Request(server.url, body, {'Content-Type': 'text/plain'})\n"
            "    return urllib.request.urlopen(sent).read().decode()\n"
            "answers = []\n"
            "client = threading.Thread(target=lambda: answers.append(ask(b\"time.sleep(1); answers = ['whole']\")))\n"
            "client.start()\n"
            "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
            "try:\n"
            "    time.sleep(30)\n"
            "except KeyboardInterrupt:\n"
            "    client.join()\n"
            "    print(*answers, ask(b\"answers = ['more']\"))\n"
        )
        (tmp_path / "handler.py").write_text(RUNS)
        done = subprocess.run(
            [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False
        )
        assert (done.stdout, done.stderr, done.returncode) == ("whole more\n", "", 0)


class TestServed:
    def test_a_run_holds_what_the_client_sent_and_got(self, server: WorkerServer) -> None:
        ask(server, "print('said'); answers = ['yes']", path="/predictions/m?a=1", **{"X-Mine": "1"})
        (run,) = server.served
        assert (run.request.target("m"), run.request.header("X-Mine")) == ("/predictions/m?a=1", "1")
        assert run.response.text == "yes"
        assert "said" in [line.text for line in run.logs]
        assert run.timings.total > 0

    def test_one_can_be_sent_again(self, server: WorkerServer, worker: Worker) -> None:
        ask(server, "answers = ['yes']")
        assert worker.predict(*server.served[-1].requests).response.text == "yes"

    @pytest.mark.parametrize(
        ("path", "status", "cause"), [("/predictions/n", 404, "unknown_model"), ("/nowhere", 404, "unknown_route")]
    )
    def test_what_the_handler_never_sees_is_kept_with_its_cause(
        self, server: WorkerServer, path: str, status: int, cause: str
    ) -> None:
        assert ask(server, "x", path).status == status
        (run,) = server.served
        assert ([finding.name for finding in run.findings], run.calls) == ([cause], ())

    def test_health_checks_are_not_kept(self, server: WorkerServer) -> None:
        ask(server, path="/ping", method="GET")
        ask(server, path="/metrics", method="GET")
        assert server.served.total == 0


class TestToken:
    @pytest.fixture
    def server(self, worker: Worker) -> Iterator[WorkerServer]:
        with serve(worker, 0, token="open-sesame") as server:
            yield server

    @pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "open-sesame"}])
    def test_without_it_the_handler_is_not_reached(self, server: WorkerServer, given: dict[str, str]) -> None:
        refused = ask(server, "", **given)
        assert (refused.status, json.loads(refused.body)["type"]) == (400, "InvalidKeyException")
        assert [finding.name for finding in server.served[-1].findings] == ["token"]

    def test_with_it_the_handler_is(self, server: WorkerServer) -> None:
        assert ask(server, "", Authorization="Bearer open-sesame").status == 200

    def test_it_is_shown_nowhere(self, server: WorkerServer) -> None:
        from handlerkit import view

        ask(server, "", Authorization="Bearer open-sesame")
        shown = [server, server.served, server.served[-1]]
        told = "".join(view(one).text + view(one).html + repr(one) for one in shown)
        assert "sesame" not in told


class TestStart:
    def test_a_port_in_use_is_said_in_one_sentence(self, server: WorkerServer, worker: Worker) -> None:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(ServerError, match=rf"^port {port} of 127.0.0.1 is in use: choose another one, or 0 "):
            serve(worker, port)
        assert ask(server, "").status == 200

    def test_a_host_of_another_machine(self, worker: Worker) -> None:
        with pytest.raises(ServerError, match=r"^203\.0\.113\.1 is no address of this machine"):
            serve(worker, 0, host="203.0.113.1", token="t")

    @pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.168.1.2", "example.org"])
    def test_other_machines_are_let_in_with_a_token_alone(self, worker: Worker, host: str) -> None:
        with pytest.raises(ConfigError, match="lets other machines in: give a token as well"):
            serve(worker, 0, host=host)

    def test_with_one_they_are(self, worker: Worker) -> None:
        with serve(worker, 0, host="0.0.0.0", token="t") as server:
            port = server.url.removeprefix("http://0.0.0.0:")
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)) as connection:
                connection.request("GET", "/ping", headers={"Authorization": "Bearer t"})
                assert connection.getresponse().status == 200

    @pytest.mark.parametrize("port", [-1, 65536, "8080"])
    def test_what_is_no_port(self, worker: Worker, port: int) -> None:
        with pytest.raises(ConfigError, match="a port is a number from 0"):
            serve(worker, port)

    @pytest.mark.parametrize("token", ["", " ", "a b", "a\r\nb"])
    def test_a_token_that_no_client_can_send(self, worker: Worker, token: str) -> None:
        with pytest.raises(ConfigError, match="the token is empty or holds a space"):
            serve(worker, 0, token=token)

    def test_a_worker_for_a_debugger_serves_nobody(self, worker: Worker) -> None:
        with (
            contextlib.closing(worker.in_this_process()) as here,
            pytest.raises(ConfigError, match="in_process=True is for a debugger"),
        ):
            serve(here, 0)

    def test_no_thread_is_left_of_one_that_did_not_start(self, server: WorkerServer, worker: Worker) -> None:
        before = threading.active_count()
        with pytest.raises(ServerError):
            serve(worker, int(server.url.rpartition(":")[2]))
        assert soon(lambda: threading.active_count() == before)


class TestEnd:
    def test_what_runs_is_answered_and_the_worker_stays(self, worker: Worker) -> None:
        server = serve(worker, 0)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(ask, server, "time.sleep(1); answers = ['whole']")
            assert soon(lambda: worker_is_busy(worker))
            server.stop(20)
            assert running.result() == (200, "whole")
        assert server.running is False
        with pytest.raises(ConnectionRefusedError):
            ask(server, "")
        assert worker.predict(Request.text("answers = ['mine']")).response.text == "mine"

    def test_what_takes_longer_is_cut_off(self, worker: Worker) -> None:
        server = serve(worker, 0)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(ask, server, "time.sleep(4)")
            assert soon(lambda: worker_is_busy(worker))
            server.stop(0.1)
            with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                running.result()

    def test_stopped_twice(self, worker: Worker) -> None:
        server = serve(worker, 0)
        server.stop()
        server.stop()
        assert repr(server) == "<WorkerServer m stopped>"

    def test_no_thread_is_left(self, worker: Worker) -> None:
        worker.predict(Request.text(""))
        before = threading.active_count()
        with serve(worker, 0) as server:
            ask(server, "")
        assert soon(lambda: threading.active_count() == before)

    def test_it_ends_with_its_process(self, tmp_path: Path, handler: Path) -> None:
        code = (
            "import handlerkit as hk\n"
            "worker = hk.Worker(hk.Model('m', handler='handler.py'))\n"
            "server = hk.serve(worker, 0)\n"
            "print(server.url.rpartition(':')[2], worker._loaded.pid)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False
        )
        assert (done.stderr, done.returncode) == ("", 0)
        port, pid = map(int, done.stdout.split())
        assert soon(lambda: not psutil.pid_exists(pid))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
