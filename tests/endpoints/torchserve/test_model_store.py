"""Models in a model store: names, places, and where they are unpacked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from handlerkit.archive import Archive
from handlerkit.endpoints.torchserve.model_store import existing, name_of, place, unpacked
from handlerkit.errors import ArchiveError
from handlerkit.model import Model


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "echo.py").write_text("def handle(data, context): return data\n")
    return Model("echo", handler=tmp_path / "echo.py")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def test_archive_is_linked_and_a_model_staged(model: Model, store: Path, tmp_path: Path) -> None:
    archive = existing(Archive(model).save(tmp_path))
    assert place(1, archive, store).resolve() == archive
    staged = place(2, model, store)
    assert staged == store / "echo"
    assert (staged / "MAR-INF" / "MANIFEST.json").is_file()


def test_second_of_a_name_has_a_place_of_its_own(model: Model, store: Path) -> None:
    assert [place(number, model, store).name for number in (1, 2)] == ["echo", "2-echo"]


def test_what_is_there_no_more_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        existing(tmp_path / "gone.mar")


def test_name_is_the_models_or_the_files(model: Model) -> None:
    assert [name_of(model), name_of(Path("store/coins.tar.gz"))] == ["echo", "coins"]


def test_last_folder_is_that_of_the_last_model(tmp_path: Path) -> None:
    for age, name in enumerate(("old", "new")):
        (tmp_path / "models" / name).mkdir(parents=True)
        os.utime(tmp_path / "models" / name, (age, age))
    assert unpacked(tmp_path, "coins.mar") == tmp_path / "models" / "new"
    (tmp_path / "models" / "new" / "coins").mkdir()  # a folder of the store, linked
    os.utime(tmp_path / "models" / "new", (2, 2))
    assert unpacked(tmp_path, "coins") == tmp_path / "models" / "new" / "coins"
