"""handlerkit check: its exit status, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runs import BROKEN, FINE, script

import handlerkit as hk


def test_nothing_found_is_status_0(command, archive) -> None:
    status, said, error = command("check", archive(FINE))
    assert (status, error) == (0, "")
    assert said.startswith("checked m for declared (Python 3.")
    assert "nothing found\nlooked at: " in said


def test_an_error_is_status_1_and_is_shown(command, archive) -> None:
    status, said, error = command("check", archive(BROKEN))
    assert (status, error) == (1, "")
    assert "1 error" in said.splitlines()[0]
    assert "a_package_that_nobody_has" in said
    assert "  where: handler.py, line 1\n" in said


def test_a_warning_is_status_1_unless_only_errors_are_to_fail(command, archive) -> None:
    path = archive("import os\n\nKEY = os.environ['A_KEY']\n" + FINE)
    status, said, _ = command("check", path)
    assert (status, said.splitlines()[0].partition("): ")[2]) == (1, "1 warning")
    assert command("check", path, "--fail-on", "error") == (0, said, "")
    assert command("check", archive(BROKEN, "broken"), "--fail-on", "error")[0] == 1


def test_a_note_is_status_0(command, archive, folder: Path) -> None:
    (folder / "image.txt").write_text("# Python 3.99\ntorch==2.4.0\ntorchserve==0.12.0\n")
    status, said, _ = command("check", archive(FINE + "syntax of tomorrow\n"), "--target", "image.txt")
    assert (status, said.splitlines()[0].partition("): ")[2]) == (0, "1 info")


def test_several_archives_stand_under_their_names(command, archive) -> None:
    fine, broken = archive(FINE, "fine"), archive(BROKEN, "broken")
    status, said, error = command("check", fine, broken)
    assert (status, error) == (1, "")
    assert said.startswith(f"{fine}:\nchecked fine for declared (Python 3.")
    assert f"\n\n{broken}:\nchecked broken for declared" in said
    assert command("check", fine, fine)[0] == 0


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_archives_that_cannot_be_read_leave_what_the_others_hold(command, archive, options: tuple[str, ...]) -> None:
    status, said, error = command("check", "no1.mar", archive(BROKEN), "no2.mar", *options)
    assert status == 2
    assert "a_package_that_nobody_has" in said
    assert error.startswith("handlerkit check: no archive 'no1.mar'; looked from here/; no archive 'no2.mar'; ")
    assert len(error.splitlines()) == 1


def test_json_of_several_is_a_list_in_their_order(command, archive) -> None:
    paths = [str(archive(BROKEN, "broken")), str(archive(FINE, "fine"))]
    status, said, _ = command("check", *paths, "--json")
    assert status == 1
    assert [(one["archive"], one["name"], one["ok"]) for one in json.loads(said)] == [
        (paths[0], "broken", False),
        (paths[1], "fine", True),
    ]


def test_json_is_the_check(command, archive) -> None:
    path = archive(BROKEN)
    status, said, error = command("check", path, "--json")
    found, (told,) = hk.check(path), json.loads(said)
    assert (status, error) == (1, "")
    assert told.pop("archive") == str(path)
    assert told.pop("ok") is False
    assert [hk.Finding(**one) for one in told.pop("findings")] == list(found.findings)
    assert told == {
        "name": "m", "target": "declared", "environment": found.environment, "subjects": list(found.subjects),
    }  # fmt: skip


def test_a_target_by_its_name(command, archive) -> None:
    _, said, _ = command("check", archive(FINE), "--target", "torchserve-0.12.0-cpu")
    assert said.startswith("checked m for torchserve-0.12.0-cpu (Python 3.9, torch 2.4.0): ")


def test_a_target_that_is_a_file(command, archive, folder: Path) -> None:
    (folder / "image.txt").write_text("# Python 3.9\ntorch==2.4.0\ntorchserve==0.12.0\n")
    _, said, _ = command("check", archive(FINE), "--target", "image.txt")
    assert said.startswith("checked m for image.txt (Python 3.9, torch 2.4.0): ")


def test_the_folder_of_an_archive(command, folder: Path) -> None:
    (folder / "handler.py").write_text(FINE)
    hk.Archive(hk.Model("m", handler="handler.py"), "no-archive").save(".")
    assert command("check", "m")[0] == 0


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04cut short", b"\x1f\x8b\x08cut short"])
def test_a_file_that_is_no_archive_is_one_line(command, folder: Path, content: bytes) -> None:
    (folder / "x.mar").write_bytes(content)
    status, said, error = command("check", "x.mar")
    assert (status, said) == (2, "")
    assert error.startswith("handlerkit check: ")
    assert "x.mar" in error
    assert len(error.splitlines()) == 1


def test_nothing_is_left_in_the_folder_nor_in_the_cache(command, archive, folder: Path) -> None:
    path = archive(FINE)
    before = sorted(folder.parent.rglob("*"))
    command("check", path)
    assert sorted(folder.parent.rglob("*")) == before


def test_as_a_process_of_its_own(archive) -> None:
    done = script("check", archive(BROKEN))
    assert (done.returncode, done.stderr) == (1, "")
    assert "a_package_that_nobody_has" in done.stdout
