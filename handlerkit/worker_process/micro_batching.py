"""ts.handler_utils.micro_batching: the threads in which a handler's stages run side by side."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from handlerkit.timing import Stopwatch


def handler_of(entry: Any) -> Any:
    """The object whose method an entry point is, or that micro-batching wraps; None for a function."""
    return getattr(entry, "handler", None) or getattr(entry, "__self__", None)


def timed_threads(watch: Stopwatch) -> Callable[..., None]:
    """ts.handler_utils.micro_batching.execute_call, with the stage that its thread runs reporting to `watch`."""
    from ts.handler_utils.micro_batching import execute_call

    def execute(in_queue: Any, out_queue: Any, handle: Callable[..., Any], *rest: Any) -> None:
        execute_call(in_queue, out_queue, watch.time(handle.__name__, handle), *rest)

    return execute


def thread_groups(entry: Any) -> Iterator[dict[str, list[Any]]]:
    """The thread groups of the micro-batching that a handler made, as its `handle` or in another attribute."""
    if (module := sys.modules.get("ts.handler_utils.micro_batching")) is None:
        return
    handler = handler_of(entry)
    for value in vars(handler).values() if hasattr(handler, "__dict__") else ():
        if isinstance(value, module.MicroBatching):
            yield value.thread_groups


def ending(groups: dict[str, list[Any]]) -> Callable[[], None]:
    """What ends those threads. They are not daemons, so the interpreter would wait for them forever."""

    def end() -> None:
        for worker in [worker for group in groups.values() for worker in group]:
            worker.event.set()

    threading._register_atexit(end)  # type: ignore[attr-defined]  # atexit's functions run after the threads have ended
    return end
