"""Files of a model that are gone, cannot be read or became folders when it is loaded."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from handlerkit.endpoints.server import Server
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import ModelError, WorkerError
from handlerkit.messages import Request
from handlerkit.model import Model
from handlerkit.notebook.session import Session


def becomes_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def becomes_a_dead_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def may_not_be_read(file: Path) -> None:
    file.chmod(0)


WAYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (Path.unlink, "does not exist"),
    "a folder": (becomes_a_folder, "is a folder, not a file"),
    "a dead link": (becomes_a_dead_link, "does not exist"),
    "unreadable": (may_not_be_read, "cannot be read: this user may not"),
}
FILES = {
    "h.py": "handler_file", "weights.pt": "serialized_file", "config.yaml": "config_file", "labels.txt": "extra_files",
    "folder/inner.txt": "extra_files", "requirements.txt": "requirements_file",
}  # fmt: skip
HANDLER = "import os\ndef handle(data, context):\n    if data and data[0].get('body') == b'die': os._exit(1)\n"
HANDLER += "    return ['ok'] * len(data or ())\n"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "folder").mkdir()
    for name in FILES:
        (tmp_path / name).write_text(HANDLER if name == "h.py" else "batchSize: 1\n")
    return Model(
        "m", handler=tmp_path / "h.py", serialized_file=tmp_path / "weights.pt", config_file=tmp_path / "config.yaml",
        requirements_file=tmp_path / "requirements.txt", extra_files=[tmp_path / "labels.txt", tmp_path / "folder"],
    )  # fmt: skip


#: Extra files may be folders, and what comes and goes in those is an edit.
EDITS = {("labels.txt", "a folder"), ("folder/inner.txt", "a folder"), ("folder/inner.txt", "gone")}
CASES = [(file, way) for file in FILES for way in WAYS if (file, way) not in EDITS]


@pytest.mark.parametrize(("file", "name"), CASES)
def test_is_told_in_one_sentence_and_what_is_loaded_stays(
    model: Model, tmp_path: Path, file: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, problem = WAYS[name]
    if way is may_not_be_read and os.geteuid() == 0:  # who may read everything
        readable = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path).stat().st_mode & 0o400 and readable(path, mode))
    with Worker(model) as worker:
        loaded = worker._loaded
        before = (tmp_path / file).read_text()
        way(tmp_path / file)
        message = f"^{FILES[file]} '{tmp_path / file}' {problem}$"
        for again in (worker.reload, lambda: worker.reload(force=True), lambda: worker.reload(batch_size=2)):
            with pytest.raises(ModelError, match=message):
                again()
        with pytest.raises(ModelError, match=message):
            Worker(model)
        assert worker._loaded is loaded
        assert worker.predict(Request()).response.text == "ok"
        if (tmp_path / file).is_dir():
            (tmp_path / file).rmdir()
        (tmp_path / file).unlink(missing_ok=True)
        (tmp_path / file).write_text(before)
        worker.reload()
        assert worker.predict(Request()).response.text == "ok"


def test_folder_that_is_gone(model: Model, tmp_path: Path) -> None:
    with Worker(model) as worker:
        shutil.rmtree(tmp_path / "folder")
        with pytest.raises(ModelError, match=f"^extra_files '{tmp_path / 'folder'}' does not exist$"):
            worker.reload()


@pytest.mark.usefixtures("no_pause")
def test_after_a_death_is_a_finding(model: Model, tmp_path: Path) -> None:
    with Worker(model) as worker:
        worker.predict(Request(body=b"die"))
        (tmp_path / "labels.txt").unlink()
        run = worker.predict(Request())
        assert run.response.status is None
        assert [found.name for found in run.findings] == ["no_worker", "file_gone"]
        assert "labels.txt' does not exist" in run.findings[1].message
        (tmp_path / "labels.txt").write_text("")
        assert worker.predict(Request()).response.text == "ok"


def test_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h.py").write_text(HANDLER)
    (tmp_path / "config.yaml").write_text("batchSize: 1\n")
    session = Session()
    session.model("m", handler="h.py", config_file="config.yaml")
    assert session.request("a").response.text == "ok"
    (tmp_path / "config.yaml").unlink()
    for call in (lambda: session.use("h.py"), lambda: session.request("a", batch=3), session.export, session.check):
        with pytest.raises(ModelError, match=r"^config_file '.*config.yaml' does not exist$"):
            call()
    assert session.request("a").response.text == "ok"
    session.close()


def test_disk_that_is_full(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copy", full)
    with pytest.raises(WorkerError, match=r"^the files of m cannot be staged: No space left on device$"):
        Worker(model)


def test_on_a_server(model: Model, tmp_path: Path) -> None:
    server = Server(model, target="here")
    (tmp_path / "labels.txt").unlink()
    with pytest.raises(ModelError, match=r"labels.txt' does not exist$"):
        server.start()
    assert not server.running
