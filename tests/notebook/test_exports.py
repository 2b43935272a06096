"""%check, and the check before %export."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import handlerkit as hk
from handlerkit.check import Check
from handlerkit.errors import ArchiveError, HandlerkitError, LoadError, ModelError, TargetError
from handlerkit.notebook import exports
from handlerkit.notebook.session import Session

FINE = """
def handle(data, context):
    return [str(row) for row in data] if data else None
"""
# pytest is installed here, and is in no target
UNDECLARED = """
import pytest

def handle(data, context):
    return [pytest.__version__ for row in data] if data else None
"""


@pytest.fixture
def fine(door):
    door.handler("h.py", FINE)
    return door


@pytest.fixture
def undeclared(door):
    door.handler("h.py", UNDECLARED)
    return door


# --- %check -----------------------------------------------------------------------------------------------------------


def test_check_of_the_current_model(fine) -> None:
    found = fine.check()
    assert isinstance(found, Check)
    assert (found.name, found.target, found.findings) == ("h", "declared", ())


def test_check_finds_what_is_not_declared(undeclared) -> None:
    found = undeclared.check()
    assert not found
    assert any("pytest" in finding.message for finding in found.findings)


def test_check_for_another_target(undeclared) -> None:
    assert undeclared.check(target="here")
    assert undeclared.check(target="torchserve-0.12.0-cpu").target == "torchserve-0.12.0-cpu"


def test_check_of_an_archive_needs_no_model(door, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(UNDECLARED)
    hk.Archive(hk.Model("other", handler="other.py")).save(".")
    found = door.check("other.mar")
    assert (found.name, found.ok) == ("other", False)


def test_check_is_given_the_last_run(fine, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr("handlerkit.notebook.session.check", lambda model, target, runs: given.append(runs))
    fine.check()
    run = fine.request({"a": 1})
    fine.check()
    assert given == [(), (run,)]


def test_check_without_a_handler_says_what_is_missing(door) -> None:
    door.model("m")
    with pytest.raises(ModelError, match="m has no handler yet"):
        door.check()


def test_check_for_a_target_that_is_not_there(fine) -> None:
    with pytest.raises(TargetError, match="there is no target 'moon': choose declared, "):
        fine.check(target="moon")


def test_check_of_what_is_no_archive(door, tmp_path: Path) -> None:
    (tmp_path / "x.mar").write_bytes(b"nothing")
    with pytest.raises(ArchiveError, match=r"x\.mar"):
        door.check("x.mar")


def test_a_check_is_drawn(notebook, session: Session, shell) -> None:
    notebook(f"%%handler h.py{UNDECLARED}")
    shown = shell.display_formatter.format(notebook("%check").value)[0]
    assert shown["text/plain"].startswith("checked h for declared (Python 3.")
    assert '<span class="hk-badge hk-bad">error</span>' in shown["text/html"]


# --- %export ----------------------------------------------------------------------------------------------------------


def test_export_of_a_clean_model_says_nothing_of_the_check(fine) -> None:
    exported = fine.export()
    assert exported.check.ok
    assert len(repr(exported).splitlines()) == 1
    assert set(exported._repr_mimebundle_()) == {"text/plain"}


def test_export_shows_what_was_found_below_the_archive(undeclared, tmp_path: Path) -> None:
    exported = undeclared.export()
    assert (tmp_path / "model_store" / "h.mar").is_file()
    archive, head, *findings = repr(exported).splitlines()
    assert archive.startswith("model_store/h.mar (")
    assert head.startswith("checked h for declared (Python 3.")
    assert findings[0].startswith("error: ")
    shown = exported._repr_mimebundle_()
    assert shown["text/plain"] == repr(exported)
    assert "model_store/h.mar (" in shown["text/html"]
    assert '<span class="hk-badge hk-bad">error</span>' in shown["text/html"]


def test_export_for_another_target(undeclared) -> None:
    assert undeclared.export(target="here").check.target == "here"


def test_export_for_a_target_that_is_not_there_writes_nothing(fine, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="there is no target 'moon'"):
        fine.export(target="moon")
    assert not (tmp_path / "model_store").exists()


def test_strict_export_of_a_clean_model(fine, tmp_path: Path) -> None:
    fine.export(strict=True)
    assert (tmp_path / "model_store" / "h.mar").is_file()


def test_strict_export_writes_nothing_where_there_is_an_error(undeclared, tmp_path: Path) -> None:
    with pytest.raises(
        ArchiveError, match="h is not written, as --strict asks: the check for declared found"
    ) as caught:
        undeclared.export(strict=True)
    assert "pytest" in str(caught.value)
    assert not (tmp_path / "model_store").exists()


@pytest.fixture
def broken_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that has a fault of its own."""

    def fail(*_: object, **__: object) -> None:
        raise ValueError("not\na number")

    monkeypatch.setattr(exports, "check", fail)


@pytest.mark.usefixtures("broken_check")
def test_a_check_that_fails_stops_no_export(fine, tmp_path: Path) -> None:
    exported = fine.export()
    assert (tmp_path / "model_store" / "h.mar").is_file()
    assert exported.check is None
    assert repr(exported).splitlines()[1:] == ["not checked: the check itself failed (ValueError: not a number)"]


@pytest.mark.usefixtures("broken_check")
def test_a_strict_export_asks_for_a_check_that_does_not_fail(fine, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="h is not written, as --strict asks for a check: not checked: the check"):
        fine.export(strict=True)
    assert not (tmp_path / "model_store").exists()


def test_export_of_what_did_not_load_says_so(door, tmp_path: Path) -> None:
    with pytest.raises(LoadError):
        door.handler("h.py", f"raise ValueError('boo')\n{FINE}")
    with pytest.raises(ArchiveError, match="h is not written, as --strict asks: h does not load: ValueError: boo"):
        door.export(strict=True)
    assert repr(door.export()).splitlines()[1:] == [
        "h does not load: ValueError: boo; correct the handler, and export it again"
    ]
    (tmp_path / "h.py").write_text(FINE)  # this one is tried now
    assert len(repr(door.export(force=True)).splitlines()) == 1
    door.handler("h.py", FINE)
    assert len(repr(door.export(force=True, strict=True)).splitlines()) == 1


def test_export_of_what_was_never_loaded_says_whether_it_does(door, session, tmp_path: Path) -> None:
    (tmp_path / "h.py").write_text(f"raise ValueError('boo')\n{FINE}")
    session.model("m", handler=str(tmp_path / "h.py"))
    with pytest.raises(ArchiveError, match="m is not written, as --strict asks: m does not load: ValueError: boo"):
        door.export(strict=True)
    assert repr(door.export()).splitlines()[1:] == [
        "m does not load: ValueError: boo; correct the handler, and export it again"
    ]


def test_export_of_what_was_changed_and_did_not_load_says_so(fine) -> None:
    with pytest.raises(LoadError):
        fine.handler("h.py", f"raise ValueError('boo')\n{FINE}")
    assert repr(fine.export()).splitlines()[1:] == [
        "h does not load: ValueError: boo; correct the handler, and export it again"
    ]


# --- %export --requirements auto --------------------------------------------------------------------------------------

PINNED = f"pytest=={pytest.__version__}"


def test_requirements_are_written_pinned_and_travel_along(undeclared, tmp_path: Path) -> None:
    exported = undeclared.export(requirements="auto", strict=True)
    file = tmp_path / "h-requirements.txt"
    comments, lines = [], []
    for line in file.read_text().splitlines():
        (comments if line.startswith("#") else lines).append(line)
    assert lines == [PINNED]
    assert "edit" in " ".join(comments)
    assert exported.check.ok
    assert exported.files == ("h-requirements.txt", "h.py")
    assert f"h-requirements.txt is written: {PINNED}" in repr(exported).splitlines()
    manifest = hk.unpack("model_store/h.mar", "unpacked")
    assert manifest.requirements_file.read_bytes() == file.read_bytes()


def test_requirements_are_sorted(door, tmp_path: Path) -> None:
    door.handler("h.py", f"import pytest, hypothesis\n{FINE}")
    door.export(requirements="auto")
    lines = [line.partition("==")[0] for line in (tmp_path / "h-requirements.txt").read_text().splitlines()]
    assert [line for line in lines if not line.startswith("#")] == ["hypothesis", "pytest"]


def test_requirements_stay_the_model_s_own(undeclared, session: Session) -> None:
    undeclared.export(requirements="auto")
    assert undeclared.check()
    assert "h-requirements.txt" in undeclared.export(force=True).files


def test_requirements_are_written_anew_for_new_code(undeclared, tmp_path: Path) -> None:
    undeclared.export(requirements="auto")
    undeclared.handler("h.py", f"import hypothesis\n{UNDECLARED}")
    undeclared.export(requirements="auto", force=True)
    assert "hypothesis==" in (tmp_path / "h-requirements.txt").read_text()
    undeclared.handler("h.py", FINE)
    exported = undeclared.export(requirements="auto", force=True)
    assert exported.files == ("h.py",)
    assert not (tmp_path / "h-requirements.txt").exists()


def test_no_requirements_are_needed(fine, tmp_path: Path) -> None:
    assert repr(fine.export(requirements="auto")).splitlines()[1:] == ["declared brings all that h imports"]
    assert list(tmp_path.glob("*.txt")) == []


@pytest.mark.parametrize("options", [{"target": "moon"}, {"archive_format": "tgz"}])
def test_requirements_are_as_before_where_the_export_fails(undeclared, session, tmp_path: Path, options) -> None:
    (tmp_path / "model_store").mkdir()
    (tmp_path / "model_store" / "h.tar.gz").touch()
    with pytest.raises((TargetError, ArchiveError)):
        undeclared.export(requirements="auto", **options)
    assert not (tmp_path / "h-requirements.txt").exists()
    assert "h-requirements.txt" not in undeclared.export().files


def test_requirements_of_the_user_are_left_alone(door, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("pandas\n")
    door.model("h", requirements_file="mine.txt")
    door.handler("h.py", UNDECLARED)
    with pytest.raises(ModelError, match=r"h has a requirements file, mine\.txt: add to it what %check asks for"):
        door.export(requirements="auto")
    assert (tmp_path / "mine.txt").read_text() == "pandas\n"
    assert not (tmp_path / "model_store").exists()


def test_a_file_of_that_name_is_left_alone(undeclared, tmp_path: Path) -> None:
    (tmp_path / "h-requirements.txt").write_text("pandas\n")
    with pytest.raises(ModelError, match=r"h-requirements\.txt exists, and not from --requirements auto"):
        undeclared.export(requirements="auto")
    assert (tmp_path / "h-requirements.txt").read_text() == "pandas\n"


def test_requirements_are_auto_or_nothing(session: Session) -> None:
    with pytest.raises(ModelError, match=r"requirements is 'auto' or None, not 'mine\.txt'"):
        session.export(requirements="mine.txt")


def test_code_that_cannot_be_read_for_requirements(undeclared, monkeypatch, tmp_path: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(exports, "requirements", fail)
    with pytest.raises(HandlerkitError, match=r"could not be read from its code \(ValueError: no\): write the file"):
        undeclared.export(requirements="auto")
    assert not (tmp_path / "model_store").exists()


# --- %export --to app -------------------------------------------------------------------------------------------------


def test_an_app_shows_its_files_and_what_starts_it(fine, tmp_path: Path) -> None:
    exported = fine.export(to="app")
    assert (tmp_path / "h-app" / "app.py").is_file()
    text = repr(exported)
    assert text.startswith("h-app (")
    assert re.search(r"^  model/h/h\.py +\d+ B$", text, re.M)
    assert re.search(r"^  serving/ +[\d.]+ KB, \d+ files$", text, re.M)
    assert "cd h-app && pip install -r requirements.txt && python app.py" in text
    assert "docker run -p 8080:8080 -e SERVING_TOKEN=... h-app" in text
    assert "serve run deploy/serve.yaml" in text
    assert "python app.py" in exported._repr_mimebundle_()["text/html"]


def test_an_app_has_what_the_model_is_registered_with(fine, tmp_path: Path) -> None:
    fine.model(batch_size=4, config_properties={"job_queue_size": "9", "inference_address": "http://127.0.0.1:81"})
    exported = fine.export("place", to="app")
    contents = json.loads((tmp_path / "place" / "models.json").read_text())
    assert contents["models"] == [{"model_dir": "model/h", "batch_size": 4}]
    assert contents["config_properties"] == {"job_queue_size": "9"}
    assert "without effect in an app: inference_address of config_properties" in repr(exported).splitlines()


def test_an_app_names_the_environment_that_it_needs(fine, session) -> None:
    session.model(environment={"LEVEL": "3"})
    assert "set where the app starts: LEVEL, which this model's environment has" in repr(fine.export(to="app"))


def test_an_app_replaces_another_and_nothing_else(fine, tmp_path: Path) -> None:
    fine.export(to="app")
    fine.export(to="app")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine").write_text("")
    with pytest.raises(ArchiveError, match="work is a folder and no app"):
        fine.export("work", to="app")
    fine.export("work", to="app", force=True)


def test_a_strict_app_is_not_written_where_there_is_an_error(undeclared, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="h is not written, as --strict asks"):
        undeclared.export(to="app", strict=True)
    assert not (tmp_path / "h-app").exists()


def test_an_app_has_no_archive_format(fine) -> None:
    with pytest.raises(ModelError, match="archive_format belongs to an archive"):
        fine.export(to="app", archive_format="tgz")


def test_there_are_archives_and_apps(session) -> None:
    with pytest.raises(ModelError, match="to 'archive' or 'app', not to 'docker'"):
        session.export(to="docker")
