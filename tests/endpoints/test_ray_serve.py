"""RayServe on one Ray of this machine, which all tests here share: two replicas, each with one worker."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from test_golden import CASES, named, request_of, requests_of, responses_of, without_ids

import handlerkit as hk
from handlerkit.endpoints import ray_serve, serve
from handlerkit.endpoints.ray_serve import RayServe
from handlerkit.errors import ConfigError, ServerError
from handlerkit.verify import ComparedResponse
from handlerkit.view import bundle

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

SOURCE = r"""import os, time
import numpy as np
from ts.handler_utils.utils import send_intermediate_predict_response
from ts.utils.util import PredictionException
VERSION = 1

def handle(data, context):
    if data is None:
        return None
    names = dict(globals(), data=data, context=context, out=["ok"] * len(data))
    exec((context.get_request_header(0, "x-py") or "").replace("\\n", "\n"), names)
    return names["out"]
"""
#: Recorded exchanges of a handler like that, whose replies hold all kinds of bodies and statuses.
RECORDED = [
    case for case in CASES
    if case["case"] in {
        "ret_bytearray", "ret_dict_with_numpy", "ret_html_chars", "exc_pe_429", "exc_value_error", "hdr_content_type",
        "hdr_nonascii", "status_404", "status_302", "stream_json_chunks", "fuzz_status_304", "ret_too_short",
    }
]  # fmt: skip


def source(folder: Path, text: str = SOURCE) -> hk.Model:
    folder.mkdir(exist_ok=True)
    (folder / "handler.py").write_text(text)
    return hk.Model("ex", handler=folder / "handler.py")


def asks(code: str, **headers: str) -> hk.Request:
    return hk.Request.text("hello", headers={"x-py": code, **headers})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> hk.Model:
    return source(tmp_path_factory.mktemp("handler"))


@pytest.fixture(scope="module")
def ray(model: hk.Model) -> Iterator[RayServe]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'handlerkit[ray]'")
    with RayServe(model, num_replicas=2, ray_actor_options={"num_cpus": 0.5}, target="here") as running:
        yield running


@pytest.fixture(scope="module")
def worker(model: hk.Model) -> Iterator[hk.Worker]:
    with hk.Worker(model) as running:
        yield running


def row(worker: hk.Worker, ray: RayServe, request: hk.Request) -> ComparedResponse:
    (found,) = hk.verify(worker.predict(request), ray).rows
    return found


@named(RECORDED)
def test_status_and_body_are_those_that_torchserve_was_recorded_with(case, ray: RayServe) -> None:
    (request,), (recorded,) = requests_of(case), responses_of(case)
    response = ray.predict(request_of(request)).response
    body = b"".join(map(base64.b64decode, recorded.get("chunks_base64", [recorded.get("body_base64", "")])))
    assert (response.status, without_ids(response.body)) == (recorded["status"], without_ids(body))


def test_the_report_names_each_difference_that_the_proxy_forces(worker: hk.Worker, ray: RayServe) -> None:
    request = asks("context.set_response_header(0, 'X-Mine', 'a'); context.set_response_status(418, 'Mine', 0)")
    found = row(worker, ray, request)
    forced = {one.where: (one.ours, one.theirs) for one in found.forced}
    assert (found.verdict, found.differences) == ("equal", ())
    assert forced.pop("header date")[0] == "nothing"
    assert forced.pop("header x-request-id")
    assert forced == {
        "reason": ("'Mine'", '"I\'m a Teapot"'),
        "header connection": ("close", "nothing"),
        "header server": ("nothing", "uvicorn"),
        "names of headers": ("X-Mine, Pragma, Cache-Control, Expires", "x-mine, pragma, cache-control, expires"),
        "header x-request-id that the handler gets": ("nothing", "once"),
        "names of headers that the handler gets": (
            "Host, Content-Type, Content-Length",
            "host, content-type, content-length",
        ),
    }


def test_what_the_handler_gets_is_compared(worker: hk.Worker, ray: RayServe) -> None:
    requests = [hk.Request.json({"a": 1}), hk.Request.form({"x": b"\xff"}), hk.Request.text("", headers={"X-A": "1"})]
    run = worker.predict(*requests)
    report = hk.verify(run, ray)
    assert report.compares_handed_over
    assert report
    other = replace(run, exchanges=(*run.exchanges[:2], replace(run.exchanges[2], request=hk.Request.text("b"))))
    *same, found = hk.verify(other, ray).rows
    assert [row.verdict for row in same] == ["equal", "equal"]
    assert [str(one) for one in found.differences] == [
        "header x-a that the handler gets: '1' here, nothing there",
        "header content-length that the handler gets: '0' here, '1' there",
        "data[i]['body'] that the handler gets: '' here, 'b' there",
    ]


def test_a_report_on_ray_is_shown_with_what_is_forced(worker: hk.Worker, ray: RayServe) -> None:
    report = hk.verify(worker.predict(asks("")), ray)
    assert report
    assert "forced by the endpoint: " in bundle(report)["text/plain"]


def test_what_the_proxy_does_not_force_is_a_difference(worker: hk.Worker, ray: RayServe) -> None:
    found = row(worker, ray, asks("context.set_response_header(0, 'X-Pid', str(os.getpid()))"))
    assert found.verdict == "different"
    assert [one.where for one in found.differences] == ["header x-pid"]


def test_a_status_that_the_proxy_cannot_send_is_told(worker: hk.Worker, ray: RayServe) -> None:
    (found,) = row(worker, ray, asks("context.set_response_status(700, 'x', 0)")).differences
    assert str(found).endswith("Ray Serve's proxy passes on no status above 599 there")


def test_a_handler_finds_a_header_in_the_casing_of_its_client(worker: hk.Worker, ray: RayServe) -> None:
    request = asks("out = [context.get_request_header(0, 'X-Odd-Casing')]", **{"X-Odd-Casing": "here"})
    assert ray.predict(request).response.body == b"here"
    assert row(worker, ray, request).differences == ()


def test_a_crash_is_torchserve_s_answer_and_leaves_the_replica_alive(ray: RayServe) -> None:
    def replicas() -> set[int]:
        mine = psutil.Process().children(recursive=True)
        return {process.pid for process in mine if " ".join(process.cmdline()).startswith("ray::ServeReplica")}

    before = replicas()
    answer = ray.predict(asks("os._exit(3)")).response
    assert (answer.status, answer.json()["message"]) == (500, "Worker died.")
    assert ray.predict(asks("out = ['back']")).response.body == b"back"
    assert len(before) == 2
    assert replicas() == before


def test_a_chunk_of_a_stream_leaves_while_the_handler_runs(ray: RayServe, tmp_path: Path) -> None:
    code = f"""\
send_intermediate_predict_response(['a'], context.request_ids, '', 200, context)
while not os.path.exists({str(tmp_path / "seen")!r}):
    time.sleep(0.01)
"""
    with closing(HTTPConnection(*urlsplit(ray.url).netloc.split(":"), timeout=60)) as connection:
        connection.request("POST", "/predictions/ex", b"hello", {"x-py": code.replace("\n", "\\n")})
        response = connection.getresponse()
        assert response.read(1) == b"a"
        (tmp_path / "seen").touch()
        assert response.read() == b"ok"


def test_a_new_version_takes_the_place_of_the_old_one_without_a_lost_request(ray: RayServe, tmp_path: Path) -> None:
    answers: list[object] = []
    done = threading.Event()

    def ask() -> None:
        with hk.Remote(ray.url, model="ex") as client:
            while not done.is_set():
                answers.append(client.predict(asks("time.sleep(0.05); out = [str(VERSION)]")).response)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    ray.redeploy(source(tmp_path, SOURCE.replace("VERSION = 1", "VERSION = 2")))
    time.sleep(2)
    done.set()
    for client in clients:
        client.join()
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} == {b"1", b"2"}
    assert answers[-1].body == b"2"


def test_a_model_that_does_not_load_leaves_the_old_version_answering(ray: RayServe, tmp_path: Path) -> None:
    with pytest.raises(
        ServerError, match="ex does not load on Ray Serve: ValueError: no such thing; the end of its log"
    ):
        ray.redeploy(source(tmp_path, "raise ValueError('no such thing')\n"))
    assert ray.predict(asks("")).response.body == b"ok"


def test_stop_leaves_no_process_and_no_file(ray: RayServe) -> None:
    cluster = ray._cluster
    assert cluster is not None
    mine = [(one, " ".join(one.cmdline())) for one in psutil.Process().children(recursive=True)]
    started = [one for one, command in mine if command.startswith("ray::") or str(cluster.folder) in command]
    assert len(started) > 10
    ray.stop()
    assert psutil.wait_procs(started, 10)[1] == []
    assert not cluster.folder.exists()
    assert not ray.running
    assert "Started Serve" in ray.log()
    with pytest.raises(ServerError, match="does not run"):
        ray.predict(asks(""))


def test_commands_know_it_as_ray(model: hk.Model) -> None:
    pytest.importorskip("ray")
    assert isinstance(serve("ray", model, target="here"), RayServe)


def test_ray_that_is_not_installed_is_told(model: hk.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_serve.util, "find_spec", lambda name: None)
    with pytest.raises(ServerError, match=r"pip install 'handlerkit\[ray\]'"):
        RayServe(model)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_replicas": 0}, "num_replicas is a whole number from 1 on, not 0"),
        ({"num_replicas": 2, "autoscaling_config": {"max_replicas": 3}}, "say two things"),
        ({"address": "auto", "ha_proxy": True}, "ha_proxy is for a Ray of this machine"),
        ({"config_properties": {"no_such_key": 1}}, "no_such_key"),
    ],
)
def test_options_that_do_not_go_together_are_refused(model: hk.Model, options, says: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(ConfigError, match=says):
        RayServe(model, **options)
