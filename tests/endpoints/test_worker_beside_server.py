"""The same model on a Worker and on a real TorchServe: metrics, logs, failed loads, answers that name a place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from handlerkit.archive import Archive
from handlerkit.endpoints.logs.torchserve_log import worker_lines
from handlerkit.endpoints.server import Server
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError
from handlerkit.messages import Request, Run
from handlerkit.model import Model
from handlerkit.verify import verify

pytestmark = pytest.mark.server

METRICS = """
dimensions:
  - &model_name "ModelName"
  - &level "Level"
model_metrics:
  counter:
    - name: CoinsSeen
      unit: count
      dimensions: [*model_name, *level]
"""
COUNTS = """
from ts.metrics.metric_type_enum import MetricTypes


class Counts:
    def initialize(self, context):
        self.coins = context.metrics.get_metric("CoinsSeen", MetricTypes.COUNTER)

    def handle(self, data, context):
        self.coins.add_or_update(len(data), [context.manifest["model"]["modelName"], "Model"])
        return ["counted"] * len(data)
"""
LOGS = """
import logging, os, subprocess, sys, warnings

own = logging.getLogger("own")
loud = logging.getLogger("loud")
loud.setLevel(logging.DEBUG)


class Logs:
    def initialize(self, context):
        logging.getLogger("urllib3").info("a library, loading")

    def handle(self, data, context):
        own.debug("own debug"), own.info("own info"), own.warning("own warning: %s", 1)
        loud.debug("loud debug")
        logging.getLogger("PIL.Image").error("a library")
        print("printed")
        print("to stderr", file=sys.stderr)
        os.system("echo of a shell; echo of a shell to stderr >&2")
        subprocess.run(["echo", "of a program"])
        os.write(1, b"written to 1\\n")
        try:
            {}["key"]
        except KeyError:
            own.exception("caught")
        return ["ok"] * len(data)
"""
CHANGES_LOGGING = """
import logging, sys

logging.getLogger().setLevel(logging.ERROR)
logging.getLogger().handlers.clear()
logging.disable(logging.INFO)
sys.stdout = sys.stderr


def handle(data, context):
    logging.getLogger("own").info("not told")
    return None if data is None else ["quiet"] * len(data)
"""
PLACES = """
import os, traceback


class Places:
    def initialize(self, context):
        self.folder = context.system_properties["model_dir"]

    def preprocess(self, data):
        raise ValueError("no")

    def handle(self, data, context):
        try:
            self.preprocess(data)
        except ValueError:
            text = traceback.format_exc()
        return [{"traceback": text, "folder": self.folder, "file": __file__, "cwd": os.getcwd()}] * len(data)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for handlers."""
    return tmp_path_factory.mktemp("handlers")


@pytest.fixture(scope="module")
def properties(files: Path) -> dict[str, str]:
    """config.properties of both."""
    (files / "metrics.yaml").write_text(METRICS)
    return {"metrics_config": str(files / "metrics.yaml")}


@pytest.fixture(scope="module")
def server(properties: dict[str, str]) -> Iterator[Server]:
    """A real TorchServe; each test registers its model."""
    with Server([], properties) as running:
        yield running


@pytest.fixture
def model(files: Path) -> Callable[..., Model]:
    """Makes a model of a handler's source."""

    def make(source: str, name: str = "m", **options: Path) -> Model:
        file = files / f"{name}.py"
        file.write_text(source)
        return Model(name, handler=file, **options)

    return make


def test_metrics_config_declares_metrics(server: Server, properties: dict[str, str], model) -> None:
    counts = model(COUNTS)
    server.register(counts)
    with Worker(counts, properties) as worker:
        run = worker.predict(Request())
        assert run.ok
        assert ("CoinsSeen", 1.0) in [(metric.name, metric.value) for metric in run.metrics]
        assert verify(run, server)
    assert 'CoinsSeen{ModelName="m",Level="Model",' in server.metrics()


def on_server(server: Server, run: Callable[[], Run]) -> list[str]:
    """What a worker of the server logs of a call, each stream by itself: Java reads the two in no certain order."""
    process = server._running()
    begin = process.logged()
    assert run().ok
    before, lines = None, ()
    while before != lines or not lines:  # Java reads on after it has answered
        time.sleep(0.4)
        before, lines = lines, worker_lines(process.log(begin), process.folder, server._registered["m"].folder.name)
    return told(lines)


def told(lines) -> list[str]:
    texts = [f"{line.level} {line.text}" for line in lines]
    timed = ("INFO [METRICS]", "INFO Backend received inference at", "INFO result=[METRICS]")
    return sorted(text for text in texts if not text.startswith(timed))


def test_loggers_libraries_and_programs_log_as_on_the_server(server: Server, properties, model) -> None:
    logs = model(LOGS)
    server.register(logs)
    theirs = on_server(server, lambda: server.predict(Request()))
    with Worker(logs, properties) as worker:
        ours = told(worker.predict(Request()).logs)
        assert "a library, loading" in [line.text for line in worker.load_logs]
    assert ours == theirs
    assert "INFO of a shell" in ours
    assert "WARN of a shell to stderr" in ours


def test_what_a_model_did_to_logging_does_not_reach_the_next(server: Server, properties, model) -> None:
    with Worker(model(CHANGES_LOGGING, "changes"), properties) as changes, Worker(model(LOGS), properties) as worker:
        assert changes.predict(Request()).logs == ()
        ours = told(worker.predict(Request()).logs)
    server.register(model(CHANGES_LOGGING, "changes"))
    server.register(model(LOGS))
    theirs = on_server(server, lambda: server.predict(Request(path="/predictions/m")))
    server.unregister("changes")
    assert ours == theirs
    assert "INFO own info" in ours


def test_places_of_one_endpoint_are_no_difference(server: Server, properties, model) -> None:
    places = model(PLACES)
    described = [Request("GET", f"/models/m{version}", query="customized=true") for version in ("", "/1.0")]
    with Worker(places, properties) as worker:
        run = worker.predict(Request(), *described)
    for source in (places, Archive(places).save(places.handler_file.parent / "store", force=True)):
        server.register(source)
        report = verify(run, server)
        assert [row.differences for row in report.rows] == [()] * 3
        assert report.rows[0].volatile == ("paths of <model_dir>",)
        assert {"workers[0].startTime", "workers[0].pid", "paths of <model_dir>"} <= {*report.rows[1].volatile}


BODIES = {
    "error": ("class H:\n  def initialize(self, c): raise RuntimeError('mine')\n  handle = None\n", "load"),
    "memory": ("class H:\n  def initialize(self, c): raise MemoryError\n  handle = None\n", "memory"),
    "import": ("import nobody_has_this\n", "import"),
    "classes": ("class A: pass\nclass B: pass\n", "class_count"),
    "alias": ("class A: pass\nB = A\n", "class_count"),
    "method": ("class A:\n  def handle(self, d, c): pass\n", "no_method"),
    "syntax": ("class A:\n  def handle(self, d, c:\n", "syntax"),
    "file": ("open('labels.txt')\n", "missing_file"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_load_that_fails_is_explained_as_the_worker_s_and_leaves_the_name_free(
    server: Server, properties, model, files: Path, kind: str
) -> None:
    source, name = BODIES[kind]
    broken = model(source)
    with pytest.raises(LoadError) as ours:
        Worker(broken, properties)
    archive = Archive(broken).save(files / "store", force=True)
    for given in (broken, archive):
        with pytest.raises(LoadError) as theirs:
            server.register(given)
        assert theirs.value.response.status == ours.value.response.status
        assert theirs.value.findings == ours.value.findings
    assert [found.name for found in ours.value.findings] == [name]
    server.register(model("def handle(data, context):\n  return ['ok']\n"))
    assert server.predict(Request()).response.body == b"ok"


def test_worker_that_ends_or_takes_too_long_is_explained(server: Server, model, files: Path) -> None:
    for source, name in (
        ("import os; os._exit(3)\n", "worker_exit"),
        ("import time; time.sleep(9)\n", "worker_timeout"),
    ):
        with pytest.raises(LoadError) as caught:
            server.register(model(source), startup_timeout=3)
        assert [found.name for found in caught.value.findings] == [name]
    (files / "empty.yaml").write_text("")
    with pytest.raises(LoadError, match=r"empty\.yaml is empty"):
        server.register(model(LOGS, config_file=files / "empty.yaml"))
