"""What torch compiled of a handler's code, and keeps for as long as the process lives."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any


def scripted(holds: Callable[[str], bool]) -> str:
    """The name of a function or class that TorchScript compiled, and would not compile again; "" if there is none.

    Args:
        holds: whether a file, by its path, is the handler's own.
    """
    jit: Any = sys.modules.get("torch.jit._state")
    recursive: Any = sys.modules.get("torch.jit._recursive")
    if jit is None or recursive is None:
        return ""
    kinds = [*recursive.concrete_type_store.type_store, *jit._script_classes]
    held: list[tuple[Any, Iterable[object]]] = [
        (function, [function]) for function in (*jit._jit_caching_layer, *jit._jit_function_overload_caching)
    ]
    held += [(kind, vars(kind).values()) for kind in kinds if isinstance(kind, type)]
    return next((str(one.__name__) for one, functions in held if _among(functions, holds)), "")


def _among(functions: Iterable[object], holds: Callable[[str], bool]) -> bool:
    return any(holds(one.__code__.co_filename) for one in functions if isinstance(one, FunctionType))


def forget() -> None:
    """Have torch.compile look at all code again: it does not see that a function changed which it took into another.
    What it remembers of code that it read goes too, and the stacks in which it compiled: they hold code."""
    frames: Any = sys.modules.get("torch._dynamo.convert_frame")
    if frames is None or not frames.input_codes.seen:
        return
    sys.modules["torch._dynamo"].reset()
    for name in ("torch._dynamo.bytecode_transformation", "torch._dynamo.guards"):
        for cache in vars(sys.modules[name]).values():
            if isinstance(cache, functools._lru_cache_wrapper):
                cache.cache_clear()
    stacks = sys.modules["torch.utils._traceback"].CapturedTraceback
    for one in gc.get_objects():
        if type(one) is stacks:
            one.cleanup()
