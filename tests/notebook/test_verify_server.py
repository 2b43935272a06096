"""The TorchServe that %verify keeps up: when the same one is asked again, and when another. Tests share it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import soon

from handlerkit.archive import Archive
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError, ServerError
from handlerkit.messages import Request
from handlerkit.model import Model
from handlerkit.notebook.session import Session
from handlerkit.notebook.verify_server import VerifyServer
from handlerkit.verify import Report

server_test = pytest.mark.server
TELLS = """
import os

def handle(data, context):
    return [os.environ.get("TOLD", "nothing")] * len(data) if data else None
"""


@dataclass
class Checks:
    """Checks of one archive, all by the same Standby."""

    standby: VerifyServer
    archive: Path
    worker: Worker

    def __call__(self, *, archive: Path | None = None, requests: int = 1, **config: Any) -> Report:
        registered = {"config_properties": config, "batch_size": requests}
        run = self.worker.predict(*[Request(body=b"x")] * requests)
        return self.standby.verify(run, archive or self.archive, registered, (), 0)

    @property
    def url(self) -> str:
        return self.standby.server.url


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checks]:
    folder = tmp_path_factory.mktemp("tells")
    (folder / "tells.py").write_text(TELLS)
    model = Model("tells", handler=folder / "tells.py")
    standby = VerifyServer()
    with Worker(model, batch_size=3) as worker:
        yield Checks(standby, Archive(model).save(folder), worker)
    standby.stop()


def test_no_server_before_the_first_check() -> None:
    with pytest.raises(ServerError, match="no TorchServe is running yet: %verify starts one"):
        _ = VerifyServer().server


@server_test
def test_second_check_asks_the_same_torchserve(checks: Checks) -> None:
    checks()
    url = checks.url
    assert checks()
    assert checks.url == url


@server_test
def test_no_model_and_no_worker_stay_between_checks(checks: Checks) -> None:
    checks()
    commands = [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True) if _lives(one)]
    assert checks.standby.server.models == ()
    assert [command for command in commands if "model_service_worker" in command] == []


@server_test
def test_batch_size_is_that_of_the_check_at_hand(checks: Checks) -> None:
    checks()
    begin, url = len(checks.standby.server.log()), checks.url
    assert checks(requests=3)
    assert "batch_size=3" in checks.standby.server.log()[begin:]
    assert checks.url == url


@server_test
def test_archive_that_does_not_load_leaves_it_up(checks: Checks, tmp_path: Path) -> None:
    (tmp_path / "breaks.py").write_text("raise ValueError('on purpose')\n\ndef handle(data, context):\n    pass\n")
    checks()
    url = checks.url
    with pytest.raises(LoadError, match="on purpose"):
        checks(archive=Archive(Model("breaks", handler=tmp_path / "breaks.py")).save(tmp_path))
    assert checks()
    assert checks.url == url


@server_test
def test_other_config_properties_take_another_one(checks: Checks) -> None:
    checks()
    java = _java()
    assert checks(max_request_size=1000)
    assert not _lives(java)


@server_test
def test_environment_that_the_notebook_changed_does_not_reach_the_server(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLD", "something")
    report = checks()
    assert report
    assert report.other.response.body == b"nothing"


@server_test
def test_one_that_was_killed_is_replaced(checks: Checks) -> None:
    checks()
    os.kill(_java().pid, signal.SIGKILL)
    assert soon(lambda: not checks.standby.server.running)
    assert checks()


@server_test
def test_closing_the_session_ends_it(session: Session) -> None:
    Path("tells.py").write_text(TELLS)
    session.use("tells.py")
    session.request({})
    session.export()
    before = _javas()
    assert session.verify()
    (java,) = _javas() - before
    session.close()
    assert not _lives(java)


def _java() -> psutil.Process:
    (java,) = _javas()
    return java


def _javas() -> set[psutil.Process]:
    """Those that this process has started."""
    return {one for one in psutil.Process().children(recursive=True) if _lives(one) and one.name() == "java"}


def _lives(process: psutil.Process) -> bool:
    """A process that nobody waits for stays as a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
