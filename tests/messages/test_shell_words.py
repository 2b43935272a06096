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
