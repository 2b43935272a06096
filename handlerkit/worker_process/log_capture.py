"""What a worker logs: logging on the root logger at INFO, stdout, stderr and warnings, as lines in one order."""

from __future__ import annotations

import importlib
import io
import logging
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from handlerkit.messages import LogLine
from handlerkit.messages.run import MODEL_DIR

if TYPE_CHECKING:
    from handlerkit.worker_process.user_files import UserFiles

#: The kit's own folder.
KIT = str(Path(__file__).resolve().parents[1])


class PlainPaths:
    """Paths as the user knows them: those in model_dir by their name alone, those of installed packages from the
    package on. `users`: what code of the model's files names instead of the staged ones."""

    def __init__(self, model_dir: Path, users: UserFiles | None = None) -> None:
        self._model_dir = str(model_dir)
        self._users = users

    def plain(self, text: str) -> str:
        """`text` without this machine's paths."""
        if "/" not in text:
            return text
        if self._users is not None:
            text = self._users.plain(text)
        text = text.replace(f'File "{self._model_dir}/', 'File "').replace(self._model_dir, MODEL_DIR)
        return _PACKAGED.sub(r"\1", text)


class Journal:
    """Collects lines while handler code runs. `handler`, `stdout` and `stderr` write into it, and `hear` is called with
    each line."""

    def __init__(self, paths: PlainPaths) -> None:
        self.plain = paths.plain
        self._hear: Callable[[LogLine], object] | None = None
        self._lines: list[LogLine] = []
        self.handler: logging.Handler = _RecordHandler(self)
        self._files = _LineStream(self, "INFO"), _LineStream(self, "WARN")
        #: Take bytes of the two streams.
        self.write_out, self.write_err = (file.write for file in self._files)
        self.stdout, self.stderr = map(_text, self._files)

    @property
    def hear(self) -> Callable[[LogLine], object] | None:
        """Is told of the lines that are there already, too."""
        return self._hear

    @hear.setter
    def hear(self, hear: Callable[[LogLine], object] | None) -> None:
        self._hear = hear
        if hear is not None:
            for line in self._lines:
                hear(line)

    def add(self, level: str, text: str) -> None:
        """One record; a text of several lines becomes several lines, as in TorchServe's log."""
        for line in self.plain(text).split("\n"):
            self._lines.append(entry := LogLine(level, line))
            if self._hear is not None:
                self._hear(entry)

    def take(self) -> tuple[LogLine, ...]:
        """The lines since the last call."""
        self.end_lines()
        lines, self._lines = self._lines, []
        return tuple(lines)

    def end_lines(self) -> None:
        """What was written to the two streams since their last line's end is a line."""
        for file in self._files:
            file.end_line()


_PACKAGED = re.compile(r"(?<![\w/])/[^\s\"']*?/(?:site-packages|lib/python3\.\d+)/((?!site-packages)[^\s\"']+)")


class _RecordHandler(logging.Handler):
    """A worker's logging.basicConfig: the bare message on stdout, with the traceback if there is one. Whatever its
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


class _LineStream(io.RawIOBase):
    """A raw stream that hands whole lines to a journal."""

    def __init__(self, journal: Journal, level: str) -> None:
        self._journal = journal
        self._level = level
        self._rest: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        lines, end, rest = bytes(data).rpartition(b"\n")
        if end:
            self._rest.append(lines)
            self._add()
        if rest:
            self._rest.append(rest)
        return len(data)

    def flush(self) -> None:
        if not self.closed:
            self.end_line()

    def end_line(self) -> None:
        """Hand over what was written since the last line's end."""
        if self._rest:
            self._add()

    def _add(self) -> None:
        lines, self._rest = b"".join(self._rest), []
        self._journal.add(self._level, lines.decode(errors="replace"))


def _text(lines: _LineStream) -> TextIO:
    unbuffered: Any = lines  # so that lines of both streams keep their order
    return io.TextIOWrapper(unbuffered, encoding="utf-8", errors="backslashreplace", write_through=True)


#: The kit, and the import system, whose frames are between a file and what it imports.
_HIDDEN = (KIT, "<frozen importlib", importlib.__file__)


def hide_kit() -> None:
    """Have the tracebacks that a handler writes hold no frames of this package, as on the server."""
    made = traceback.TracebackException.__init__

    def make(self: Any, kind: Any, error: Any, trace: TracebackType | None, **options: Any) -> None:
        made(self, kind, error, _without(trace, (f"{KIT}/",)) or trace, **options)

    traceback.TracebackException.__init__ = make  # type: ignore[assignment,method-assign]


def without_kit(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without this package's own frames, as on the server."""
    return _without(trace, _HIDDEN)


def _without(trace: TracebackType | None, hidden: tuple[str, ...]) -> TracebackType | None:
    frames = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(hidden):
            frames.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for frame in reversed(frames):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept
