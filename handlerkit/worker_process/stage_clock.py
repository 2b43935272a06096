"""How the stages of a call are timed: functions of the handler and of TorchServe are replaced meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

_MISSING = object()


class Clocked:
    """Replaces attributes of classes and modules with timed ones during a call. Others share them (a default handler's
    class belongs to every worker of the process), so each is restored."""

    def __init__(self, timed: Sequence[tuple[Any, str, Callable[..., Any]]]) -> None:
        self._timed = timed
        self._before: list[Any] = []

    def __enter__(self) -> None:
        self._before = [vars(holder).get(name, _MISSING) for holder, name, _ in self._timed]
        for holder, name, function in self._timed:
            setattr(holder, name, function)

    def __exit__(self, *_: object) -> None:
        for (holder, name, _function), before in zip(self._timed, self._before, strict=True):
            delattr(holder, name) if before is _MISSING else setattr(holder, name, before)


def synchronize() -> Callable[[], object] | None:
    """What waits for the GPU, if this process uses one: kernels run on after the call that starts them."""
    torch = sys.modules.get("torch")
    return torch.cuda.synchronize if torch is not None and torch.cuda.is_initialized() else None
