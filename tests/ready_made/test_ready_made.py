"""The ready-made handlers as files: what they are called, what they import, how they are exported."""

from __future__ import annotations

import ast
import sys
import zipfile
from pathlib import Path

import pytest
from ready_made_pictures import OFFICIAL

from handlerkit import Archive, Model, check
from handlerkit.errors import ModelError
from handlerkit.model import READY_MADE, READY_MADE_FOLDER, ready_made, ready_made_modules

SHARED = sorted({path for name in READY_MADE for path in ready_made_modules(ready_made(name))})
ALLOWED = {"ts", "torch", "torchvision", "numpy", "PIL", *(path.stem for path in SHARED), *sys.stdlib_module_names}
#: What a handler of texts imports where it loads its model, and says so in a sentence where it is missing.
TEXTS = {"transformers"}


def test_names_are_the_files_of_the_folder() -> None:
    files = {path.stem for path in READY_MADE_FOLDER.glob("*.py")}
    assert files == {*READY_MADE, *(path.stem for path in SHARED), "__init__"}


@pytest.mark.parametrize("file", [*map(ready_made, READY_MADE), *SHARED], ids=lambda file: file.stem)
def test_imports_what_a_server_has(file: Path) -> None:
    tree = ast.parse(file.read_text())
    nodes = list(ast.walk(tree))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    lazily = TEXTS if file.stem == "text_requests" else set()
    assert {name.partition(".")[0] for name in imported} <= ALLOWED | lazily
    assert not any(isinstance(node, ast.Import) and node.names[0].name in TEXTS for node in tree.body)


@pytest.mark.parametrize("name", READY_MADE)
def test_the_official_image_can_run_it(name: str) -> None:
    weights = Path(__file__).parents[2] / "notebooks" / "models" / "coins_segmenter.pt"
    findings = check(Model("m", handler=f"handlerkit:{name}", serialized_file=weights), target=OFFICIAL).findings
    assert {one.where.partition(",")[0] for one in findings} == ({"text_requests.py"} if "text" in name else set())


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
def test_exports_as_it_is_with_its_module(name: str, tmp_path: Path) -> None:
    model = Model("m", handler=f"handlerkit:{name}")
    assert model.manifest()["model"]["handler"] == f"{name}.py"
    with zipfile.ZipFile(Archive(model).save(tmp_path)) as archive:
        shared = {path.name for path in ready_made_modules(ready_made(name))}
        assert set(archive.namelist()) == {f"{name}.py", *shared, "MAR-INF/MANIFEST.json"}
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
