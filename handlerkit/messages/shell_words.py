"""A line's words, as a shell splits them."""

from __future__ import annotations

import re
import shlex

#: A comment, or a word as it is written: plain characters, escaped ones and quoted ones.
_COMMENT_OR_WORD = re.compile(r"""(\#[^\n]*)|(?:[^\s\\'"]|\\.|'[^']*'|"(?:[^\\"]|\\.)*")+|.""", re.DOTALL)


def split_words(line: str) -> list[str]:
    """The words of `line`. An unquoted # that begins a word begins a comment, which ends with the line; inside a word,
    as in a URL, it is a character as any other. (shlex takes either every # for a comment or none.)

    Raises ValueError for a quotation that is not closed.
    """
    return shlex.split(_COMMENT_OR_WORD.sub(lambda found: "" if found[1] else found[0], line))
