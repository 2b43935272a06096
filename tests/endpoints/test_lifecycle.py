"""One loaded handler behind several envelopes: what they share, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from handlerkit.endpoints.worker import Worker
from handlerkit.errors import ConfigError, LoadError
from handlerkit.messages import Request, Run
from handlerkit.model import Model

pytestmark = pytest.mark.usefixtures("no_pause")

#: Answers how often it was called since it was loaded; tells of its loads in the worker's log.
COUNTS = """
import os, sys

class Counts:
    def initialize(self, context):
        self.calls = 0
        print("loaded")

    def handle(self, data, context):
        self.calls += 1
        if "exit" in str(data):
            sys.exit(3)
        if "crash" in str(data):
            raise ValueError("as asked")
        return [self.calls] * len(data)
"""

Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A worker of COUNTS; closed at the end."""
    opened: list[Worker] = []
    (tmp_path / "counts.py").write_text(COUNTS)

    def start(envelope: str | None = None, **options: object) -> Worker:
        properties = {"service_envelope": envelope} if envelope else None
        opened.append(Worker(Model("m", handler=tmp_path / "counts.py"), properties, **options))
        return opened[-1]

    yield start
    for worker in opened:
        worker.close()


def instances(*values: object) -> Request:
    return Request.json({"instances": values})


def predictions(run: Run) -> object:
    return run.response.json()["predictions"]


def test_handler_is_loaded_once(start: Start) -> None:
    worker = start()
    assert worker.predict(Request.text("a")).response.json() == 1
    assert predictions(worker.with_envelope("json").predict(instances(1))) == [2]
    assert predictions(worker.with_envelope("kserve").predict(instances(1))) == [3]
    assert worker.with_envelope("body").predict(Request.text("a")).response.json() == 4
    assert worker.predict(Request.text("a")).response.json() == 5


def test_call_tells_the_envelope_it_came_through(start: Start) -> None:
    worker = start("json")
    runs = [worker.predict(instances(1)), worker.with_envelope("body").predict(Request.json([1]))]
    assert [(run.call.envelope, run.data) for run in runs] == [("json", [1]), ("body", [[1]])]


def test_none_takes_the_envelope_away(start: Start) -> None:
    bare = start("json").with_envelope(None)
    run = bare.predict(Request.json([1]))
    assert (bare.config.service_envelope, run.data, run.response.json()) == (None, [{"body": [1]}], 1)


def test_worker_with_its_own_envelope_is_itself(start: Start) -> None:
    worker = start("json")
    assert worker.with_envelope("json") is worker


def test_envelope_that_is_unknown(start: Start) -> None:
    with pytest.raises(ConfigError, match="not 'soap'"):
        start().with_envelope("soap")


def test_other_settings_are_kept(start: Start) -> None:
    other = start(batch_size=3).with_envelope("body")
    run = other.predict(*[Request.text("a")] * 3)
    assert (len(run.calls), other.batch_size) == (1, 3)


def test_envelope_remembers_as_long_as_the_handler_lives(start: Start) -> None:
    # a failed call of kservev2 parks its id for the next one, TORCHSERVE.md d; another envelope does not see it
    worker = start()
    tensor = {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["crash"]}
    assert worker.with_envelope("kservev2").predict(Request.json({"id": "parked", "inputs": [tensor]})).error
    assert worker.with_envelope("json").predict(instances(1)).ok
    fine = Request.json({"inputs": [{**tensor, "data": ["a"]}]})
    assert worker.with_envelope("kservev2").predict(fine).response.json()["id"] == "parked"
    assert worker.with_envelope("kservev2").predict(fine).response.json()["id"] != "parked"


def test_death_behind_one_envelope_is_everyones(start: Start) -> None:
    worker = start()
    wrapped = worker.with_envelope("json")
    worker.predict(Request.text("a"), Request.text("a"))
    assert wrapped.predict(instances("exit")).response.status == 500
    assert worker.predict(Request.text("a")).response.json() == 1
    assert predictions(wrapped.predict(instances(1))) == [2]


@pytest.mark.parametrize("who", ["worker", "wrapped"])
def test_reload_of_one_is_everyones(start: Start, who: str) -> None:
    worker = start()
    wrapped = worker.with_envelope("json")
    worker.predict(Request.text("a"))
    {"worker": worker, "wrapped": wrapped}[who].reload()
    assert predictions(wrapped.predict(instances(1))) == [1]
    assert worker.predict(Request.text("a")).response.json() == 2


def test_batch_size_of_the_config_file_is_everyones(tmp_path: Path, start: Start) -> None:
    config = tmp_path / "model-config.yaml"
    config.write_text("batchSize: 1\n")
    start()
    with Worker(Model("m", handler=tmp_path / "counts.py", config_file=config)) as worker:
        wrapped = worker.with_envelope("json")
        config.write_text("batchSize: 2\nmaxBatchDelay: 10\n")
        assert len(wrapped.predict(instances(1), instances(2)).calls) == 1
        assert len(worker.predict(Request.text("a"), Request.text("b")).calls) == 1


def test_batch_size_of_a_reload_is_everyones(start: Start) -> None:
    worker = start()
    wrapped = worker.with_envelope("json")
    worker.reload(batch_size=2)
    assert len(wrapped.predict(instances(1), instances(2)).calls) == 1


def test_reload_that_fails_leaves_nothing_loaded(start: Start, tmp_path: Path) -> None:
    worker = start()
    wrapped = worker.with_envelope("json")
    (tmp_path / "counts.py").write_text("raise ValueError")
    with pytest.raises(LoadError):
        wrapped.reload()
    assert worker.predict(Request.text("a")).response.status is None
    (tmp_path / "counts.py").write_text(COUNTS)
    assert predictions(wrapped.predict(instances(1))) == [1]


@pytest.mark.parametrize("who", ["worker", "wrapped"])
def test_close_of_one_is_everyones(start: Start, who: str) -> None:
    worker = start()
    wrapped = worker.with_envelope("json")
    folder = worker._loaded.model_dir  # type: ignore[union-attr]
    {"worker": worker, "wrapped": wrapped}[who].close()
    assert not folder.exists()
    assert (worker.entry_point, wrapped.entry_point) == ("", "")


def test_live_exception_is_handed_over_through_an_envelope(start: Start) -> None:
    worker, seen = start(in_process=True), []
    worker.on_exception = seen.append
    worker.with_envelope("json").predict(instances("crash"))
    assert [str(error) for error in seen] == ["as asked"]


def test_threads_send_through_several_envelopes(start: Start) -> None:
    worker = start()
    wrapped = worker.with_envelope("json")
    runs: list[Run] = []
    sends = [lambda: runs.append(worker.send(Request.text("a"))), lambda: runs.append(wrapped.send(instances(1)))] * 4
    threads = [threading.Thread(target=send) for send in sends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = [run.response.json() for run in runs]
    assert sorted(one if isinstance(one, int) else one["predictions"][0] for one in counts) == list(range(1, 9))
