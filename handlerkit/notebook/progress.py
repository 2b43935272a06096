"""Progress of long work, as one line of plain text that grows.

A widget would stay in the saved notebook as a view without its model, and no run's text would equal the next one's.
The line is the same each time, and shows in a terminal's IPython as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from handlerkit.formatting import visible

#: Less than this is written before a line could be read.
_WORTH_A_LINE = 64_000_000
_STEPS = 10


@contextmanager
def step(first: str) -> Iterator[Callable[[str], None]]:
    """A line that says what is going on; call it with the next sentence. Only in IPython and on a terminal.

    Past the block the line has ended, and whoever still calls it, as a server that goes on, writes nothing.
    """
    said, ended = "", False

    def say(sentence: str) -> None:
        nonlocal said
        if sentence != said and not ended:
            _write(f", {sentence}" if said else sentence)
            said = sentence

    say(first)
    try:
        yield say
    finally:
        ended = True
        _write("\n")


@contextmanager
def bytes_written(what: str) -> Iterator[Callable[[int, int], None]]:
    """A line that counts `progress(done, total)`, in bytes, up to 100 %; small files have none."""
    shown = -1

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if total >= _WORTH_A_LINE:
            if shown < 0:
                _write(what)
                shown = 0
            while shown < _STEPS * done // total:
                shown += 1
                _write(f" {100 * shown // _STEPS} %")

    try:
        yield progress
    finally:
        if shown >= 0:
            _write("\n")


def _write(text: str) -> None:
    """Below the cell, or on the standard error of a terminal, whose standard output is for results."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        print(visible(text), end="", flush=True)
    elif sys.stderr is not None and sys.stderr.isatty():
        print(visible(text), end="", flush=True, file=sys.stderr)
