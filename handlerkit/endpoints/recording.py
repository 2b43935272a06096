"""What the workers of an app on this machine are handed, while somebody asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from handlerkit.serving.workers.recorder import messages_in


@dataclass
class Recording:
    """The messages to an app's workers, once its block has ended: those to one worker in their order, then those to
    another."""

    messages: tuple[bytes, ...] = ()


@contextmanager
def recorded_in(folder: Path) -> Iterator[Recording]:
    """Record in this folder, which an app was started with (SERVING_RECORD), and which is there in this block alone."""
    folder.mkdir()
    recording = Recording()
    try:
        yield recording
    finally:
        recording.messages = tuple(messages_in(folder))
        shutil.rmtree(folder, ignore_errors=True)
