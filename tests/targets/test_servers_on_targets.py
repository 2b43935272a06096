"""A real TorchServe whose workers run in a target's environment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlerkit.archive import Archive
from handlerkit.endpoints.server import Server
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError, ServerError, TargetError
from handlerkit.messages import Request, Run
from handlerkit.model import Model
from handlerkit.notebook.session import Session
from handlerkit.targets import find, remove
from handlerkit.verify import verify
from handlerkit.view import bundle

pytestmark = pytest.mark.server

#: iniconfig comes with pytest: it is here, and nothing of the target base needs it.
LAZY = """
def handle(data, context):
    if data is None:
        return None
    import iniconfig
    return [iniconfig.IniConfig.__name__] * len(data)
"""
TELLS = """
import json, os, sys
import torch

def handle(data, context):
    if data is None:
        return None
    told = {
        "version": sys.version.split()[0], "prefix": sys.prefix, "torch": torch.__version__, "path": sys.path,
        "environment": dict(os.environ),
    }
    return [json.dumps(told)] * len(data)
"""


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "lazy.py").write_text(LAZY)
    return Model("lazy", handler=tmp_path / "lazy.py")


@pytest.fixture
def declaring(tmp_path: Path) -> Model:
    (tmp_path / "declaring.py").write_text(LAZY)
    (tmp_path / "requirements.txt").write_text("iniconfig\n")
    return Model("declaring", handler=tmp_path / "declaring.py", requirements_file=tmp_path / "requirements.txt")


@pytest.fixture
def telling(tmp_path: Path) -> Model:
    (tmp_path / "tells.py").write_text(TELLS)
    return Model("tells", handler=tmp_path / "tells.py")


def told(run: Run) -> dict[str, Any]:
    assert run.ok, run.response.text
    found: dict[str, Any] = json.loads(run.response.text)
    return found


def test_undeclared_import_works_here_and_fails_on_declared(model: Model) -> None:
    request = Request.text("x")
    with Server(model, target="here") as server:
        assert server.predict(request).response.text == "IniConfig"
    with Server(model) as server:
        run = server.predict(request)
    assert run.response.status == 503
    assert (run.findings[0].name, run.findings[0].where[:15]) == ("undeclared", "lazy.py, line 5")
    assert "Name iniconfig in the requirements file" in run.findings[0].fix


def test_undeclared_import_of_the_file_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "eager.py").write_text("import iniconfig\n" + LAZY)
    with pytest.raises(LoadError) as raised:
        Server(Model("eager", handler=tmp_path / "eager.py")).start()
    assert [found.name for found in raised.value.findings] == ["undeclared"]
    assert raised.value.findings[0].where.startswith("eager.py, line 1")


@pytest.mark.parametrize("archived", [False, True])
def test_declared_requirement_is_there(declaring: Model, tmp_path: Path, archived: bool) -> None:
    source = Archive(declaring).save(tmp_path / "store") if archived else declaring
    with Server(source) as server:
        assert server.predict(Request.text("x")).response.text == "IniConfig"


def test_requirement_that_is_not_here_is_told_before_java_starts(declaring: Model) -> None:
    (declaring.requirements_file or Path()).write_text("nobody-has-this\n")
    server = Server(declaring)
    with pytest.raises(TargetError, match="nobody-has-this, and it is not installed here"):
        server.start()
    assert server.log() == ""


def test_environment_of_the_caller_does_not_leak_in(telling: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONUSERBASE"):
        monkeypatch.setenv(name, "/the/callers/own")
    with Server(telling) as server:
        environment = server.environment
        found = told(server.predict(Request.text("x")))
    assert found["prefix"].endswith("/environment")
    assert any(path.startswith(str(environment.folder)) for path in found["path"])
    assert [name for name, value in found["environment"].items() if "/the/callers/own" in value] == []
    assert found["environment"]["PATH"].split(":")[0] == f"{found['prefix']}/bin"
    assert found["environment"]["VIRTUAL_ENV"] == found["prefix"]


def test_python3_runtime_is_that_of_the_target_too(tmp_path: Path) -> None:
    (tmp_path / "tells.py").write_text(TELLS)
    with Server(Model("tells", handler=tmp_path / "tells.py", runtime="python3")) as server:
        found = told(server.predict(Request.text("x")))
        assert any(path.startswith(str(server.environment.folder)) for path in found["path"])


INSTALLS = """
import importlib, os, subprocess, sys

def install(words):
    program = os.path.join(sys.prefix, "bin", words[0])  # and no other's, where it is not there
    subprocess.run([program, *words[1:], "--no-index", "--find-links", WHEELS, "tiny"], check=True)

def handle(data, context):
    if data is None:
        if HOW:
            install(HOW)
            subprocess.run([sys.executable, "-m", "pip", "uninstall", "--yes", "packaging"], check=True)
        return None
    importlib.invalidate_caches()
    import packaging
    return [importlib.util.find_spec("tiny") is not None and __import__("tiny").NAME] * len(data)
"""


@pytest.mark.parametrize("how", [["pip", "install"], ["python", "-m", "pip", "install", "--upgrade"]], ids=" ".join)
def test_what_a_handler_installs_goes_with_the_server(tmp_path: Path, wheels: Path, how: list[str]) -> None:
    def served(how: list[str]) -> tuple[str, bool, Path]:
        (tmp_path / "h.py").write_text(f"HOW, WHEELS = {how!r}, {str(wheels)!r}\n{INSTALLS}")
        (tmp_path / "requirements.txt").write_text("pip\npackaging\n")
        model = Model("m", handler=tmp_path / "h.py", requirements_file=tmp_path / "requirements.txt")
        with Server(model) as server:
            folder = server.environment.folder
            assert folder is not None
            return server.predict(Request.text("x")).response.text, server.has_more_packages, folder

    assert served([])[:2] == ("false", False)
    answer, has_more_packages, folder = served(how)
    assert (answer, has_more_packages) == ("tiny", True)
    assert not list(folder.rglob("tiny*"))
    assert served([])[:2] == ("false", False)


def test_models_of_one_server_share_its_environment(model: Model, declaring: Model) -> None:
    with Server([model, declaring]) as server:
        paths = [f"/predictions/{name}" for name in ("lazy", "declaring")]
        assert [server.predict(Request.text("x", path=path)).response.text for path in paths] == ["IniConfig"] * 2


def test_model_that_comes_later_brings_its_requirements(declaring: Model, model: Model) -> None:
    with Server([]) as server:
        before = server.environment
        server.register(declaring)
        assert server.predict(Request.text("x")).response.text == "IniConfig"
        assert server.environment != before
        server.unregister("declaring")
        server.register(model)
        assert not server.predict(Request.text("x")).ok
        assert server.environment == before


def test_model_that_needs_another_environment_is_refused_beside_others(model: Model, declaring: Model) -> None:
    with Server(model) as server:
        with pytest.raises(
            TargetError, match=r"declaring asks for another environment than the one in which lazy runs"
        ):
            server.register(declaring)
        assert server.running
        assert server.models == ("lazy",)


def test_environment_in_use_is_not_removed(telling: Model) -> None:
    with Server(telling) as server:
        with pytest.raises(TargetError, match="declared is in use"):
            remove("declared")
        assert server.predict(Request.text("x")).ok
    assert remove("declared") == ("declared",)


def test_environment_is_told_after_the_start() -> None:
    with pytest.raises(ServerError, match="was not started yet"):
        _ = Server([]).environment


def test_target_without_torchserve_is_told(tmp_path: Path, wheels: Path, telling: Model) -> None:
    (tmp_path / "image.txt").write_text(f"--no-index\n--find-links {wheels}\ntiny\n")
    with pytest.raises(TargetError, match=r"image.txt has no TorchServe to serve with: it needs torchserve==0\.12\.0"):
        Server(telling, target=tmp_path / "image.txt").start()


def tiny(folder: Path, wheels: Path) -> Model:
    """A model that brings the wheel of what it imports."""
    shutil.copy(next(wheels.iterdir()), folder)
    (folder / "r.txt").write_text("--no-index\n--find-links .\ntiny==1.0\n")
    (folder / "h.py").write_text(LAZY.replace("iniconfig.IniConfig.__name__", "tiny.NAME").replace("iniconfig", "tiny"))
    return Model(
        "tiny", handler=folder / "h.py", requirements_file=folder / "r.txt",
        extra_files=[folder / "tiny-1.0-py3-none-any.whl"],
    )  # fmt: skip


def test_torchserve_installs_what_is_asked_for_where_it_is_told_to(tmp_path: Path, wheels: Path) -> None:
    with Server(tiny(tmp_path, wheels), {"install_py_dep_per_model": True}) as server:
        assert server.predict(Request.text("x")).response.text == "tiny"
        assert "tiny" not in server.environment.packages


def test_report_names_the_environment(telling: Model, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("def handle(data, context):\n    return data and ['x'] * len(data)\n")
    plain = Model("plain", handler=tmp_path / "plain.py")
    with Worker(plain) as worker, Server(plain) as server:
        report = verify(worker.predict(Request.text("x")), server)
    place = f"TorchServe 0.12.0, {find('declared').build()}"
    assert report
    assert repr(report) == f"<Report {place}: 1 identical>"
    assert bundle(report)["text/plain"].splitlines()[0] == f"verified on {place}: 1 identical"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.chdir(tmp_path)
    session = Session()
    yield session
    session.close()


def test_target_of_a_check_is_above_the_models(session: Session, tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text(LAZY)
    session.model("lazy", handler="lazy.py", target="here")
    session.request("x")
    session.export()
    report = session.verify()
    assert report
    assert report.environment is not None
    assert report.environment.target == "here"
    assert not session.verify(target="declared")
    assert session.verify()


def test_check_builds_anew_when_a_requirement_was_installed_since(session: Session, tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text(LAZY)
    (tmp_path / "r.txt").write_text("iniconfig>=1000\n")
    session.model("lazy", handler="lazy.py", requirements_file="r.txt")
    session.request("x")
    session.export()
    with pytest.raises(TargetError, match="iniconfig>=1000"):
        session.verify()
    (tmp_path / "r.txt").write_text("iniconfig\n")
    session.export(force=True)
    assert session.verify()


def test_target_that_is_none_is_told_when_the_model_is_chosen(session: Session, tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text(LAZY)
    with pytest.raises(TargetError, match="there is no target 'nowhere'"):
        session.model("lazy", handler="lazy.py", target="nowhere")


@pytest.mark.target
def test_official_image_answers_with_its_own_python_and_torch(telling: Model) -> None:
    with Server(telling, target="torchserve-0.12.0-cpu") as server:
        found = told(server.predict(Request.text("x")))
        environment = server.environment
    assert found["version"] == environment.python_version
    assert found["torch"].split("+")[0] == environment.packages["torch"] == "2.4.0"


@pytest.mark.target
def test_official_image_installs_the_requirements_of_an_archive(tmp_path: Path, wheels: Path) -> None:
    with Server(tiny(tmp_path, wheels), target="torchserve-0.12.0-cpu") as server:
        assert server.predict(Request.text("x")).response.text == "tiny"


@pytest.mark.target
def test_official_image_knows_no_newer_python(tmp_path: Path) -> None:
    (tmp_path / "h.py").write_text(
        "def handle(data, context: 'x'):\n    return data and [str(int | None)] * len(data)\n"
    )
    with Server(Model("m", handler=tmp_path / "h.py"), target="torchserve-0.12.0-cpu") as server:
        run = server.predict(Request.text("x"))
    assert run.response.status == 503
