"""Variables of the environment that a worker and a server are given."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from handlerkit.endpoints.loads.fork_server import fork_server
from handlerkit.endpoints.server import Server
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import ConfigError
from handlerkit.messages import Request
from handlerkit.model import Model

GIVEN = {"MY_TOKEN": "a b=c", "OMP_NUM_THREADS": "1", "HOME": "/nowhere"}
READS = (
    "import json, os\n"
    "AT_LOAD = os.environ.get('MY_TOKEN')\n"
    "def handle(data, context):\n"
    "    if data is None: return None\n"
    "    import torch\n"
    "    names = ('MY_TOKEN', 'OMP_NUM_THREADS', 'HOME', 'SET_IN_THE_NOTEBOOK')\n"
    "    told = {name: os.environ.get(name) for name in names}\n"
    "    return [{**told, 'at load': AT_LOAD, 'threads': torch.get_num_threads()}] * len(data)\n"
)
SEEN = {**GIVEN, "SET_IN_THE_NOTEBOOK": None, "at load": "a b=c", "threads": 1}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setenv("SET_IN_THE_NOTEBOOK", "1")
    (tmp_path / "h.py").write_text(READS)
    return Model("m", handler=tmp_path / "h.py")


def test_worker_has_it_from_its_first_line_on(model: Model) -> None:
    with Worker(model, environment=GIVEN) as worker:
        assert json.loads(worker.predict(Request()).response.text) == SEEN
        worker.reload(force=True)
        assert json.loads(worker.predict(Request()).response.text) == SEEN


def test_worker_in_this_process_borrows_it(model: Model) -> None:
    before = dict(os.environ)
    with Worker(model, environment={"MY_TOKEN": "x"}, in_process=True) as worker:
        assert dict(os.environ) == before
        told = json.loads(worker.predict(Request()).response.text)
    assert (told["MY_TOKEN"], told["at load"]) == ("x", "x")
    assert dict(os.environ) == before


def test_workers_of_one_environment_come_from_one_server(model: Model) -> None:
    given = {"MY_TOKEN": "shared"}
    with Worker(model, environment=given), Worker(model, environment=dict(given)), Worker(model):
        there, default = fork_server(given).pid, fork_server().pid
        assert there is not None
        assert default not in (None, there)


def test_server_of_a_worker_outlives_those_that_are_not_kept(model: Model) -> None:
    with Worker(model, environment={"MY_TOKEN": "first"}) as worker:
        pid = fork_server({"MY_TOKEN": "first"}).pid
        for number in range(5):
            fork_server({"MY_TOKEN": str(number)})
        assert pid is not None
        assert psutil.pid_exists(pid)
        assert json.loads(worker.predict(Request()).response.text)["MY_TOKEN"] == "first"


def test_names_that_no_worker_can_have_are_refused(model: Model) -> None:
    with pytest.raises(ConfigError, match="TorchServe sets PYTHONPATH itself"):
        Worker(model, environment={"PYTHONPATH": "/x"})
    with pytest.raises(ConfigError, match="TS_MODEL_STORE cannot be in a Server's environment"):
        Server(model, environment={"TS_MODEL_STORE": "/x"})


@pytest.mark.server
def test_server_and_its_workers_have_it(model: Model) -> None:
    with Server(model, environment=GIVEN, target="here") as server:
        assert json.loads(server.predict(Request()).response.text) == SEEN
