"""Applications with real workers: what a recorded exchange does not show."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from serving_apps import ECHO, Answer, App, request, written
from waiting import soon

from handlerkit.serving import torchserve_facts
from handlerkit.serving.application import Application
from handlerkit.serving.config import PropertyError
from handlerkit.serving.documents import openapi
from handlerkit.serving.frontend import Frontend
from handlerkit.serving.http import HttpRequest
from handlerkit.serving.workers.any_worker import LoadFailed

pytestmark = [pytest.mark.usefixtures("no_pause"), pytest.mark.timeout(180)]

#: Runs what the body says.
RUNS = """\
import os, sys, time
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return
    for row in data:
        answers = [b"ok"] * len(data)
        names = {"data": data, "context": context, "os": os, "sys": sys, "time": time, "answers": answers,
                 "send": lambda text: send_intermediate_predict_response(
                     [text] * len(data), context.request_ids, "", 200, context)}
        exec(bytes(row.get("body", b"")).decode(), names)
    return names["answers"]
"""

#: Takes its time.
SLEEPS = """\
import time

def handle(data, context):
    if data:
        time.sleep({})
    return ["done" for row in data or ()]
"""

#: Says that it does not load.
NO_MEMORY = """\
class Handler:
    def initialize(self, context):
        raise MemoryError

    def handle(self, data, context):
        return data
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Two models."""
    folder = tmp_path_factory.mktemp("models")
    models = [written(folder / "runs", RUNS, "runs", response_timeout=2), written(folder / "echo", ECHO, "echo")]
    with App(models, {"model_metrics_auto_detect": True}) as app:
        yield app


def run(app: App, code: str) -> Answer:
    return app.ask("POST", "/predictions/runs", (("Content-Type", "application/octet-stream"),), code.encode())


class TestDeaths:
    @pytest.mark.parametrize(
        "code",
        ["os._exit(3)", "sys.exit()", "os.kill(os.getpid(), 9)", "answers[0] = '\\ud800'", "time.sleep(60)"],
    )
    def test_a_worker_that_dies_is_answered_for_and_started_again(self, app: App, code: str) -> None:
        before = app.application.running[0].workers[0].pid
        died = run(app, code)
        assert (died.status, died.reason) == (500, "Internal Server Error")
        assert json.loads(died.body)["message"] == "Worker died."
        assert run(app, "").body == b"ok"  # waits until it is back
        assert app.application.running[0].workers[0].pid != before
        assert psutil.pid_exists(before) is False

    def test_what_waits_is_answered_by_the_next_one(self, app: App) -> None:
        codes = ["time.sleep(0.5); os._exit(1)", "answers = ['1']", "answers = ['2']", "os._exit(1)", "answers = ['3']"]
        with ThreadPoolExecutor(8) as pool:
            sent = []
            for code in codes:
                sent.append(pool.submit(run, app, code))
                time.sleep(0.05)
            answers = [one.result() for one in sent]
        assert [answer.status for answer in answers] == [500, 200, 200, 500, 200]
        assert [answer.body for answer in answers if answer.status == 200] == [b"1", b"2", b"3"]

    def test_each_has_the_whole_response_time_out(self, app: App) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = [*pool.map(lambda _: run(app, "time.sleep(1)"), range(4))]  # the time-out is 2 s
        assert [answer.body for answer in answers] == [b"ok"] * 4

    def test_the_other_models_go_on(self, app: App) -> None:
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(run, app, "time.sleep(1.0)")
            time.sleep(0.2)
            begun = time.monotonic()
            assert app.ask("POST", "/predictions/echo", (), b"now").body == b"now"
            assert time.monotonic() - begun < 0.8
            assert slow.result().body == b"ok"

    def test_while_a_worker_is_gone_health_says_so(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torchserve_facts, "BACK_OFF", (2,))
        run(app, "os._exit(1)")
        got = app.ask("GET", "/ping")
        assert (got.status, json.loads(got.body)) == (500, {"status": "Unhealthy"})
        assert app.ask("GET", "/v2/health/ready").status == 503
        assert json.loads(app.ask("GET", "/v1/models/runs").body) == {"name": "runs", "ready": False}
        assert app.ask("GET", "/v1/models/echo").status == 200
        assert app.ask("GET", "/v2/health/live").body == b'{\n  "live": true\n}\n'
        assert run(app, "").body == b"ok"
        assert app.ask("GET", "/ping").body == b'{\n  "status": "Healthy"\n}\n'

    def test_one_that_dies_while_it_rests_is_started_again(self, app: App) -> None:
        worker = app.application.running[1].workers[0]
        before = worker.pid
        os.kill(before, signal.SIGKILL)
        assert soon(lambda: worker.serves and worker.pid != before)
        assert app.ask("POST", "/predictions/echo", (), b"back").body == b"back"

    def test_what_it_wrote_last_is_logged(self, app: App, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        run(app, "print('last words', flush=True); os._exit(1)")
        assert soon(lambda: "last words" in caplog.text)
        run(app, "")


class TestFaults:
    """What no part of the server expects: the client has an answer at once, and the connection goes on or is closed."""

    @pytest.mark.parametrize("charset", ["hex", "undefined", "utf-7", "idna"])
    @pytest.mark.parametrize("path", ["/predictions/echo", "/invocations", "/nothing/of/ours"])
    def test_a_form_in_a_charset_that_only_python_has(self, app: App, charset: str, path: str) -> None:
        body = b'--x\r\nContent-Disposition: form-data; name="+2AA-"\r\n\r\n1\r\n--x--\r\n'
        answer = app.ask("POST", path, (("Content-Type", f"multipart/form-data; boundary=x; charset={charset}"),), body)
        assert answer.status in (400, 403, 404)
        assert app.ask("POST", "/predictions/echo", (), b"next").body == b"next"

    def test_a_part_with_a_length_of_5000_digits(self, app: App) -> None:
        head = f'Content-Disposition: form-data; name="body"; filename="f"\r\nContent-Length: {"9" * 5000}'
        body = f"--x\r\n{head}\r\n\r\n1\r\n--x--\r\n".encode()
        answer = app.ask("POST", "/predictions/echo", (("Content-Type", "multipart/form-data; boundary=x"),), body)
        assert (answer.status, answer.body) == (200, b"1")

    def test_a_fault_is_answered_and_logged(
        self, app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(self: Frontend, request: HttpRequest) -> None:
            raise ZeroDivisionError("a fault")

        with monkeypatch.context() as patch:
            patch.setattr(Frontend, "receive", fail)
            answer = app.ask("POST", "/predictions/echo", (), b"1")
        assert (answer.status, json.loads(answer.body)["type"]) == (500, "InternalServerException")
        assert "ZeroDivisionError: a fault" in caplog.text
        assert app.ask("POST", "/predictions/echo", (), b"1").body == b"1"

    def test_a_fault_at_an_answer_ends_the_worker(
        self, app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError("a fault")

        with monkeypatch.context() as patch:
            patch.setattr(Frontend, "respond", fail)
            answer = app.ask("POST", "/predictions/echo", (), b"1")
        assert (answer.status, json.loads(answer.body)["message"]) == (500, "Worker died.")
        assert "ZeroDivisionError: a fault" in caplog.text
        assert soon(lambda: app.ask("POST", "/predictions/echo", (), b"1").body == b"1")

    @pytest.mark.parametrize("depth", [3000, 20_000])
    def test_a_description_that_is_nested_deeply(self, tmp_path: Path, depth: int) -> None:
        source = f"def handle(data, context):\n    return ['{{\"a\": ' + '[' * {depth} + ']' * {depth} + '}}']\n"
        with App([written(tmp_path / "m", source)]) as app:
            answer = app.ask("GET", "/models/m?customized=true")
        assert answer.status == (200 if depth < 8000 else 500)
        assert answer.body.count(b"[") == (depth + 2 if depth < 8000 else 0)


class TestStreams:
    def test_pieces_leave_while_the_handler_runs(self, app: App) -> None:
        with app.connect() as connection:
            body = b"send('one'); time.sleep(1); answers = ['two']"
            connection.send(request("POST", "/predictions/runs", (("Content-Type", "x/y"),), body))
            begun = time.monotonic()
            while connection.line() != b"\r\n":
                pass
            assert connection.line() + connection.line() == b"3\r\none\r\n"
            assert time.monotonic() - begun < 0.9
            assert connection.line() + connection.line() == b"3\r\ntwo\r\n"
            assert connection.line() + connection.line() == b"0\r\n\r\n"
            assert time.monotonic() - begun > 0.9

    def test_one_that_fails_half_way_is_cut(self, app: App) -> None:
        got = run(app, "send('one'); raise ValueError")
        assert (got.status, got.chunks, got.complete) == (200, (b"one",), False)
        assert run(app, "").body == b"ok"

    def test_one_whose_worker_dies_is_cut(self, app: App) -> None:
        got = run(app, "send('one'); os._exit(1)")
        assert (got.status, got.chunks, got.complete) == (200, (b"one",), False)

    def test_a_piece_gives_it_more_time(self, app: App) -> None:
        got = run(app, "[(send('x'), time.sleep(1.2)) for _ in range(3)]")  # the response time-out is 2 s
        assert (got.body, got.complete) == (b"xxxok", True)


class TestRoutes:
    def test_models_are_told_apart(self, app: App) -> None:
        assert app.ask("POST", "/v2/models/echo/infer", (), b"a").body == b"a"
        assert app.ask("POST", "/echo/predict", (), b"b").body == b"b"
        assert app.ask("POST", "/v1/models/echo:predict", (), b"c").body == b"c"
        assert app.ask("POST", "/invocations?model_name=echo", (), b"d").body == b"d"
        form = (("Content-Type", "application/x-www-form-urlencoded"),)
        assert app.ask("POST", "/invocations", form, b"model_name=nope").status == 404

    @pytest.mark.parametrize(
        "target",
        ["/predictions%2Fecho", "/predictions/%65cho#here", "/v1/models/echo%3Apredict", "/predictions/echo/1.0?x#y"],
    )
    def test_an_escaped_path_names_the_same_model(self, app: App, target: str) -> None:
        assert app.ask("POST", target, (), b"a").body == b"a"

    @pytest.mark.parametrize("target", ["/ping", "/ping/", "/%70ing", "/ping/more", "/ping%2Fmore?x"])
    def test_health_is_asked_for_as_with_torchserve(self, app: App, target: str) -> None:
        got = app.ask("GET", target)
        assert (got.status, json.loads(got.body)) == (200, {"status": "Healthy"})

    @pytest.mark.parametrize(
        ("method", "target"),
        [("OPTIONS", "/"), ("OPTIONS", "/?x"), ("GET", "/api-description"), ("GET", "/api%2Ddescription/")],
    )
    def test_the_api_describes_itself(self, app: App, method: str, target: str) -> None:
        got = app.ask(method, target)
        assert (got.status, got.body) == (200, openapi.api())

    @pytest.mark.parametrize("path", ["/predictions/nope", "/nope/predict", "/v1/models/nope"])
    def test_one_that_is_not_there(self, app: App, path: str) -> None:
        got = app.ask("GET", path)
        assert (got.status, json.loads(got.body)["message"]) == (404, "Model not found: nope")

    def test_with_several_none_is_meant_without_a_name(self, app: App) -> None:
        assert app.ask("POST", "/", (), b"x").status == 405
        assert app.ask("POST", "/invocations", (), b"x").status == 400

    def test_metrics_count_requests_and_show_the_handlers_own(self, app: App) -> None:
        def value(name: str) -> float:
            lines = app.ask("GET", f"/metrics?name[]={name}").body.decode().splitlines()
            return sum(float(line.split()[-1]) for line in lines if not line.startswith("#"))

        before = value("ts_inference_requests_total")
        run(app, "context.metrics.add_counter('Apples', 3)")
        assert value("ts_inference_requests_total") == before + 1
        assert value("ts_inference_latency_microseconds") > value("ts_queue_latency_microseconds") > 0
        assert soon(lambda: value("Apples") == 3)
        assert value("PredictionTime") >= 0
        assert value("WorkerLoadTime") > 0


def test_two_workers_work_at_the_same_time(tmp_path: Path) -> None:
    sleeps = SLEEPS.format(0.5)
    with App([written(tmp_path / "m", sleeps, settings={"minWorkers": 2, "maxWorkers": 2})]) as app:
        assert len({worker.pid for worker in app.application.running[0].workers}) == 2
        begun = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            answers = [*pool.map(lambda _: app.ask("POST", "/", (), b"x").status, range(4))]
        assert answers == [200] * 4
        assert 1.0 <= time.monotonic() - begun < 1.8
        (described,) = json.loads(app.ask("GET", "/models/m?customized=true").body)
        assert (described["minWorkers"], described["maxWorkers"]) == (2, 2)
        assert [worker["id"] for worker in described["workers"]] == ["9000", "9001"]


def test_a_full_queue_and_a_graceful_stop(tmp_path: Path) -> None:
    sleeps = SLEEPS.format(1)
    with App([written(tmp_path / "m", sleeps)], {"job_queue_size": 1}) as app, ThreadPoolExecutor(3) as pool:
        sent = []
        for _ in range(3):  # one runs, one waits, one is too many
            sent.append(pool.submit(app.ask, "POST", "/predictions/m", (), b"x"))
            time.sleep(0.2)
        assert sent[2].result().status == 503
        assert "has no worker to serve inference request" in sent[2].result().body.decode()
        pids = [worker.pid for worker in app.application.running[0].workers]
        stopping = app.stopping(20)
        assert [one.result().body for one in sent[:2]] == [b"done", b"done"]
        stopping.result(20)
        assert not any(map(psutil.pid_exists, pids))


def test_stopping_at_once_answers_what_runs(tmp_path: Path) -> None:
    sleeps = SLEEPS.format(60)
    with App([written(tmp_path / "m", sleeps)]) as app, ThreadPoolExecutor(1) as pool:
        sent = pool.submit(app.ask, "POST", "/predictions/m", (), b"x")
        assert soon(lambda: app.application.running[0].busy)
        app.run(app.application.stop(0.1))
        assert sent.result().status == 500


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    with App([written(tmp_path / "m")], token="secret") as app:
        for headers in ((), (("Authorization", "Bearer wrong"),), (("Authorization", "secret"),)):
            got = app.ask("POST", "/predictions/m", headers, b"x")
            assert (got.status, json.loads(got.body)["type"]) == (400, "InvalidKeyException")
        assert app.ask("POST", "/predictions/m", (("authorization", "Bearer secret"),), b"x").body == b"x"
        assert app.ask("GET", "/ping").status == 400
        assert app.ask("GET", "/metrics").status == 200
        assert app.ask("OPTIONS", "/predictions/m").status == 200
        assert app.ask("GET", "/api-description").status == 200


def test_clients_of_an_expired_request_get_no_answer(tmp_path: Path) -> None:
    sleeps = SLEEPS.format(0.5)
    with (
        App([written(tmp_path / "m", sleeps, settings={"clientTimeoutInMills": 200})]) as app,
        app.connect() as connection,
    ):
        connection.send(request("POST", "/predictions/m", (), b"x"))
        connection.socket.settimeout(1.5)
        with pytest.raises(TimeoutError):
            connection.line()


def test_a_model_that_does_not_load_fails_the_start_and_leaves_nothing(tmp_path: Path) -> None:
    app = App([written(tmp_path / "m", "import no_such_module")])
    with pytest.raises(LoadFailed) as failed, app:
        pass
    assert any("no_such_module" in line for line in failed.value.log)
    assert threading.active_count() < 20


def test_one_that_says_so_itself_has_its_own_words(tmp_path: Path) -> None:
    app = App([written(tmp_path / "m", NO_MEMORY)])
    with pytest.raises(LoadFailed, match="System out of memory") as failed, app:
        pass
    assert failed.value.code == 507


def test_what_an_application_cannot_be_made_of(tmp_path: Path) -> None:
    model = written(tmp_path / "m")
    with pytest.raises(ValueError, match="different names"):
        Application([model, model])
    with pytest.raises(ValueError, match="different names"):
        Application([])
    with pytest.raises(PropertyError, match="job_queue_size"):
        Application([model], {"job_queue_siz": 1})


def test_torchserve_that_is_not_installed_fails_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlerkit.serving.workers.worker_command.util.find_spec", lambda name: None)
    with pytest.raises(LoadFailed, match=r"m does not load: .+ pip install torchserve"):
        App([written(tmp_path / "m")]).__enter__()


def test_a_folder_that_cannot_be_written_fails_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("handlerkit.serving.workers.worker.os.makedirs", full)
    with pytest.raises(LoadFailed, match="no process can be started: No space left on device"):
        App([written(tmp_path / "m")]).__enter__()
