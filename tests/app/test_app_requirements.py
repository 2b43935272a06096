"""The requirements.txt of an app."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from handlerkit.app import App
from handlerkit.app.imports import imported
from handlerkit.errors import ModelError
from handlerkit.model import Model


def lines(app: App) -> set[str]:
    return {line.partition("  #")[0] for line in app.requirements().lines}


def names(app: App) -> set[str]:
    return {line.partition("=")[0].partition(">")[0] for line in lines(app)}


def test_the_runtime_and_what_torchserves_worker_imports(model) -> None:
    found = lines(App(model()))
    assert {"torchserve==0.12.*", "httptools>=0.6.1"} <= found
    assert {f"psutil=={version('psutil')}", f"pyyaml=={version('pyyaml')}"} <= found
    assert "captum" not in names(App(model("n")))


def test_what_torchserves_own_handler_imports() -> None:
    assert {"captum", "torchvision", "pillow", "packaging"} <= names(App(Model("m", handler="image_classifier")))


def test_the_targets_versions(model) -> None:
    app = App(model(source="import PIL.Image\n"), target="torchserve-0.12.0-cpu")
    assert {"pillow==10.3.0", "torch==2.4.0", "numpy==1.24.3"} <= lines(app)


def test_what_the_handler_imports_at_the_version_installed_here(model) -> None:
    assert f"pytest=={version('pytest')}" in lines(App(model(source="def handle(*_):\n    import pytest\n")))


def test_what_can_be_missing_is_not_required(model) -> None:
    source = "import typing\ntry:\n    import pytest\nexcept ImportError:\n    pytest = None\n"
    checked = "if typing.TYPE_CHECKING:\n    import hypothesis\n"
    assert names(App(model(source=source + checked))).isdisjoint({"pytest", "hypothesis"})


def test_a_module_of_the_archive_is_followed(model, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import pytest\n")
    found = imported(model(source="from helper import *\n", extra_files=tmp_path / "helper.py"))
    assert found["pytest"] == "helper.py, line 1"
    assert "helper" not in found


def test_the_models_own_line_comes_before_the_target(model, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pillow>=9\nemoji==2.0\n")
    found = lines(App(model(source="import PIL\n", requirements_file=tmp_path / "requirements.txt")))
    assert {"pillow>=9", "emoji==2.0"} <= found
    assert not any(line.startswith("pillow==") for line in found)


def test_given_lines_are_added(model) -> None:
    assert "emoji==2.0" in lines(App(model(), requirements=["emoji==2.0"]))


def test_paths_lead_into_the_models_folder(model, tmp_path: Path) -> None:
    (tmp_path / "own-1.0-py3-none-any.whl").write_text("")
    (tmp_path / "requirements.txt").write_text("./own-1.0-py3-none-any.whl\n")
    made = model(requirements_file=tmp_path / "requirements.txt", extra_files=tmp_path / "own-1.0-py3-none-any.whl")
    app = App(made)
    assert "./model/m/own-1.0-py3-none-any.whl" in lines(app)
    assert "COPY model/m model/m\n" in (app.save(tmp_path / "app") / "Dockerfile").read_text()


def test_models_that_contradict_each_other(model, tmp_path: Path) -> None:
    made = []
    for number in (1, 2):
        (tmp_path / f"r{number}.txt").write_text(f"emoji=={number}.0\n")
        made.append(model(f"m{number}", requirements_file=tmp_path / f"r{number}.txt"))
    with pytest.raises(ModelError, match=r"the models require emoji==1.0 and emoji==2.0: save them as two apps"):
        App(made).requirements()


def test_a_module_that_nothing_here_brings_is_told(model) -> None:
    (note,) = App(model(source="import no_such_module\n")).requirements().notes
    assert note == "handler.py, line 1 of m imports no_such_module, which no package installed here brings"


def test_a_handler_that_needs_the_kit_is_refused(model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"handler\.py, line 1 of m imports handlerkit, which an app does not hold"):
        App(model(source="import handlerkit\n")).save(tmp_path / "app")
