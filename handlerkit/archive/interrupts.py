"""Ctrl-C at moments that can bear it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_deferred() -> Iterator[Callable[[], None]]:
    """Ctrl-C waits until the function that this yields is called, or until the block ends.

    Python raises KeyboardInterrupt between any two instructions, also between the two that take a lock and remember
    it, or that rename two folders. In here it comes where the caller looks for it, and clearing up is never cut short.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield lambda: None  # it is raised in the main thread alone, and not where it is ignored
        return
    pressed: list[FrameType | None] = []

    def deliver() -> None:
        if pressed:
            frame = pressed.pop()
            pressed.clear()
            handler(signal.SIGINT, frame)

    signal.signal(signal.SIGINT, lambda _, frame: pressed.append(frame))
    try:
        yield deliver
    finally:
        signal.signal(signal.SIGINT, handler)
        deliver()
