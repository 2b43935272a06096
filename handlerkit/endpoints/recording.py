"""What the workers of an app on this machine are handed, while somebody asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from handlerkit.serving.workers.recorder import RECORD, messages_in


@dataclass
class Recording:
    """The messages to an app's workers, once its block has ended: those to one worker in their order, then those to
    another."""

    messages: tuple[bytes, ...] = ()


class RecordFolder:
    """Where the workers of an app that is started with these variables keep their messages, while it is there.

    Attributes:
        variables: what the app's environment has for that.
    """

    def __init__(self, path: Path) -> None:
        self.variables = {RECORD: str(path)}
        self._path = path
        self._lock = RLock()  # one that is nested fails, instead of waiting for itself

    @contextmanager
    def recording(self) -> Iterator[Recording]:
        """Record in this block; another thread's waits for its end."""
        recording = Recording()
        with self._lock:
            self._path.mkdir()
            try:
                yield recording
            finally:
                recording.messages = tuple(messages_in(self._path))
                shutil.rmtree(self._path, ignore_errors=True)
