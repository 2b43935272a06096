"""How far a run is, on stderr: a line that changes on a terminal, and elsewhere one now and then."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_OFTEN, _SELDOM = 0.2, 15.0


class Progress:
    """Counts results. `done` of `total` inputs had theirs before."""

    def __init__(self, total: int, done: int = 0, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._total, self._before = total, done
        self.scored = self.failed = 0
        self._begun = self._told = time.monotonic()
        self._is_open = False

    def add(self, ok: bool) -> None:
        """One more result."""
        self.scored += 1
        self.failed += not ok
        now = time.monotonic()
        if now - self._told >= (_OFTEN if self._stream.isatty() else _SELDOM):
            self._told = now
            self._say(self._line(now))

    def end(self) -> None:
        """The last word."""
        self._say(self._line(time.monotonic()))
        if self._is_open:
            self._stream.write("\n")
            self._stream.flush()

    def _line(self, now: float) -> str:
        done, seconds = self._before + self.scored, max(now - self._begun, 1e-9)
        rate = self.scored / seconds
        share = f" ({100 * done // self._total} %)" if self._total else ""
        line = f"{done} of {self._total}{share}, {rate:.3g}/s, {self.failed} failed"
        left = self._total - done
        return f"{line}, {_clock(left / rate)} left" if rate and left > 0 else f"{line}, {_clock(seconds)}"

    def _say(self, line: str) -> None:
        if self._stream.isatty():
            self._stream.write(f"\r\x1b[K{line}")
            self._is_open = True
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
