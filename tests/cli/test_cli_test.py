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
        (("m.mar", "--endpoint", "moon"), "the endpoints that serve a model are server, ray, not 'moon'"),
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
