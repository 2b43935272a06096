"""Progress of long work, as one widget display that is gone when the work is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from handlerkit.notebook.results import file_size

#: Less than this is written before a bar could be seen.
_WORTH_A_BAR = 64_000_000


@contextmanager
def step(first: str) -> Iterator[Callable[[str], None]]:
    """A line that says what is going on now; call it with the next sentence."""
    label = _show("Label", value=first)
    try:
        yield (lambda sentence: setattr(label, "value", sentence)) if label else (lambda sentence: None)
    finally:
        if label:
            label.close()


@contextmanager
def bytes_written(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for `progress(done, total)` in bytes; small files show none."""
    bar: Any = None

    def progress(done: int, total: int) -> None:
        nonlocal bar
        if total >= _WORTH_A_BAR:
            bar = bar or _show("IntProgress", max=total, description=what, style={"description_width": "initial"})
            if bar:
                bar.value = done
                bar.description = f"{what}: {file_size(done)} of {file_size(total)}"

    try:
        yield progress
    finally:
        if bar:
            bar.close()


def _show(kind: str, **options: Any) -> Any:
    """An ipywidgets display in a notebook; nothing in a terminal or a script."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    import ipywidgets
    from IPython.display import display

    widget = getattr(ipywidgets, kind)(**options)
    display(widget)  # type: ignore[no-untyped-call]
    return widget
