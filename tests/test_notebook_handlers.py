"""What the notebooks put into archives: it runs on the official image, whose Python and torch are older."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch

from handlerkit import Model, Request, Server, Worker, check, targets, verify

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
MODELS = NOTEBOOKS / "models"
OFFICIAL = "torchserve-0.12.0-cpu"
TRAINING = ("coins_data", "train_coins", "train_gallery")  # the files of that folder that no archive holds
ARCHIVED = [file for file in sorted(MODELS.glob("*.py")) if file.stem not in TRAINING]
#: What a check says of code that is too new.
TOO_NEW = ("newer_python", "syntax_error", "unreadable_code", "notebook_syntax", "unchecked")


def cells(notebook: str) -> list[str]:
    """The sources of a notebook's code cells."""
    book = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4)
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


def write_files(notebook: str, folder: Path) -> Iterator[Path]:
    """Writes what the cells %%handler and %%module of a notebook write, and gives the handlers' files."""
    for source in cells(notebook):
        if found := re.match(r"%%(handler|module) (\S+)\n", source):
            file = folder / found[2]
            file.write_text(source[found.end() :])
            if found[1] == "handler":
                yield file


@pytest.mark.parametrize("notebook", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_handlers_are_of_the_official_images_python(notebook: str, tmp_path: Path) -> None:
    handlers = list(write_files(notebook, tmp_path))
    beside = {*tmp_path.glob("*.py"), *ARCHIVED}
    for handler in handlers:
        assert too_new(Model("m", handler=handler, extra_files=sorted(beside - {handler}))) == []


@pytest.mark.parametrize("file", ARCHIVED, ids=lambda file: file.stem)
def test_model_files_are_of_the_official_images_python(file: Path) -> None:
    assert too_new(Model("m", handler="base_handler", model_file=file, extra_files={*ARCHIVED} - {file})) == []


def too_new(model: Model) -> list[str]:
    return [str(one) for one in check(model, target=OFFICIAL).findings if one.name in TOO_NEW]


@pytest.mark.server
@pytest.mark.target
@pytest.mark.parametrize("name", ["segmenter", "detector"])
def test_archives_of_the_demo_answer_the_same_on_the_official_image(name: str, tmp_path: Path) -> None:
    assert len(list(write_files("quickstart", tmp_path))) == 3
    from skimage import data, io

    io.imsave(tmp_path / "coins.png", data.coins())
    model = Model(
        f"coins_{name}",
        handler=tmp_path / f"{name}.py",
        serialized_file=MODELS / f"coins_{name}.pt",
        extra_files=[MODELS / "index_to_name.json"],
    )
    requests = [Request.file(tmp_path / "coins.png", headers={"Accept": form}) for form in ("*/*", "image/png")]
    with Worker(model) as worker:
        run = worker.predict(requests[0]), worker.predict(requests[1])
    with Server(model, target=OFFICIAL) as server:
        assert server.environment.packages["torch"] == targets.find(OFFICIAL).pins["torch"]
        verdicts = [verify(one.raise_for_status(), server).rows[0].verdict for one in run]
    assert verdicts == ["identical", "identical"]


#: Loads TorchScript files, and writes what they answer to the inputs that lie beside them.
ANSWER = """
import sys, torch
for file in sys.argv[1:]:
    module = torch.jit.load(file)
    with torch.inference_mode():
        torch.save(module(torch.load(file + ".inputs")), file + ".answer")
"""


@pytest.mark.target
def test_torchscript_of_the_notebooks_answers_the_same_in_the_official_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 150, 200)
    inputs: dict[str, Any] = {
        "coins_segmenter": picture,
        "coins_detector": [picture[0]],
        "coins_boxes": picture,  # the notebooks on default handlers and on ways to load make these two
        "digits_script": torch.rand(2, 1, 8, 8),
    }
    shutil.copytree(MODELS, tmp_path / "models")
    (tmp_path / "built").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("models")
    for notebook in ("07_default_handlers", "06_ways_to_load"):
        (saving,) = [source for source in cells(notebook) if re.search(r"torch\.jit\.\w+\(.*\)\.save\(", source)]
        Path("saving.py").write_text(saving)
        runpy.run_path("saving.py", {"ways": tmp_path / "built", "torch": torch}, "__main__")
    files = sorted(Path(file) for name in inputs for file in tmp_path.glob(f"*/{name}.pt"))
    assert [file.stem for file in files] == ["coins_boxes", "digits_script", "coins_detector", "coins_segmenter"]
    for file in files:
        torch.save(inputs[file.stem], f"{file}.inputs")
    python = targets.find(OFFICIAL).build().interpreter
    subprocess.run([python, "-c", ANSWER, *files], check=True, timeout=150)
    for file in files:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore", FutureWarning)
            here = torch.jit.load(str(file))(inputs[file.stem])
        torch.testing.assert_close(torch.load(f"{file}.answer"), here)
