"""Model: torch-model-archiver's reading of files and names, and its slips refused in one sentence."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from model_archiver import __version__ as archiver_version
from model_archiver.model_packaging_utils import model_handlers

from handlerkit.errors import ModelError
from handlerkit.model import DEFAULT_HANDLERS, Model
from handlerkit.serving import torchserve_facts as facts

GOLDEN = Path(__file__).parent / "golden" / "h_archiver.jsonl"
OPTIONS = {
    "--model-name": "name",
    "--version": "version",
    "-v": "version",
    "--handler": "handler",
    "--model-file": "model_file",
    "--serialized-file": "serialized_file",
    "--extra-files": "extra_files",
    "-r": "requirements_file",
    "-c": "config_file",
    "--runtime": "runtime",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files that the recorded command lines name."""
    monkeypatch.chdir(tmp_path)
    for name in ("h.py", "model.py", "w.pt", "e1.txt", "e2.txt", "req.txt", "cfg.yaml"):
        Path(name).write_text(name)
    for name in ("a.txt", ".dot", "m.mar", "sub/b.txt", "sub/deep/c.txt", "__pycache__/x.pyc", ".git/config"):
        path = Path("dir", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    Path("dir", "empty").mkdir()
    return tmp_path


def names(model: Model) -> list[str]:
    return [entry.name for entry in model.entries()]


def recorded() -> list[Any]:
    """The recorded runs of torch-model-archiver that made an archive, but for the name a regex slip lets through."""
    lines = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    return [pytest.param(line, id=line["case"]) for line in lines if "manifest" in line and "\n" not in line["path"]]


@pytest.mark.parametrize("line", recorded())
def test_recorded_command_lines_give_the_recorded_archive(line: dict[str, Any]) -> None:
    words = [word for word in line["args"] if word not in ("--force", "-f")]
    given = {OPTIONS[option]: value for option, value in zip(words[::2], words[1::2], strict=True) if option in OPTIONS}
    model = Model(**given)
    found = {entry["name"] for entry in line["entries"]} - {"MAR-INF/MANIFEST.json"}
    assert set(names(model)) == found
    manifest = model.manifest()
    assert list(manifest["model"].items()) == list(line["manifest"]["model"].items())
    assert {**manifest, "createdOn": ""} == {**line["manifest"], "createdOn": ""}


def test_created_on_is_now_in_local_time() -> None:
    created = datetime.strptime(Model("m", handler="h.py").manifest()["createdOn"], "%d/%m/%Y %H:%M:%S")
    assert abs((datetime.now() - created).total_seconds()) < 5


def test_default_handlers_and_version_are_the_installed_archivers() -> None:
    assert set(DEFAULT_HANDLERS) == set(model_handlers)
    assert archiver_version.strip() == facts.VERSION


@pytest.mark.parametrize("handler", DEFAULT_HANDLERS)
def test_default_handler_brings_no_file(handler: str) -> None:
    model = Model("m", handler=handler)
    assert model.handler_file is None
    assert names(model) == []
    assert model.manifest()["model"]["handler"] == handler


@pytest.mark.parametrize(
    ("handler", "word"),
    [("h.py", "h.py"), ("h", "h"), ("h:go", "h:go"), ("h.py:go", "h:go"), ("./h.py", "h.py"), (Path("h.py"), "h.py")],
)
def test_handler_becomes_the_manifests_word(handler: str | Path, word: str, here: Path) -> None:
    model = Model("m", handler=handler)
    assert model.handler == word
    assert model.handler_file == here / "h.py"


def test_handler_in_another_folder_lands_in_the_root() -> None:
    Path("code").mkdir()
    Path("code/h.py").touch()
    model = Model("m", handler="code/h:go")
    assert (model.handler, names(model)) == ("h:go", ["h.py"])


@pytest.mark.parametrize(("handler", "word"), [("a:b/h.py", "h.py"), ("a:b/h", "h"), ("a:b/h:go", "h:go")])
def test_handler_in_a_folder_with_a_colon_in_its_name(handler: str, word: str) -> None:
    Path("a:b").mkdir()
    Path("a:b/h.py").touch()
    assert Model("m", handler=handler).handler == word


def test_entries_are_sorted_and_say_which_option_named_them() -> None:
    model = Model("m", handler="h.py", serialized_file="w.pt", extra_files="e2.txt,e1.txt")
    assert [(entry.name, entry.option) for entry in model.entries()] == [
        ("e1.txt", "extra_files"),
        ("e2.txt", "extra_files"),
        ("h.py", "handler_file"),
        ("w.pt", "serialized_file"),
    ]


@pytest.mark.parametrize(
    ("extra_files", "found"),
    [
        ("e1.txt,e2.txt", ["e1.txt", "e2.txt"]),
        ("e1.txt,", ["e1.txt"]),
        ("", []),
        ([], []),
        ("e?.txt", ["e1.txt", "e2.txt"]),
        (["e[2].txt"], ["e2.txt"]),
        (Path("e1.txt"), ["e1.txt"]),
        (["dir"], [".dot", "a.txt", "m.mar", "sub/b.txt", "sub/deep/c.txt"]),
        (["dir/"], [".dot", "a.txt", "m.mar", "sub/b.txt", "sub/deep/c.txt"]),
        (["dir/*"], ["a.txt", "b.txt", "deep/c.txt", "m.mar", "x.pyc"]),
        (["e1.txt", "./e1.txt"], ["e1.txt"]),
    ],
)
def test_extra_files(extra_files: Any, found: list[str]) -> None:
    assert names(Model("m", handler="base_handler", extra_files=extra_files)) == found


def test_extra_file_whose_name_looks_like_a_wildcard() -> None:
    Path("e[2].txt").touch()
    assert names(Model("m", handler="base_handler", extra_files=["e[2].txt"])) == ["e[2].txt"]


def test_extra_folder_is_followed_through_links(here: Path) -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/vocab.txt").touch()
    Path("dir/linked").symlink_to(here / "elsewhere")
    assert "linked/vocab.txt" in names(Model("m", handler="base_handler", extra_files=["dir"]))


def test_extra_folder_is_read_anew() -> None:
    model = Model("m", handler="base_handler", extra_files=["dir"])
    Path("dir/late.txt").touch()
    assert "late.txt" in names(model)


def test_paths_are_looked_up_from_the_folder_of_that_time(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    model = Model("m", handler="h.py", extra_files=["dir"])
    monkeypatch.chdir("/")
    assert all(entry.source.is_file() for entry in model.entries())


def test_home_is_understood(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setenv("HOME", str(here))
    model = Model("m", handler="~/h.py", serialized_file="~/w.pt", extra_files=["~/e1.txt"])
    assert names(model) == ["e1.txt", "h.py", "w.pt"]


@pytest.mark.parametrize("name", ["m", "coins-2.0_x", "0", "A.b"])
def test_names_of_models(name: str) -> None:
    assert Model(name, handler="h.py").manifest()["model"]["modelName"] == name


@pytest.mark.parametrize("name", ["", "my model", "m\n", "-m", "_m", "münzen", "a/b", "../m"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="cannot name a model: use letters"):
        Model(name, handler="h.py")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"handler": "nope.py"}, r"^no handler file 'nope\.py': give a Python file"),
        ({"handler": "nope:go"}, r"^no handler file 'nope\.py'"),
        ({"handler": "dir"}, r"^no handler file 'dir\.py'"),
        ({"handler": "h:"}, "^'' cannot name a function"),
        ({"handler": "h:go:on"}, "^'go:on' cannot name a function"),
        ({"serialized_file": "nope.pt"}, r"^serialized_file 'nope\.pt' does not exist$"),
        ({"model_file": "dir"}, "^model_file 'dir' is a folder, not a file$"),
        ({"config_file": "nope.yaml"}, "^config_file"),
        ({"requirements_file": "nope.txt"}, "^requirements_file"),
        ({"extra_files": "e1.txt, e2.txt"}, r"^extra_files ' e2\.txt' does not exist$"),
        ({"extra_files": "*.onnx"}, r"^extra_files '\*\.onnx' matches no file$"),
        ({"runtime": "python2"}, "^runtime is python, python3 or LSP, not 'python2'$"),
    ],
)
def test_slips_are_one_sentence(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Model("m", **{"handler": "h.py", **words})
    assert "\n" not in str(caught.value)


def test_model_file_with_dots_in_its_name() -> None:
    Path("h.py").touch()
    Path("net.v2.py").touch()
    with pytest.raises(ModelError, match=r"cannot import a model file named 'net\.v2\.py': take the dots out"):
        Model("m", handler="h.py", model_file="net.v2.py")


def test_handler_with_dots_in_its_name() -> None:
    Path("my.handler.py").touch()
    with pytest.raises(ModelError, match="take the dots out"):
        Model("m", handler="my.handler.py")


def test_two_files_in_one_place() -> None:
    Path("dir/h.py").touch()
    with pytest.raises(ModelError, match=r"handler_file 'h\.py' and extra_files 'h\.py' would both become 'h\.py'"):
        Model("m", handler="h.py", extra_files=["dir"])


def test_file_where_a_folder_is_needed() -> None:
    Path("sub").touch()
    with pytest.raises(ModelError, match="'sub' would be both a file and a folder"):
        Model("m", handler="h.py", extra_files=["dir", "sub"])


def test_archives_own_folder_among_the_extra_files() -> None:
    Path("dir/MAR-INF").mkdir()
    Path("dir/MAR-INF/MANIFEST.json").touch()
    with pytest.raises(ModelError, match="MAR-INF, which is the archive's own"):
        Model("m", handler="h.py", extra_files=["dir"])


def test_stage_links_the_weights_and_copies_the_rest() -> None:
    folder = Model("m", handler="h.py", serialized_file="w.pt", extra_files=["dir"]).stage("staged/m")
    assert [path.name for path in folder.rglob("*") if path.is_symlink()] == ["w.pt"]
    assert (folder / "w.pt").read_text() == "w.pt"
    assert (folder / "sub" / "deep" / "c.txt").read_text() == "sub/deep/c.txt"


def test_stage_leaves_the_users_files_alone() -> None:
    folder = Model("m", handler="h.py", extra_files=["e1.txt"]).stage("staged")
    (folder / "e1.txt").write_text("written by the handler")
    assert Path("e1.txt").read_text() == "e1.txt"


def test_stage_writes_the_manifest() -> None:
    model = Model("m", handler="h:go")
    manifest = json.loads((model.stage("staged") / "MAR-INF" / "MANIFEST.json").read_text())
    assert manifest == model.manifest() | {"createdOn": manifest["createdOn"]}


def test_stage_returns_the_folder_without_links(here: Path) -> None:
    Path("link").symlink_to(here / "dir")
    assert Model("m", handler="h.py").stage("link/staged") == here.resolve() / "dir" / "staged"


def test_repr_is_short() -> None:
    assert repr(Model("m", "2.0", handler="h:go")) == "<Model m 2.0: handler h:go>"


@pytest.mark.parametrize("text", [b"a: [", b"a: \xff", b"[" * 100_000, b"- 1", b""])
def test_settings_of_a_file_that_says_nothing(text: bytes) -> None:
    Path("cfg.yaml").write_bytes(text)
    assert Model("m", handler="h.py", config_file="cfg.yaml").settings() == {}


@pytest.mark.parametrize("text", [b"{", b'{"0": "\xff"}', b"[" * 200_000, b"[]", b"7"])
def test_labels_of_a_file_that_says_nothing(text: bytes) -> None:
    Path("index_to_name.json").write_bytes(text)
    assert Model("m", handler="h.py", extra_files="index_to_name.json").labels() is None
