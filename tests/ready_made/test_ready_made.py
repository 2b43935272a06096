"""The ready-made handlers as files: what they are called, what they import, how they are exported."""

from __future__ import annotations

import ast
import sys
import zipfile
from pathlib import Path

import pytest
from image_answers import class_color
from ready_made_pictures import OFFICIAL

from handlerkit import Archive, Model, check
from handlerkit.errors import ModelError
from handlerkit.model import READY_MADE, READY_MADE_FOLDER, ready_made, ready_made_modules
from handlerkit.view.draw.palette import palette

FILES = sorted(READY_MADE_FOLDER.glob("[!_]*.py"))
ALLOWED = {"ts", "torch", "torchvision", "numpy", "PIL", *(file.stem for file in FILES), *sys.stdlib_module_names}


def test_names_are_files_and_the_others_travel_with_one() -> None:
    modules = {module for name in READY_MADE for module in ready_made_modules(ready_made(name))}
    assert {*map(ready_made, READY_MADE), *modules} == set(FILES)
    assert modules.isdisjoint(map(ready_made, READY_MADE))


def test_a_handler_takes_the_modules_that_it_needs_alone() -> None:
    modules = {module.name for module in ready_made_modules(ready_made("classifier"))}
    assert {"image_handler.py", "image_requests.py", "handler_settings.py"} <= modules  # the last through the first
    assert "detection_forms.py" not in modules


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_imports_what_a_server_has(file: Path) -> None:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    imported = {name.partition(".")[0] for name in imported}
    assert imported <= ALLOWED | ({"transformers"} if file.stem == "text_requests" else set())


def test_transformers_is_imported_where_a_model_is_loaded() -> None:
    tree = ast.parse((READY_MADE_FOLDER / "text_requests.py").read_text())
    assert "transformers" not in {alias.name for one in tree.body if isinstance(one, ast.Import) for alias in one.names}


@pytest.mark.parametrize("name", READY_MADE)
def test_the_official_image_can_run_it(name: str) -> None:
    weights = Path(__file__).parents[2] / "notebooks" / "models" / "coins_segmenter.pt"
    findings = check(Model("m", handler=f"handlerkit:{name}", serialized_file=weights), target=OFFICIAL).findings
    found = {(one.name, one.message.partition(" ")[0]) for one in findings}
    assert found == ({("missing_module", "transformers")} if "text" in name else set())  # which is to be declared


@pytest.mark.parametrize("name", READY_MADE)
def test_one_class_a_file_with_its_request_answer_and_settings_told(name: str) -> None:
    (kind,) = [node for node in ast.parse(ready_made(name).read_text()).body if isinstance(node, ast.ClassDef)]
    told = ast.get_docstring(kind) or ""
    assert all(word in told for word in ("Request: ", "Answer, by the Accept header:", "Settings, in the section"))
    (settings,) = [
        node.value
        for node in kind.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.targets[0]) == "SETTINGS"
    ]
    listed = told.partition("Settings, in the section")[2]
    assert [keyword.arg for keyword in settings.keywords if str(keyword.arg) not in listed] == []


@pytest.mark.parametrize("name", READY_MADE)
def test_exports_as_it_is_with_its_modules(name: str, tmp_path: Path) -> None:
    model = Model("m", handler=f"handlerkit:{name}")
    assert model.manifest()["model"]["handler"] == f"{name}.py"
    with zipfile.ZipFile(Archive(model).save(tmp_path)) as archive:
        modules = {module.name for module in ready_made_modules(ready_made(name))}
        assert set(archive.namelist()) == {f"{name}.py", *modules, "MAR-INF/MANIFEST.json"}
        assert archive.read(f"{name}.py") == ready_made(name).read_bytes()


@pytest.mark.parametrize("name", ["detector", "", "image_requests", "classifier.py"])
def test_unknown_name_lists_those_there_are(name: str) -> None:
    listed = ", ".join(READY_MADE)
    with pytest.raises(ModelError, match=f"^there is no ready-made handler '{name}': choose one of {listed}$"):
        Model("m", handler=f"handlerkit:{name}")


def test_a_users_file_of_the_modules_name_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "image_requests.py"
    mine.touch()
    with pytest.raises(ModelError, match="rename one of them"):
        Model("m", handler="handlerkit:classifier", extra_files=mine)


def test_classes_have_the_colors_of_the_kits_views() -> None:
    assert [class_color(index) for index in range(20)] == list(palette()[:20])
