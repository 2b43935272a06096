"""What a rule looks at, and what TorchServe answers in each kind of failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from handlerkit.messages import ErrorInfo, Finding, Frame

LOAD = "Registering the model answers 500 'Failed to start workers'; the cause stands only in the server's log."
FAILED = "Every client of the batch gets 503 'Prediction failed'; the exception stands only in the server's log."
DIED = "Every client of the batch gets 500 'Worker died.', and the worker is started again."


@dataclass(frozen=True)
class Evidence:
    """What is known of a load or a call while its objects are still alive; never kept.

    `files` are the names of the model's own Python files; `classes` those the loader found in the handler module.
    `died` is set where the worker process would be gone. `logged` is what a worker in another process said of the
    returned value, which is not at hand then.
    """

    error: BaseException | None = None
    info: ErrorInfo | None = None
    loading: bool = False
    files: tuple[str, ...] = ()
    classes: tuple[type, ...] = ()
    returned: Any = None
    rows: Sequence[Any] = field(default=())
    died: str = ""
    logged: str = ""

    @property
    def frame(self) -> Frame | None:
        """The innermost line of the model's own files."""
        frames = self.info.frames if self.info else ()
        return next((frame for frame in reversed(frames) if frame.file in self.files), None)

    @property
    def where(self) -> str:
        """That line, as a reader finds it."""
        frame = self.frame
        return f"{frame.file}, line {frame.line}, in {frame.function}: {frame.source}" if frame else ""

    @property
    def name(self) -> str:
        """The exception's class and text on one line."""
        text = " ".join(str(self.error).split())
        return f"{type(self.error).__name__}: {text}" if text else type(self.error).__name__


#: The finding, or None where the rule does not fit.
Rule = Callable[[Evidence], Finding | None]
