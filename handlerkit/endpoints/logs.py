"""What a worker logs: logging on the root logger at INFO, stdout, stderr and warnings, as lines in one order."""

from __future__ import annotations

import functools
import importlib
import io
import logging
import re
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TextIO

from handlerkit.messages import LogLine

_KIT = str(Path(__file__).resolve().parents[1])


class Journal:
    """Collects lines while handler code runs. `handler`, `stdout` and `stderr` write into it.

    Paths are told as the user knows them: those in model_dir by their name alone, those of installed packages from
    the package on.
    """

    def __init__(self, model_dir: Path) -> None:
        self._lines: list[LogLine] = []
        self._model_dir = str(model_dir)
        self.handler: logging.Handler = _RecordHandler(self)
        self._files = _Lines(self, "INFO"), _Lines(self, "WARN")
        self.stdout, self.stderr = map(_text, self._files)

    def add(self, level: str, text: str) -> None:
        """One record; a text of several lines becomes several lines, as in TorchServe's log."""
        if "\n" in text or "/" in text:
            self._lines += [LogLine(level, line) for line in self.plain(text).split("\n")]
        else:
            self._lines.append(LogLine(level, text))

    def take(self) -> tuple[LogLine, ...]:
        """The lines since the last call."""
        for file in self._files:
            file.end_line()
        lines, self._lines = self._lines, []
        return tuple(lines)

    def plain(self, text: str) -> str:
        """`text` without this machine's paths."""
        text = text.replace(f'File "{self._model_dir}/', 'File "').replace(self._model_dir, "<model_dir>")
        return _PACKAGED.sub(r"\1", text)


_PACKAGED = re.compile(r"(?<![\w/])/[^\s\"']*?/(?:site-packages|lib/python3\.\d+)/((?!site-packages)[^\s\"']+)")


class _RecordHandler(logging.Handler):
    """A worker's logging.basicConfig: the bare message on stdout, with the traceback where there is one. Whatever its
    level was, TorchServe files it as INFO."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.NOTSET)
        self._journal = journal
        self._bare = logging.Formatter("%(message)s")
        self.setFormatter(self._bare)

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            error = record.exc_info[1]
            record.exc_text = "".join(
                traceback.format_exception(type(error), error, without_kit(record.exc_info[2]))
            ).rstrip()
        formatted = record.exc_info or record.stack_info or self.formatter is not self._bare
        try:  # formatting takes as long as all the rest, and a plain record's message is what it would make of it
            text = self.format(record) if formatted else record.getMessage()
        except Exception:
            self.handleError(record)
        else:
            self._journal.add("INFO", text)

    def handleError(self, record: logging.LogRecord) -> None:
        """A log call with wrong arguments writes its traceback to stderr, as in a worker."""
        print("--- Logging error ---", file=sys.stderr)
        traceback.print_exc(file=sys.stderr)


class _Lines(io.RawIOBase):
    """A raw stream that hands whole lines to a journal."""

    def __init__(self, journal: Journal, level: str) -> None:
        self._journal = journal
        self._level = level
        self._rest = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        *lines, self._rest = (self._rest + bytes(data)).split(b"\n")
        for line in lines:
            self._journal.add(self._level, line.decode(errors="replace"))
        return len(data)

    def flush(self) -> None:
        if not self.closed:
            self.end_line()

    def end_line(self) -> None:
        """Hand over what was written since the last line's end."""
        if self._rest:
            line, self._rest = self._rest, b""
            self._journal.add(self._level, line.decode(errors="replace"))


def _text(lines: _Lines) -> TextIO:
    unbuffered: Any = lines  # so that lines of both streams keep their order
    return io.TextIOWrapper(unbuffered, encoding="utf-8", errors="backslashreplace", write_through=True)


def set_level(level: int, disabled: int) -> None:
    """The root logger's level, and the level up to which logging is off. Done only where it changes something: every
    logger of the process has to forget what it is enabled for."""
    root = logging.root
    if (root.level, root.manager.disable) != (level, disabled):
        root.level, root.manager.disable = level, disabled
        for answers in _logger_caches():
            if answers:
                answers.clear()


def _logger_caches() -> list[dict[int, bool]]:
    """What each logger remembers of the levels it is enabled for. Logger.setLevel looks at every logger twice a call,
    which after a large picture has gone through the processor's cache takes longer than the rest of the guard."""
    loggers = logging.root.manager.loggerDict
    found = _find_caches(len(loggers))
    if list(map(loggers.get, found.names)) != found.placeholders:
        _find_caches.cache_clear()
        found = _find_caches(len(loggers))
    return found.caches


class _Caches(NamedTuple):
    """`placeholders` stand for the loggers of these names, which nobody has asked for yet; one that takes a
    placeholder's place has a cache that is not among these."""

    caches: list[dict[int, bool]]
    names: list[str]
    placeholders: list[logging.PlaceHolder]


@functools.lru_cache(maxsize=1)
def _find_caches(count: int) -> _Caches:
    """Looked for again when there are more loggers."""
    root = logging.root
    caches = [vars(one)["_cache"] for one in root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    waiting = {name: one for name, one in root.manager.loggerDict.items() if isinstance(one, logging.PlaceHolder)}
    return _Caches([vars(root)["_cache"], *caches], list(waiting), list(waiting.values()))


#: The kit, and the import system, whose frames stand between a file and what it imports.
_HIDDEN = (_KIT, "<frozen importlib", importlib.__file__)


def without_kit(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without this package's own frames: what stands on the server."""
    frames = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_HIDDEN):
            frames.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for frame in reversed(frames):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept
