"""Models that come out of an archive, or are given as Models."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from handlerkit.archive import SUFFIXES, Archive
from handlerkit.errors import ArchiveError, ModelError
from handlerkit.model import Model
from handlerkit.notebook.session import Session

TELLS = """
from helper import WORD

def handle(data, context):
    return data and [f"{WORD} {context.manifest['model']['modelVersion']}" for row in data]
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "tells.py").write_text(TELLS)
    (folder / "helper.py").write_text("WORD = 'archived'\n")
    return Model("told", "2.5", handler=folder / "tells.py", extra_files=folder / "helper.py")


@pytest.fixture
def archive(model: Model, tmp_path: Path) -> Path:
    return Archive(model).save(tmp_path / "store")


@pytest.mark.parametrize("archive_format", SUFFIXES)
def test_archive_is_served(session: Session, model: Model, tmp_path: Path, archive_format: str) -> None:
    path = Archive(model, archive_format).save(tmp_path / "store")
    shown = repr(session.model(archive=path))
    assert shown.startswith("told 2.5, handler tells.py")
    assert session.request("x").response.text == "archived 2.5"


def test_archive_on_the_magic_s_line(notebook, session: Session, archive: Path) -> None:
    cell = notebook(f"%model --archive {archive} --batch-size 2")
    assert cell.error is None
    assert notebook("%request --batch 2").value.responses[1].text == "archived 2.5"
    assert session.worker.batch_size == 2


def test_archive_under_another_name(session: Session, archive: Path) -> None:
    assert repr(session.model("other", archive=archive)).startswith("other 2.5")
    assert session.request("x").model == "other"


def test_archive_is_verified_as_it_is(session: Session, archive: Path) -> None:
    session.model(archive=archive)
    assert session._models.current.written_archive() == archive


def test_handler_of_an_archive_is_written_anew(notebook, archive: Path, tmp_path: Path) -> None:
    notebook(f"%model --archive {archive}")
    cell = notebook(f"%%handler tells.py{TELLS.replace('{WORD}', 'new {WORD}')}")
    assert cell.error is None
    assert notebook("%request").value.response.text == "new archived 2.5"
    exported = notebook(f"%export {tmp_path / 'again'}").value
    assert sorted(exported.files) == ["helper.py", "tells.py"]


def test_helper_of_an_archive_is_written_anew(notebook, archive: Path) -> None:
    notebook(f"%model --archive {archive}")
    cell = notebook("%%module helper.py\nWORD = 'my own'\n")
    assert cell.error is None
    assert notebook("%request").value.response.text == "my own 2.5"


def test_files_are_removed_when_the_name_begins_anew(session: Session, archive: Path, temporary: Path) -> None:
    session.model(archive=archive)
    (first,) = temporary.glob("hk-*")
    session.model(archive=archive)
    (second,) = temporary.glob("hk-*")
    assert first != second
    session.close()
    assert list(temporary.glob("hk-*")) == []


def test_archive_that_is_refused_leaves_the_current_model(session: Session, archive: Path, temporary: Path) -> None:
    session.model(archive=archive)
    before = list(temporary.iterdir())
    (archive.parent / "bad.mar").write_bytes(b"PK no zip")
    with pytest.raises(ArchiveError, match=r"bad\.mar is not a model archive"):
        session.model(archive=archive.parent / "bad.mar")
    with pytest.raises(ModelError, match="cannot name a model"):
        session.model("no name", archive=archive)
    assert list(temporary.iterdir()) == before
    assert session.request("x").response.text == "archived 2.5"


def test_model_object(session: Session, model: Model) -> None:
    assert repr(session.model(model, batch_size=2)).startswith("told 2.5, handler tells.py")
    assert session.request("x", batch=2).responses[0].text == "archived 2.5"
    assert session.export().files == ("helper.py", "tells.py")


@pytest.mark.parametrize("handler", ["h.py", "h", "h:go", "image_classifier", "handlerkit:classifier"])
def test_options_make_the_model_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handler: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("h.py", "w.pt", "r.txt", "c.yaml", "x.txt"):
        Path(name).touch()
    model = Model(
        "m", "3", handler=handler, serialized_file="w.pt", extra_files="x.txt", requirements_file="r.txt",
        config_file="c.yaml", runtime="python3",
    )  # fmt: skip
    again = Model("m", **model.options())
    assert again.manifest() | {"createdOn": 0} == model.manifest() | {"createdOn": 0}
    assert again.entries() == model.entries()


def test_options_go_with_neither(session: Session, model: Model, archive: Path) -> None:
    for given in ({"archive": archive}, {"name": model}):
        with pytest.raises(ModelError, match="bring their own version and files: leave the other options out"):
            session.model(**given, handler="base_handler")
    with pytest.raises(ModelError, match="leave the archive out"):
        session.model(model, archive=archive)


@pytest.mark.parametrize("option", ["handler", "serialized_file", "model_file", "requirements_file", "config_file"])
def test_archive_in_the_place_of_another_file(session: Session, archive: Path, option: str) -> None:
    with pytest.raises(ModelError, match=rf"^{option} '.*told\.mar' is an archive: use %model --archive .*told\.mar"):
        session.model("m", **{option: str(archive)})


def test_archive_among_the_extra_files(session: Session, archive: Path) -> None:
    with pytest.raises(ModelError, match=r"^extra_files '.*told\.mar' is an archive: use %model --archive"):
        session.model("m", extra_files=str(archive))


def test_archive_for_a_handler(session: Session, archive: Path) -> None:
    with pytest.raises(ModelError, match=r"is an archive: use %model --archive"):
        session.use(archive)


def test_archive_for_a_name(notebook, archive: Path) -> None:
    cell = notebook("%model told.mar")
    assert str(cell.error) == "told.mar names an archive: use %model --archive told.mar"
