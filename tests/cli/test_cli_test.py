"""handlerkit test: its exit status, what it writes, and what it is asked wrongly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cli_runs import BROKEN, FINE, imported_by

import handlerkit as hk


@pytest.fixture
def kept(archive) -> Path:
    """An archive, and a case of its model."""
    path = archive(FINE)
    with hk.Worker(path) as worker:
        hk.keep(worker.predict(hk.Request.text("hello")), "one")
    return path


def edit(old: str = "hello", new: str = "hallo") -> None:
    """Change what is expected."""
    case = Path("cases/one.har")
    head, found, answer = case.read_text().rpartition('"response": {')
    case.write_text(head + found + answer.replace(old, new))


def test_the_same_answers_are_status_0(command, kept) -> None:
    status, said, _ = command("test", kept)
    assert status == 0
    assert said.startswith("1 case on worker: 1 same\n  one  same  ")


def test_another_answer_is_status_1_and_is_shown(command, kept) -> None:
    edit()
    status, said, _ = command("test", kept, "--report", "page.html", "--junit", "junit.xml")
    assert status == 1
    assert "one: what was kept -> what is answered" in said
    assert "hello" in Path("page.html").read_text()
    assert 'failures="1"' in Path("junit.xml").read_text()


def test_accept_keeps_it_from_then_on(command, kept) -> None:
    edit()
    status, said, _ = command("test", kept, "--accept")
    assert status == 0
    assert "what was kept -> what is answered" in said
    assert said.endswith("kept from now on: one\n")
    assert command("test", kept)[0] == 0
    assert command("test", kept, "--accept")[1].endswith("there is nothing to accept\n")


def test_a_model_that_was_renamed_leaves_no_case_out(command, archive) -> None:
    path = archive(FINE)
    for name in ("a", "b"):
        with hk.Worker(path) as worker:
            hk.keep(replace(worker.predict(hk.Request.text("hello")), model=name), name)
    Path("handlerkit.toml").write_text('[models.a]\nhandler = "handler.py"\n[models.b2]\nhandler = "handler.py"\n')
    status, said, _ = command("test")
    assert status == 1, said
    assert "b  cannot run" in said


def test_requests_of_a_file_are_new_and_are_accepted(command, kept) -> None:
    Path("more.txt").write_text("curl http://x/predictions/m -d bye")
    status, said, _ = command("test", kept, "--from", "more.txt")
    assert (status, "more-1  new" in said) == (1, True)
    assert command("test", kept, "--from", "more.txt", "--accept")[0] == 0
    assert Path("cases/more-1.har").is_file()


def test_a_model_that_does_not_load_is_status_1(command, kept, archive) -> None:
    kept.unlink()
    status, said, _ = command("test", archive(BROKEN))
    assert status == 1
    assert "one  does not load" in said
    assert "a_package_that_nobody_has" in said


def test_new_cases_have_the_tolerances_of_the_line(command, kept) -> None:
    Path("more.txt").write_text("curl http://x/predictions/m -H 'X-Api-Key: s3cr3t-0f-m1ne' -d bye")
    words = ("--from", "more.txt", "--accept", "--rtol", "1e-3", "--ignore", "body.id", "--with-secrets")
    assert command("test", kept, *words)[0] == 0
    new, old = (hk.cases(f"cases/{name}.har")[0] for name in ("more-1", "one"))
    assert (new.may_differ.rtol, new.may_differ.ignore, new.secrets) == (1e-3, ("body.id",), True)
    assert "s3cr3t-0f-m1ne" in Path("cases/more-1.har").read_text()
    assert (old.may_differ.rtol, old.secrets) == (0, False)


def test_a_target_that_cannot_be_made_is_no_model_that_does_not_load(command, kept) -> None:
    Path("image.txt").write_text("no-such-file @ file:///nowhere/no-such-file.whl\n")
    status, said, _ = command("test", kept, "--target", "image.txt")
    assert status == 1
    assert "one  cannot run\n" in said
    assert "does not load" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "there is no model: begin with an archive"),
        (("m.mar", "--cases", "nowhere"), "there is no folder 'nowhere' of cases"),
        (("gone.mar",), "no archive 'gone.mar'"),
        (("m.mar", "m.mar"), "two models are called m"),
        (("m.mar", "--target", "here", "--endpoint", "ray"), "--target is an environment of TorchServe"),
        (("m.mar", "--target", "here", "--target", "declared", "--accept"), "--accept keeps the answers of one target"),
        (("m.mar", "--target", "moon"), "there is no target 'moon'"),
        (("m.mar", "--endpoint", "moon"), "there is no endpoint 'moon': it is a URL, the folder of an "),
        (("m.mar", "--endpoint", "cases"), "cases is no app: it has no app.py beside a models.json"),
        (("m.mar", "--rtol", "1e-3"), "tolerances and secrets go with new ones (--from)"),
        (("m.mar", "--from", "x", "--iou", "2"), "iou is a number from 0 to 1, not 2.0"),
        (("m.mar", "--token-from", "HOME"), "--token-from goes with the URL"),
        (("--endpoint", "http://127.0.0.1:9", "--token-from", "NOBODY_HAS_IT"), "no variable 'NOBODY_HAS_IT'"),
        (("m.mar", "--from", "gone.har"), "no file 'gone.har' to send"),
        (("m.mar", "--report", "no/page.html"), "cannot write 'no/page.html'"),
        (("m.mar", "--acept",), "did you mean --accept?"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_status_2_and_one_line(command, kept, words: tuple[str, ...], said: str) -> None:
    status, _, error = command("test", *words)
    assert (status, said in error) == (2, True)
    assert len([line for line in error.splitlines() if not line.startswith("worker: ")]) == 1


def test_help_imports_nothing_heavy() -> None:
    assert not {"torch", "numpy", "PIL", "IPython"} & imported_by("test", "--help")


def test_the_folder_of_an_app_is_started_and_ended(command, kept) -> None:
    hk.App(kept).save("m-app")
    status, said, error = command("test", "--endpoint", "m-app")
    assert (status, error) == (0, "m-app: m\n")
    assert said.startswith("1 case on m-app: 1 same\n")
    edit()
    assert command("test", "--endpoint", "m-app")[0] == 1


def test_an_app_that_does_not_start_is_a_model_that_does_not_load(command, kept, archive) -> None:
    kept.unlink()
    hk.App(archive(BROKEN)).save("m-app")
    status, said, _ = command("test", "--endpoint", "m-app")
    assert status == 1
    assert "one  does not load\n    m-app/app.py ended before it served: " in said
    assert "a_package_that_nobody_has" in said


def test_a_url_has_models_of_its_own(command, kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_IT", "t0ken-of-this-test")
    with hk.serve(hk.Worker(kept), port=0, token="t0ken-of-this-test") as server:
        assert command("test", "--endpoint", server.url, "--token-from", "TOKEN_OF_IT")[0] == 0
        assert command("test", "--endpoint", server.url)[0] == 1


@pytest.mark.server
def test_two_targets_are_one_table(command, kept) -> None:
    status, said, _ = command("test", kept, "--target", "here", "--target", "declared")
    assert status == 0
    lines = said.splitlines()
    assert lines[0] == "1 case on here, declared"
    assert lines[1].split() == ["here", "declared", "here", "->", "declared"]
    assert lines[2].split()[:2] == ["one", "same,"]
    assert lines[2].endswith("same")
    assert lines[3].split()[0] == "starting"
