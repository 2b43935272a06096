"""handlerkit request: the answer, its picture and log, and the status."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pexpect
import pytest
from cli_runs import BROKEN, FINE, HALF, MASK, SCRIPT
from PIL import Image


@pytest.fixture
def coin(folder: Path) -> str:
    Image.radial_gradient("L").save(folder / "coin.png")
    return "coin.png"


def test_an_archive_answers(command, archive, coin: str) -> None:
    status, said, error = command("request", archive(FINE), coin)
    assert (status, error) == (0, "")
    assert said.startswith("POST /predictions/m  coin.png as image/png  ->  200")
    assert "decode" in said
    assert "%preview" not in said


def test_options_stand_before_between_and_behind(command, archive, coin: str) -> None:
    said = command("request", "--batch", "2", archive(FINE), "-H", "A: b", coin, "--content-type", "")[1]
    assert said.startswith("2 requests to m  ->  2 × 200")


def test_an_answer_that_is_no_success_is_status_1(command, archive) -> None:
    status, said, error = command(
        "request", archive("def handle(data, context):\n    return [1 / 0] if data else None")
    )
    assert (status, error) == (1, "")
    assert "503" in said
    assert "ZeroDivisionError" in said


def test_a_handler_that_does_not_load_is_status_1(command, folder: Path) -> None:
    (folder / "h.py").write_text(BROKEN)
    status, said, error = command("request", "h.py")
    assert (status, error) == (1, "")
    assert said.startswith("h does not load\n")
    assert "h.py, line 1" in said


def test_the_picture_is_written(command, archive, coin: str) -> None:
    assert command("request", archive(MASK), coin, "--show", "out.png", "--as", "segmentation")[0] == 0
    with Image.open("out.png") as image:
        assert image.size == (256, 256)
    assert command("request", "m.mar", coin, "--show", "out.jpg")[0] == 0


@pytest.mark.parametrize(
    ("show", "says"),
    [
        ("out.doc", "--show writes a picture, such as answer.png, and out.doc has no suffix of one"),
        ("no/out.png", "there is no folder no to write out.png into"),
    ],
)
def test_a_picture_that_cannot_be_written_is_refused_before_the_request(command, show: str, says: str) -> None:
    assert command("request", "nowhere.mar", "--show", show) == (2, "", f"handlerkit request: {says}\n")


def test_an_answer_without_a_picture_is_status_2_where_one_was_wanted(command, archive) -> None:
    status, said, error = command("request", archive(FINE), "--show", "out.png")
    assert (status, error) == (2, "handlerkit request: out.png is not written: the answer has no picture\n")
    assert "->  200" in said


def test_the_log_is_what_the_handler_said(command, archive) -> None:
    source = f"{FINE}print('loads')\n".replace("    return", "    print('works')\n    return")
    assert "works" not in command("request", archive(source))[1]
    assert "\nworks\n" in command("request", "m.mar", "--log")[1]
    assert "[METRICS]" not in command("request", "m.mar", "--log")[1]


def test_every_envelope_is_compared(command, archive) -> None:
    Path("x.json").write_text("[1]")
    status, said, _ = command("request", archive(FINE), "x.json", "--envelope", "all")
    assert said.startswith("1 sample to m in each envelope")
    assert status == (0 if "4 same" in said else 1)


def test_a_model_that_is_described(command, folder: Path, coin: str) -> None:
    (folder / "h.py").write_text(FINE)
    Path("handlerkit.toml").write_text('name = "coins"\nhandler = "h.py"\n')
    (folder / "below").mkdir()
    os.chdir("below")
    assert command("request", "../coin.png")[1].startswith("POST /predictions/coins  coin.png")
    assert command("request", "coins", "../coin.png")[0] == 0
    assert command("request", "../h.py", "../coin.png")[1].startswith("POST /predictions/coins")


def test_nothing_is_left_behind(command, archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = archive(FINE)
    before = sorted(tmp_path.iterdir())
    command("request", path)
    assert sorted(tmp_path.iterdir()) == before


def test_breakpoint_stops_in_the_users_file(folder: Path) -> None:
    (folder / "h.py").write_text(
        "def handle(data, context):\n    breakpoint()\n    return ['fine'] if data else None\n"
    )
    terminal = pexpect.spawn(str(SCRIPT), ["request", "h.py", "--debug"], timeout=120, encoding="utf-8")
    terminal.expect(r"\(Pdb\)")
    assert "h.py(" in terminal.before
    terminal.sendline("p data is None")
    while terminal.expect([r"\(Pdb\)", r"->  200", pexpect.EOF]) == 0:
        terminal.sendline("c")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_an_exception_opens_the_debugger(folder: Path) -> None:
    (folder / "h.py").write_text("def handle(data, context):\n    wrong = 42\n    return [1 / 0] if data else None\n")
    terminal = pexpect.spawn(str(SCRIPT), ["request", "h.py", "--debug"], timeout=120, encoding="utf-8")
    terminal.expect(r"\(Pdb\)")
    terminal.sendline("p wrong")
    terminal.expect("42")
    terminal.sendline("q")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1


def test_without_a_terminal_no_debugger_waits(folder: Path) -> None:
    (folder / "h.py").write_text(HALF)
    done = subprocess.run(
        [SCRIPT, "request", "h.py", "--debug"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert "(Pdb)" not in done.stdout
