"""What the workers of an app on this machine are handed, while somebody asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handlerkit.serving.workers.recorder import messages_in


class Recording:
    """The messages to an app's workers since it began; `messages` can be read after its block, too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: tuple[bytes, ...] | None = None

    @property
    def messages(self) -> tuple[bytes, ...]:
        """Those to one worker in their order, then those to another."""
        return tuple(messages_in(self._folder)) if self._read is None else self._read

    def end(self) -> None:
        """Keep no more."""
        self._read = self.messages
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def recorded_in(folder: Path) -> Iterator[Recording]:
    """Record in this folder, which an app was started with (SERVING_RECORD), and which is there in this block alone."""
    folder.mkdir()
    recording = Recording(folder)
    try:
        yield recording
    finally:
        recording.end()
