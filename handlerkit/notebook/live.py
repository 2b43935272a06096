"""Streamed answers in the cell while they come."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from handlerkit.messages import LogLine
from handlerkit.serving.wire import WorkerResponse
from handlerkit.view.displays import view
from handlerkit.view.live import GrowingStreams

_INTERVAL = 0.08  # seconds between two pictures of a growing text


class LiveDisplay:
    """A display that grows with streamed answers, and becomes that of the result: a cell has one display in the end.

    A kernel's front end that can be asked for input has a person before it. Nothing is live for programs that run
    notebooks, in a terminal or in a script. Nothing is displayed before the first piece.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._streams = GrowingStreams(names)
        self._handle: Any = None
        self._shown_at = 0.0
        self._later: threading.Timer | None = None  # shows what came since
        self._lock = threading.Lock()
        self._result: tuple[int, object] | None = None

    def hear(self, event: LogLine | WorkerResponse) -> None:
        """A piece of each stream, or a line of the log, which is not shown."""
        if not isinstance(event, WorkerResponse) or not event.is_intermediate or not _is_watched():
            return
        with self._lock:
            self._streams.take(event)
            wait = self._shown_at + _INTERVAL - time.monotonic()
            if wait <= 0:
                self._show()
            elif self._later is None:
                # in a context of this thread, by which a kernel knows the cell
                self._later = threading.Timer(wait, contextvars.copy_context().run, [self._show_rest])
                self._later.daemon = True
                self._later.start()

    def end(self, result: object) -> None:
        """Show the result instead of what grew; `stands_for` then says so of it, in this cell."""
        self._stop()
        if self._handle is not None:
            self._handle.update(view(result))
            self._result = _cell(), result

    def stands_for(self, shown: object) -> bool:
        """Whether the cell displays this already."""
        return self._result is not None and self._result[1] is shown and self._result[0] == _cell()

    def __enter__(self) -> LiveDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if error is not None and self._handle is not None:
            self._show(f"broken off by {type(error).__name__}")  # what came until then

    def _show_rest(self) -> None:
        with self._lock:
            if self._later is not None:
                self._show()

    def _stop(self) -> None:
        """From here on nothing is shown later."""
        with self._lock:
            if self._later is not None:
                self._later.cancel()
                self._later = None

    def _show(self, state: str = "streaming") -> None:
        from IPython.display import display

        shown, self._later = self._streams.view(state), None
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown)
        self._shown_at = time.monotonic()


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _is_watched() -> bool:
    return bool(getattr(getattr(_shell(), "kernel", None), "_allow_stdin", False))


def _cell() -> int:
    """The number of the cell that runs."""
    return int(_shell().execution_count)
