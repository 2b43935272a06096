"""Models that are described in a file: how it is read, found and written."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

import handlerkit as hk
from handlerkit.errors import ModelError
from handlerkit.notebook import project
from handlerkit.notebook.session import Session

HANDLER = "def handle(data, context):\n    return ['ok'] * len(data) if data else None\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a handler and an extra file."""
    (tmp_path / "h.py").write_text(HANDLER)
    (tmp_path / "names.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def session() -> Any:
    made = Session()
    yield made
    made.close()


def described(text: str, file: str = "handlerkit.toml") -> dict[str, dict[str, Any]]:
    Path(file).write_text(text)
    return project.read(file)


def test_the_words_are_those_of_the_magic(notebook) -> None:
    words = '--handler h.py --extra-files names.json --batch-size 4 --config-property a=1 --env "LEVEL=3" --force'
    text = (
        'name = "coins"\nhandler = "h.py"\nextra-files = ["names.json"]\nbatch-size = 4\n'
        'config-property = {a = 1}\nenv = ["LEVEL=3"]\nforce = true\n'
    )
    from handlerkit.notebook.commands.model import MODEL

    of_magic = MODEL.parser().read_line(f"coins {words}")
    of_file = described(text)["coins"]
    assert of_file == {key: value for key, value in of_magic.items() if key in of_file}
    assert of_magic.keys() - of_file.keys() == {"file", "model_name"}


def test_several_models_have_their_tables_names() -> None:
    found = described('[models.a]\nhandler = "h.py"\n[models.b]\nhandler = "image_classifier"\nversion = "2"\n')
    assert [(name, one["handler"], one["version"]) for name, one in found.items()] == [
        ("a", "h.py", "1.0"),
        ("b", "image_classifier", "2"),
    ]
    assert project.choose("handlerkit.toml", "b") == found["b"]


def test_a_pyproject_has_a_table_of_its_own() -> None:
    found = described('[project]\nname = "x"\n[tool.handlerkit]\nname = "coins"\nhandler = "h.py"\n', "pyproject.toml")
    assert list(found) == ["coins"]


def test_paths_are_relative_to_the_file(folder: Path) -> None:
    (folder / "below").mkdir()
    text = 'name = "m"\nhandler = "h.py"\nextra-files = ["names.json", "/x"]\ntarget = "image.txt"\narchive = "a.mar"\n'
    found = described(text, "below/handlerkit.toml")["m"]
    assert (found["handler"], found["extra_files"]) == ("below/h.py", ["below/names.json", "/x"])
    assert (found["target"], found["archive"]) == ("below/image.txt", "below/a.mar")


@pytest.mark.parametrize("word", ["image_classifier", "handlerkit:classifier"])
def test_names_that_are_no_files_stay(folder: Path, word: str) -> None:
    (folder / "below").mkdir()
    found = described(f'name = "m"\nhandler = "{word}"\ntarget = "here"\n', "below/handlerkit.toml")["m"]
    assert (found["handler"], found["target"]) == (word, "here")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name =", r"handlerkit.toml is no TOML: invalid value \(at end of document\)"),
        ("\xff", "handlerkit.toml is no TOML: 'utf-8' codec can't decode"),
        ("", "handlerkit.toml describes no model"),
        ('handler = "h.py"', "handlerkit.toml names no model"),
        ('name = "a"\nhandlr = "h.py"', "handlr is no word of %model; did you mean handler?"),
        ('name = "a"\nfile = "x.toml"', "file is no word of %model"),
        ('name = "a"\nhelp = true', "help is no word of %model"),
        ('name = "a"\nbatch-size = 0', "batch-size: '0' is not a whole number from 1 on"),
        ('name = "a"\nbatch-size = "many"', "batch-size: 'many' is not a whole number"),
        ('name = "a"\nruntime = "java"', "runtime: invalid choice: 'java'"),
        ('name = "a"\nhandler = ["h.py"]', r"handler is a text or a number, not \['h.py'\]"),
        ('name = "a"\nforce = "yes"', "force is true or false, not 'yes'"),
        ('name = "a"\nenv = ["NOT_SET_ANYWHERE"]', "'NOT_SET_ANYWHERE' is not set here"),
        ("models = 3", r"models are tables, such as \[models.coins\], not 3"),
        ('[models.a]\nname = "b"', r"\[models.a\] has another name, b"),
        ('name = "a"\n[models.a]\n', "describes two models of one name; there is a"),
    ],
)
def test_a_slip_is_one_sentence(text: str, says: str) -> None:
    Path("handlerkit.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=says) as problem:
        project.read("handlerkit.toml")
    assert "\n" not in str(problem.value)


def test_a_number_with_a_point_is_as_it_is_written() -> None:
    found = described('name = "m"\nversion = 1.10\nconfig-property = {a = 1.50}\n')["m"]
    assert (found["version"], found["config_properties"]) == ("1.10", {"a": "1.50"})


def test_a_list_of_files_is_not_split_at_commas() -> None:
    assert described('name = "m"\nextra-files = ["a,b.json", "c"]\n')["m"]["extra_files"] == ["a,b.json", "c"]
    assert described('name = "m"\nextra-files = "a,b.json"\n')["m"]["extra_files"] == ["a", "b.json"]


def test_a_file_name_with_a_comma_is_saved_and_read(session: Session) -> None:
    Path("a,b.json").write_text("{}")
    session.model("m", handler="h.py", extra_files=["a,b.json"])
    assert project.read(session.save().path)["m"]["extra_files"] == ["a,b.json"]


def test_a_broken_pyproject_of_others_is_left_alone(folder: Path) -> None:
    (folder / "below").mkdir()
    described('name = "m"\nhandler = "h.py"\n')
    Path("below/pyproject.toml").write_text("[project\n")
    assert project.find("below") == Path("../handlerkit.toml")
    Path("below/pyproject.toml").write_text("[tool.handlerkit\n")
    with pytest.raises(ModelError, match=r"pyproject.toml is no TOML"):
        project.find("below")


def test_one_of_several_is_named() -> None:
    described('[models.coins]\nhandler = "h.py"\n[models.leaves]\nhandler = "h.py"\n')
    with pytest.raises(ModelError, match="describes several models: name one of coins, leaves"):
        project.choose("handlerkit.toml", None)
    with pytest.raises(ModelError, match=r"describes no model 'coin', but coins, leaves; did you mean coins\?"):
        project.choose("handlerkit.toml", "coin")


def test_the_next_file_above_is_found(folder: Path) -> None:
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    assert project.find(inner) is None
    (folder / "pyproject.toml").write_text("[tool.handlerkit]\n")
    assert project.find(inner) is None  # nothing is described in it
    (folder / "pyproject.toml").write_text('[tool.handlerkit]\nname = "m"\n')
    assert project.find(inner) == folder / "pyproject.toml"
    (folder / "handlerkit.toml").touch()
    assert project.find(inner) == folder / "handlerkit.toml"
    (folder / "a" / "pyproject.toml").write_text('[tool.handlerkit]\nname = "m"\n')
    os.chdir(inner)
    assert project.find() == Path("../pyproject.toml")


def test_the_session_reads_it(session: Session) -> None:
    described('[models.a]\nhandler = "h.py"\nbatch-size = 2\n[models.b]\nhandler = "h.py"\n')
    assert str(session.model("a", file="handlerkit.toml")).startswith("a 1.0, handler h.py")
    assert session.request({"x": 1}, batch=2).ok
    with pytest.raises(ModelError, match="says all of the model: leave the other options out"):
        session.model("a", file="handlerkit.toml", batch_size=4)


def test_the_magic_reads_it(notebook) -> None:
    described('name = "a"\nhandler = "h.py"\n')
    assert str(notebook("%model --file handlerkit.toml").value).startswith("a 1.0, handler h.py")
    assert "there is no such" not in notebook("%model --file no.toml").stderr


def test_what_is_saved_is_read_as_it_was(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "secret")
    options: dict[str, Any] = {
        "version": "3", "handler": "h.py", "extra_files": ["names.json"], "batch_size": 4,
        "config_properties": {"service_envelope": "json"}, "environment": {"FROM_HERE": "secret", "LEVEL": "3"},
        "target": "here", "export_path": "store", "force": True,
    }  # fmt: skip
    session.model("coins", **options)
    saved = session.save()
    assert repr(saved) == (
        "handlerkit.toml describes coins: %model coins --file handlerkit.toml reads it, and handlerkit on the command "
        "line"
    )
    assert "secret" not in saved.path.read_text()
    again = project.read(saved.path)["coins"]
    assert {key: again[key] for key in options} == options
    assert all(not value for key, value in again.items() if key not in options | {"name": "", "runtime": ""})


def test_paths_are_saved_from_the_files_folder(session: Session, folder: Path) -> None:
    (folder / "below").mkdir()
    session.model("m", handler=str(folder / "h.py"))
    session.save("below/handlerkit.toml")
    assert tomllib.loads(Path("below/handlerkit.toml").read_text())["handler"] == "../h.py"


def test_saving_leaves_comments_order_and_other_tables(session: Session) -> None:
    text = (
        '# our models\n[project]\nname = "x"  # the project\n\n[tool.handlerkit.models.other]\nhandler = "h.py"\n\n'
        '[tool.handlerkit.models.m]\nbatch_size = 2  # small\nhandler = "old.py"\nversion = "9"\n\n[tool.ruff]\n'
    )
    Path("pyproject.toml").write_text(text)
    session.model("m", handler="h.py", batch_size=2)
    session.save("pyproject.toml")
    assert Path("pyproject.toml").read_text() == text.replace("old.py", "h.py").replace('version = "9"\n', "")


def test_a_file_of_another_model_is_left(session: Session) -> None:
    Path("handlerkit.toml").write_text('name = "other"\nhandler = "h.py"\n')
    session.model("m", handler="h.py")
    with pytest.raises(ModelError, match=r"^handlerkit.toml describes another model, other: save to another"):
        session.save()
    assert Path("handlerkit.toml").read_text() == 'name = "other"\nhandler = "h.py"\n'


@pytest.mark.parametrize("file", ["no/handlerkit.toml", "broken.toml"])
def test_a_file_that_cannot_be_written_is_one_sentence(session: Session, file: str) -> None:
    Path("broken.toml").write_text("name =")
    session.model("m", handler="h.py")
    with pytest.raises(ModelError, match=r"cannot be written: No such file|is no TOML: "):
        session.save(file)


def test_a_model_of_an_archive_is_saved_as_that(session: Session) -> None:
    hk.Archive(hk.Model("m", handler="h.py")).save("store")
    session.model(archive="store/m.mar", batch_size=2)
    session.save()
    assert tomllib.loads(Path("handlerkit.toml").read_text()) == {
        "name": "m", "archive": "store/m.mar", "batch-size": 2,
    }  # fmt: skip
    session.use("h.py")
    with pytest.raises(ModelError, match="m came out of an archive and has changed since"):
        session.save()
