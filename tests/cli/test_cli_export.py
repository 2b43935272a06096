"""handlerkit export, verify, bench and preview: what they write, and their status."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runs import BROKEN, FINE, HALF

import handlerkit as hk


@pytest.fixture
def handler(folder: Path) -> Path:
    (folder / "x.json").write_text("[1]")
    file = folder / "h.py"
    file.write_text(FINE)
    return file


def test_export_writes_the_archive(command, handler: Path) -> None:
    status, said, error = command("export", "h.py", "out")
    assert (status, error) == (0, "")
    assert said.startswith("out/h.mar (")
    assert hk.check("out/h.mar")


def test_export_of_a_described_model_writes_where_that_says(command, handler: Path) -> None:
    Path("handlerkit.toml").write_text('name = "coins"\nhandler = "h.py"\nexport-path = "store"\n')
    assert command("export")[1].startswith("store/coins.mar (")
    assert command("export", "elsewhere")[1].startswith("elsewhere/coins.mar (")
    status, said, error = command("export")
    assert (status, said) == (2, "")
    assert error.startswith("handlerkit export: ")
    assert command("export", "--force")[0] == 0


def test_export_tells_of_errors_by_its_status(command, handler: Path) -> None:
    handler.write_text(BROKEN)
    status, said, _ = command("export", "h.py")
    assert status == 1
    assert "a_package_that_nobody_has" in said
    assert Path("model_store/h.mar").exists()
    status, said, error = command("export", "h.py", "strict", "--strict")
    assert (status, said) == (1, "")
    assert error.startswith("handlerkit export: h is not written, as --strict asks: ")
    assert not Path("strict").exists()


def test_export_of_what_does_not_load_is_status_1(command, handler: Path) -> None:
    handler.write_text("raise ValueError('boo')\n" + FINE)
    status, said, error = command("export", "h.py")
    assert (status, error) == (1, "")
    assert "h does not load: ValueError: boo; correct the handler, and export it again" in said.splitlines()
    assert command("export", "h.py", "--to", "app")[0] == 1


def test_export_where_nobody_may_write_is_one_line(command, handler: Path) -> None:
    Path("file").touch()
    status, said, error = command("export", "h.py", "file/folder")
    assert (status, said, len(error.splitlines())) == (2, "", 1)


@pytest.mark.server
@pytest.mark.parametrize("into", ["x.json", "x.json/below"])
def test_export_into_a_file_says_that_it_is_no_folder(command, handler: Path, into: str) -> None:
    assert command("export", "h.py", into) == (
        2, "", f"handlerkit export: h.mar was not written: {into} is no folder\n"
    )  # fmt: skip
    status, _, error = command("export", "h.py", "x.json/app", "--to", "app")
    assert status == 2
    assert error.endswith("here/x.json is no folder\n")


def test_verify_serves_the_archive_of_what_the_model_is(command, handler: Path) -> None:
    status, said, _ = command("verify", "h.py", "x.json")
    assert status == 0
    assert "1 identical" in said
    assert sorted(path.name for path in Path().iterdir()) == ["h.py", "x.json"]


@pytest.fixture
def served(handler: Path) -> str:
    with hk.Worker(hk.Model("h", handler="h.py")) as worker, hk.serve(worker, 0) as server:
        yield server.url


def test_verify_compares_with_a_url(command, handler: Path, served: str) -> None:
    assert command("verify", "h.py", "x.json", "--endpoint", served)[0] == 0
    other = handler.with_name("other.py")
    other.write_text(FINE.replace("str(row)", "'other'"))
    Path("handlerkit.toml").write_text('name = "h"\nhandler = "other.py"\n')
    status, said, _ = command("verify", "x.json", "--endpoint", served)
    assert status == 1
    assert "1 of 1 answers differ" in said


def test_verify_of_an_unknown_endpoint_is_one_line(command, handler: Path) -> None:
    status, _, error = command("verify", "h.py", "x.json", "--endpoint", "moon")
    assert status == 2
    assert "--endpoint takes server, ray, declared, " in error
    assert "or a requirements or lock file, not 'moon'" in error


def test_bench_writes_its_figures(command, handler: Path) -> None:
    status, said, error = command("bench", "h.py", "x.json", "-n", "2", "--batch-sizes", "1,2")
    assert (status, error) == (0, "")
    assert said.startswith("h on TorchServe's worker in a process of its own: 2 repeats")
    assert command("bench", "h.py") == (2, "", "handlerkit bench: there is nothing to send: name a file\n")


def test_bench_of_a_failing_handler_is_status_1(command, handler: Path) -> None:
    handler.write_text(HALF)
    status, said, error = command("bench", "h.py", "x.json", "-n", "2")
    assert (status, said) == (1, "")
    assert error.startswith("handlerkit bench: ")
    assert "ZeroDivisionError" in error


def test_preview_writes_a_page(command, handler: Path) -> None:
    assert command("preview", "h.py", "x.json", "--save", "page.html") == (
        0, "page.html: the answers to x.json\n", "",
    )  # fmt: skip
    assert "<html" in Path("page.html").read_text()
    assert command("preview", "h.py", "--save", "p.html")[0] == 2
    assert command("preview", "h.py", "x.json", "--save", "no/p.html")[0] == 2
