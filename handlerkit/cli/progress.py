"""What a long command says on the standard error: in a terminal one line that changes, elsewhere a line each time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CLEAR = "\r\x1b[K"


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Gives a function to call with a few words on what is going on; the terminal's line is cleared afterwards."""
    stream = sys.stderr
    terminal, said = stream is not None and stream.isatty(), ""

    def say(words: str) -> None:
        nonlocal said
        if stream is not None and words != said:
            stream.write(f"{_CLEAR}{words}" if terminal else f"{words}\n")
            stream.flush()
            said = words

    try:
        yield say
    finally:
        if terminal and said:
            stream.write(_CLEAR)
            stream.flush()
