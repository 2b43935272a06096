"""Lines split into words, and what a comment is there."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from handlerkit.messages.shell_words import split_words

LINES = [
    ("", []),
    ("# nothing else", []),
    ("a  b", ["a", "b"]),
    ("a b # c d", ["a", "b"]),
    ("a\t#b", ["a"]),
    ("a # it's and \"so on", ["a"]),
    ("a #", ["a"]),
    ("a#b c", ["a#b", "c"]),
    ("a=#b ##", ["a=#b"]),
    ("http://host/path?q=1#end", ["http://host/path?q=1#end"]),
    ("-# a", ["-#", "a"]),
    ("'# a' b # c", ["# a", "b"]),
    ('"# a" b # c', ["# a", "b"]),
    ('"a \\" # b" c', ['a " # b', "c"]),
    ("'a \\' # b'", ["a \\"]),
    ("''# a", ["#", "a"]),
    ("a'b # c'd # e", ["ab # cd"]),
    ("\\# a", ["#", "a"]),
    ("a\\ # b", ["a #", "b"]),
    ("a # b\nc", ["a", "c"]),
    ("é # ü", ["é"]),
]


@pytest.mark.parametrize(("line", "words"), LINES)
def test_words(line: str, words: list[str]) -> None:
    assert split_words(line) == words


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh")
@pytest.mark.parametrize("line", [line for line, words in LINES if words and "\n" not in line])
def test_a_shell_splits_them_so(line: str) -> None:
    shell = subprocess.run(["sh"], input=f"printf '%s\\0' {line}\n", capture_output=True, text=True, check=True)
    assert shell.stdout.split("\0")[:-1] == split_words(line)


@pytest.mark.parametrize("line", ["'a", 'a "b # c', "a'b # c"])
def test_an_open_quotation_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="No closing quotation"):
        split_words(line)


ANSI = [
    (r"$'a\nb'", "a\nb"), (r"x$'\'\t\\'y", "x'\t\\y"), (r"$'\u0021\u00e9\x41\101'", "!éAA"), (r"$'\q'", r"\q"),
    (r"""$'a "b" $c'""", 'a "b" $c'), (r"$'a # b'", "a # b"), (r"$'\cA\e'", "\x01\x1b"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "word"), ANSI)
def test_the_escapes_of_bash_are_read(line: str, word: str) -> None:
    assert split_words(line) == [word]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize("line", [line for line, _ in ANSI] + [r"$'\xff'", r"$'\xc3\xa9'"])
def test_bash_reads_them_so(line: str) -> None:
    script = f"LC_ALL=C.UTF-8; printf %s {line}\n".encode()
    said = subprocess.run(["bash"], input=script, capture_output=True, check=True)
    assert [said.stdout.decode("utf-8", "surrogateescape")] == split_words(line)


@pytest.mark.parametrize("line", [r"\$'a\n'", r'''"$'a\n'"'''])
def test_a_dollar_in_quotes_is_one(line: str) -> None:
    assert "\n" not in split_words(line)[0]


def test_a_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="with a zero, which no word of a shell holds"):
        split_words(r"$'a\0b'")
