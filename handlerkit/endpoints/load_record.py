"""Which code runs while a handler is loaded, recorded by Python's own profiler at the cost of some per cent."""

from __future__ import annotations

import cProfile
import sys
import threading
from types import CodeType, FrameType
from typing import Any


class LoadRecord:
    """A context manager around a load. Told afterwards is every function that ran in this thread, and in those that
    were started inside.

    Attributes:
        codes: the code that ran; None where that is not known, because another profiler is at work.
    """

    def __init__(self) -> None:
        self.codes: set[CodeType] | None = None
        self._profiler: cProfile.Profile | None = None
        self._of_threads: set[CodeType] = set()
        self._over = False

    def __enter__(self) -> LoadRecord:
        self._before = threading.getprofile()
        if sys.getprofile() is None and self._before is None:
            profiler = cProfile.Profile(subcalls=False, builtins=False)
            try:
                profiler.enable()
            except ValueError:  # from Python 3.12 on, where another one is there already
                return self
            self._profiler = profiler
            threading.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._profiler is None:
            return
        self._over = True
        threading.setprofile(None)
        lost = sys.version_info < (3, 12) and id(sys.getprofile()) != id(self._profiler)
        self._profiler.disable()
        if not lost:  # the handler may have begun to profile
            entries = self._profiler.getstats()
            self.codes = {entry.code for entry in entries if isinstance(entry.code, CodeType)} | self._of_threads
        self._profiler = None

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if self._over:
            sys.setprofile(None)  # of that thread
        elif event == "call":
            self._of_threads.add(frame.f_code)
