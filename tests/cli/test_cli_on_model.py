"""What a command works on."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runs import FINE

from handlerkit.cli import on_model
from handlerkit.errors import ModelError


@pytest.fixture
def described(folder: Path) -> Path:
    """Two models in handlerkit.toml."""
    (folder / "one.py").write_text(FINE)
    (folder / "other.py").write_text(FINE)
    file = folder / "handlerkit.toml"
    file.write_text('[models.first]\nhandler = "one.py"\nbatch-size = 4\n[models.second]\nhandler = "other:handle"\n')
    return file


@pytest.mark.parametrize("word", ["x.mar", "folder/x.tar.gz", "x.tgz"])
def test_an_archive_by_its_suffix(word: str) -> None:
    assert on_model.named(word) == {"archive": word}


def test_an_archive_that_is_a_folder(folder: Path) -> None:
    (folder / "m" / "MAR-INF").mkdir(parents=True)
    assert on_model.named("m") is None
    (folder / "m" / "MAR-INF" / "MANIFEST.json").touch()
    assert on_model.named("m") == {"archive": "m"}


@pytest.mark.parametrize(
    ("file", "name"),
    [("some/my-handler.py", "my_handler"), ("zwölf Münzen.py", "zw_lf_M_nzen"), ("é.py", "model"), ("a\nb.py", "a_b")],
)
def test_a_handler_alone_is_a_model_of_its_name(file: str, name: str) -> None:
    assert on_model.named(file) == {"name": name, "handler": file}


def test_a_handler_that_is_described_brings_what_is_described(described: Path) -> None:
    first, second = on_model.named("one.py"), on_model.named(str(Path("other.py").absolute()))
    assert first is not None
    assert second is not None
    assert (first["name"], first["batch_size"], second["name"]) == ("first", 4, "second")


def test_a_described_handler_is_known_from_another_folder(
    described: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub").mkdir()
    for here, word in ((folder, "sub/../one.py"), (folder / "sub", folder / "one.py"), (folder / "sub", "../one.py")):
        monkeypatch.chdir(here)
        found = on_model.named(str(word))
        assert found is not None
        assert (found["name"], found["batch_size"]) == ("first", 4)


def test_a_handler_of_two_models_is_asked_about(described: Path) -> None:
    described.write_text('[models.a]\nhandler = "one.py"\n[models.b]\nhandler = "one:handle"\n')
    with pytest.raises(ModelError, match=r"one\.py is the handler of a, b: name the model"):
        on_model.named("one.py")


def test_a_name_and_a_file_that_describe_one(described: Path) -> None:
    named = on_model.named("second")
    assert named is not None
    assert named["handler"] == "other:handle"
    described.write_text('name = "only"\nhandler = "one.py"\n')
    assert on_model.named("handlerkit.toml") == on_model.named("only")
    assert on_model.named("coins.png") is None


def test_a_word_that_names_no_model_is_what_follows(described: Path) -> None:
    described.write_text('name = "only"\nhandler = "one.py"\n')
    options = {"model": "coins.png", "what": ["leaves.png"]}
    assert on_model.choose(options, "what")["name"] == "only"
    assert options == {"what": ["coins.png", "leaves.png"]}
    options = {"model": "out", "folder": None}
    on_model.choose(options, "folder")
    assert options == {"folder": "out"}


@pytest.mark.parametrize("options", [{"model": "out", "folder": "there"}, {"model": "out"}])
def test_a_word_that_nobody_wants_is_refused(described: Path, options: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="out is no model: there is first, second"):
        on_model.choose(options, "folder" if "folder" in options else "")


def test_without_a_model_the_only_one_is_meant(described: Path) -> None:
    with pytest.raises(ModelError, match="several models are described here: name one of first, second"):
        on_model.choose({"model": None, "what": []}, "what")
    described.unlink()
    with pytest.raises(ModelError, match=r"coins\.png is no model: begin with an archive"):
        on_model.choose({"model": "coins.png", "what": []}, "what")
    with pytest.raises(ModelError, match="there is no model: begin with an archive"):
        on_model.choose({"model": None, "what": []}, "what")
    with pytest.raises(ModelError, match="there is no model"):
        on_model.every()


def test_a_model_without_a_handler_is_no_model_to_build() -> None:
    with pytest.raises(ModelError, match="m has no handler: name one where it is described"):
        on_model.build({"name": "m", "handler": None})
