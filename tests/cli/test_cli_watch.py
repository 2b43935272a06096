"""handlerkit watch: an answer at each save."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest
from cli_runs import FINE, SCRIPT

ONE = "def handle(data, context):\n    return [{'coins': 1} for _ in data] if data else None\n"
WAITS = "-- waiting for a change"


@contextmanager
def watching(*words: str) -> Iterator[pexpect.spawn]:
    """The command in a terminal, after its first answer."""
    terminal = pexpect.spawn(str(SCRIPT), ["watch", *words], timeout=120, encoding="utf-8", dimensions=(40, 200))
    try:
        terminal.expect(WAITS)
        yield terminal
    finally:
        terminal.close(force=True)


@pytest.fixture
def watch(folder: Path) -> Iterator[pexpect.spawn]:
    """The handler h.py and what is sent to it."""
    (folder / "h.py").write_text(ONE)
    (folder / "x.json").write_text("[1]")
    with watching("h.py", "--send", "x.json") as terminal:
        yield terminal


def save(source: str, file: str = "h.py") -> None:
    """As editors do: another file in its place."""
    Path(f"{file}~").write_text(source)
    os.replace(f"{file}~", file)


def test_each_save_is_answered_with_what_changed(watch: pexpect.spawn) -> None:
    assert "->  200" in watch.before
    save(ONE.replace("1}", "2}"))
    watch.expect(WAITS)
    assert "->  200" in watch.before
    assert "h before and after: the answer differs" in watch.before
    assert "coins: 1 -> 2" in watch.before


def test_a_slip_is_shown_and_the_next_save_tries_again(watch: pexpect.spawn) -> None:
    save("def handle(data, context)\n")
    watch.expect(WAITS)
    assert "does not load" in watch.before
    assert "SyntaxError" in watch.before
    assert "Traceback" not in watch.before
    save(ONE)
    watch.expect(WAITS)
    assert "the same answer" in watch.before


def test_what_is_sent_is_followed_too(watch: pexpect.spawn) -> None:
    os.utime("x.json", (1, 1))
    watch.expect(WAITS)
    assert "the same answer" in watch.before


def test_files_that_match_and_files_of_parts_are_followed(folder: Path) -> None:
    Path("h.py").write_text("def handle(data, context):\n    return data and [{'row': repr(row)} for row in data]\n")
    Path("a.txt").write_text("one")
    with watching("h.py", "--send", "*.txt") as terminal:
        Path("b.txt").write_text("a new one")
        terminal.expect(WAITS)
        assert "a new one" in terminal.before
    with watching("h.py", "-F", "note=@a.txt;type=text/plain") as terminal:
        save("another", "a.txt")
        terminal.expect(WAITS)
        assert "another" in terminal.before


def test_another_description_of_the_model_is_taken(folder: Path) -> None:
    Path("h.py").write_text(ONE)
    Path("other.py").write_text(ONE.replace("1}", "2}"))
    Path("x.json").write_text("[1]")
    Path("handlerkit.toml").write_text('name = "m"\nhandler = "h.py"\n')
    with watching("--send", "x.json") as terminal:
        save("name =", "handlerkit.toml")
        terminal.expect(WAITS)
        assert "handlerkit.toml is no TOML" in terminal.before
        save('name = "m"\nhandler = "other.py"\n', "handlerkit.toml")
        terminal.expect(WAITS)
        assert "coins: 1 -> 2" in terminal.before
        save(ONE.replace("1}", "3}"), "other.py")
        terminal.expect(WAITS)
        assert "coins: 2 -> 3" in terminal.before


def test_a_handler_that_goes_away_is_waited_for(watch: pexpect.spawn) -> None:
    os.remove("h.py")
    with pytest.raises(pexpect.TIMEOUT):
        watch.expect(WAITS, timeout=1)
    save(ONE)
    watch.expect(WAITS)


def test_control_c_ends_it_with_status_0(watch: pexpect.spawn) -> None:
    watch.sendintr()
    watch.expect(pexpect.EOF)
    watch.close()
    assert (watch.exitstatus, watch.signalstatus) == (0, None)
    assert "Traceback" not in watch.before
    assert "interrupted" not in watch.before


def test_an_archive_is_not_watched(command, archive) -> None:
    status, said, error = command("watch", archive(FINE))
    assert (status, said) == (2, "")
    assert error.endswith("m.mar is an archive, and watch follows the files of a handler: unpack it first\n")


@pytest.mark.parametrize("words", [["--send", "no.png"], ["no.png"]])
def test_what_cannot_be_sent_ends_it_at_once(command, folder: Path, words: list[str]) -> None:
    (folder / "h.py").write_text(FINE)
    assert command("watch", "h.py", *words) == (
        2, "", "handlerkit watch: no file 'no.png' to send; looked from here/\n",
    )  # fmt: skip
