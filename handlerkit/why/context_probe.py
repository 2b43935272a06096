"""What a handler asks its context for, where that may be a mistake."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterable
from typing import Any

from handlerkit.why.evidence import RecordedCall


def watch(context: Any) -> list[RecordedCall]:
    """Let a `ts.context.Context` note the calls that rules ask about, in the list returned; the caller empties it.

    Noted are headers that were "found" or, for another casing, "missed" (the value is the name as sent); `explain` and
    `describe` as "asked", where they matter; and "set_response_status".
    The context stays what it is to a handler: its attributes, its class's name and its answers are the same.
    """
    notes: list[RecordedCall] = []
    kind = type(context)

    class Watched(kind):  # type: ignore[misc, valid-type]
        @functools.wraps(kind.get_request_header)
        def get_request_header(self, idx: int, key: str) -> Any:
            value = super().get_request_header(idx, key)
            if value is None:
                sent = self._request_processor[idx].get_request_properties()
                wanted = key.lower() if isinstance(key, str) else key
                if (other := next((name for name in sent if name.lower() == wanted), None)) is not None:
                    _note("missed", (idx, key), other)
            elif key not in ("explain", "describe"):
                _note("found", (idx, key), value)
            elif value != "False" or len(self._request_processor) > 1 or not _from_package():
                _note("asked", (idx, key), value)
            return value

        @functools.wraps(kind.set_response_status)
        def set_response_status(self, *arguments: Any, **named: Any) -> None:
            values = dict(zip(("code", "phrase", "idx"), arguments, strict=False)) | named
            _note("set_response_status", (values.get("code", 200), values.get("phrase", ""), values.get("idx")), None)
            super().set_response_status(*arguments, **named)

    def _note(method: str, arguments: tuple[Any, ...], value: Any) -> None:
        frame = sys._getframe(2)
        notes.append(RecordedCall(method, arguments, value, frame.f_code.co_filename, frame.f_lineno))

    Watched.__name__, Watched.__qualname__, Watched.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    context.__class__ = Watched
    return notes


def _from_package() -> bool:
    """Whether TorchServe's own code asks: BaseHandler does for every request, and compares as it should."""
    return "/site-packages/" in sys._getframe(2).f_code.co_filename


def note_debug(notes: list[RecordedCall], files: Iterable[str]) -> None:
    """Note that the root logger, or one named after a file of the model, was asked to log at DEBUG, which a worker
    does not: loggers keep their answer to that question."""
    asked = logging.root._cache.pop(logging.DEBUG, True) is False  # type: ignore[attr-defined]
    loggers = logging.root.manager.loggerDict
    for file in files:
        if isinstance(logger := loggers.get(file[:-3]), logging.Logger):
            asked |= logger._cache.pop(logging.DEBUG, True) is False  # type: ignore[attr-defined]
    if asked:
        notes.append(RecordedCall("debug", (), None, "", 0))
