"""Records what a handler asks its context for, and tells it, where that may be a mistake."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterable
from typing import Any

from handlerkit.why.evidence import ALL, RecordedCall


def record_calls(context: Any) -> list[RecordedCall]:
    """Let a `ts.context.Context` record the calls that rules look at, in the list returned; the caller empties it.

    To a handler the context stays what it is: its attributes, its class's name and its answers are the same.
    """
    calls: list[RecordedCall] = []
    kind = type(context)

    class Recording(kind):  # type: ignore[misc, valid-type]
        @functools.wraps(kind.get_request_header)
        def get_request_header(self, idx: int, key: str) -> Any:
            value = super().get_request_header(idx, key)
            if value is None:
                sent = self._request_processor[idx].get_request_properties()
                wanted = key.lower() if isinstance(key, str) else key
                if (other := next((name for name in sent if name.lower() == wanted), None)) is not None:
                    calls.append(RecordedCall("header_missed", (idx, key), other, *_caller()))
            elif key not in ("explain", "describe"):
                calls.append(RecordedCall("header_found", (idx, key), value, *_caller()))
            elif value != "False" or len(self._request_processor) > 1 or not _from_package():
                calls.append(RecordedCall("explain_or_describe", (idx, key), value, *_caller()))
            return value

        @functools.wraps(kind.set_response_status)
        def set_response_status(self, *arguments: Any, **named: Any) -> None:
            values = dict(zip(("code", "phrase", "idx"), arguments, strict=False)) | named
            given = (values.get("code", 200), values.get("phrase", ""), values.get("idx"))
            calls.append(RecordedCall("set_response_status", given, None, *_caller()))
            super().set_response_status(*arguments, **named)

        @functools.wraps(kind.set_all_response_status)
        def set_all_response_status(self, *arguments: Any, **named: Any) -> None:
            values = dict(zip(("code", "phrase"), arguments, strict=False)) | named
            given = (values.get("code", 200), values.get("phrase", ""), ALL)
            calls.append(RecordedCall("set_response_status", given, None, *_caller()))
            super().set_all_response_status(*arguments, **named)

    Recording.__name__, Recording.__qualname__, Recording.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    context.__class__ = Recording
    return calls


def _caller() -> tuple[str, int]:
    """The file and line that called the context."""
    frame = sys._getframe(2)
    return frame.f_code.co_filename, frame.f_lineno


def _from_package() -> bool:
    """Whether TorchServe's own code asks: BaseHandler does for every request, and compares as it should."""
    return "/site-packages/" in sys._getframe(2).f_code.co_filename


def record_debug(calls: list[RecordedCall], files: Iterable[str]) -> None:
    """Record whether the root logger, or one named after a file of the model, was asked to log at DEBUG, which a worker
    does not: loggers keep their answer to that question."""
    asked = logging.root._cache.pop(logging.DEBUG, True) is False  # type: ignore[attr-defined]
    loggers = logging.root.manager.loggerDict
    for file in files:
        if isinstance(logger := loggers.get(file[:-3]), logging.Logger):
            asked |= logger._cache.pop(logging.DEBUG, True) is False  # type: ignore[attr-defined]
    if asked:
        calls.append(RecordedCall("debug"))
