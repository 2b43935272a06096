"""Which code runs while a handler is loaded, recorded by Python's own profiler at the cost of some per cent; and which
Python files it reads, as the operating system tells."""

from __future__ import annotations

import cProfile
import inspect
import linecache
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from handlerkit.worker_process.hot_reload.file_opens import FileOpens


class LoadRecord:
    """A context manager around a load. Told afterwards is every function that ran in this thread, and in those that
    were started inside.

    Args:
        model_dir: where the handler is loaded from.

    Attributes:
        codes: the code that ran; None if that is not known, because another profiler is at work.
        read: the Python files of model_dir that were opened otherwise than to import them or to quote a line of theirs,
            and all files in which the source of a function or class was looked for, or whose lines linecache gave.
        knows_opens: whether the system told which files were opened.
    """

    def __init__(self, model_dir: Path) -> None:
        self.codes: set[CodeType] | None = None
        self.read: set[str] = set()
        self.knows_opens = False
        self._opens = FileOpens(model_dir.rglob("*.py"))
        self._profiler: cProfile.Profile | None = None
        self._of_threads: set[CodeType] = set()
        self._over = False

    def __enter__(self) -> LoadRecord:
        self._opens.__enter__()
        self._findsource: Any = inspect.findsource
        inspect.findsource = self._find  # type: ignore[assignment]
        self._getlines: Any = linecache.getlines
        linecache.getlines = self._lines
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
        self._over = True
        inspect.findsource = self._findsource
        if linecache.getlines == self._lines:  # torch.fx puts another there, which calls this one
            linecache.getlines = self._getlines
        if self._profiler is not None:
            threading.setprofile(None)
            lost = sys.version_info < (3, 12) and id(sys.getprofile()) != id(self._profiler)
            self._profiler.disable()
            if not lost:  # the handler may have begun to profile
                entries = self._profiler.getstats()
                self.codes = {entry.code for entry in entries if isinstance(entry.code, CodeType)} | self._of_threads
            self._profiler = None
        self._opens.__exit__()
        if self._opens.counts is not None:
            self.knows_opens = True
            self.read |= {file for file, count in self._opens.counts.items() if count > _explained(file)}

    def _find(self, thing: Any) -> Any:
        """inspect.findsource, which every way to the source of a function goes through. Of a frame it is asked for the
        line that runs, to quote it."""
        if not isinstance(thing, FrameType) and not self._over:
            with suppress(TypeError):
                self.read.add(inspect.getfile(thing))
        return self._findsource(thing)

    def _lines(self, filename: str, module_globals: dict[str, Any] | None = None) -> Any:
        """linecache.getlines, which also holds files that nobody opens: the sources of what was imported."""
        if not self._over and not _quotes(sys._getframe(1)):
            self.read.add(filename)
        return self._getlines(filename, module_globals)

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if self._over:
            sys.setprofile(None)  # of that thread
        elif event == "call":
            self._of_threads.add(frame.f_code)


def _quotes(frame: FrameType | None) -> bool:
    """Whether lines are asked for to show one of them beside its number."""
    while frame is not None and frame.f_globals.get("__name__") == "linecache":
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") in ("traceback", "warnings", "inspect", "tracemalloc")


def _explained(file: str) -> int:
    """How often a file was opened for the interpreter's own sake."""
    newest_first = reversed(sys.modules.values())  # a file of the model is among the first
    imported = any(getattr(module, "__file__", None) == file for module in newest_first)
    return imported + (file in linecache.cache)
