"""What belongs to a worker process and not to the handler's objects: put back to what it was after the load, or looked
at, where it cannot be."""

from __future__ import annotations

import decimal
import functools
import gc
import itertools
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from handlerkit.worker_process.reload_required import ReloadRequired

#: Functions without arguments that tell a setting, by module: looked at where the module is imported.
_SETTINGS = {
    "torch": (
        "is_grad_enabled", "is_inference_mode_enabled", "get_default_dtype", "get_default_device", "get_num_threads",
        "get_num_interop_threads", "are_deterministic_algorithms_enabled", "get_float32_matmul_precision",
        "is_deterministic_algorithms_warn_only_enabled", "is_autocast_cache_enabled",
    ),
    "numpy": ("geterr", "geterrcall", "get_printoptions"),
}  # fmt: skip
#: Module attributes that are settings.
_ATTRIBUTES = {
    "PIL.Image": ("MAX_IMAGE_PIXELS",),
    "PIL.ImageFile": ("LOAD_TRUNCATED_IMAGES", "MAXBLOCK"),
    "json": ("dumps", "loads", "dump", "load"),
    "tempfile": ("tempdir",),
    "logging": ("raiseExceptions",),
}


@functools.cache
def imported() -> dict[str, ModuleType]:
    """The modules that were there when this was first asked. The process that workers are forked from asks: to look at
    them all in a worker would copy the memory that they are in."""
    return {name: module for name, module in sys.modules.items() if name != "__main__"}


def keep() -> Callable[[], None]:
    """What makes the process, after requests, what it is now: raises ReloadRequired if it cannot, as for settings of
    torch, numpy and Pillow. Modules that requests imported are forgotten."""
    environment, path, folder = variables_now().copy(), list(sys.path), os.getcwd()
    before, streams, root = imported(), (sys.stdout, sys.stderr), logging.root
    last = next(reversed(before))
    new = list(itertools.takewhile(lambda name: name != last, reversed(sys.modules)))
    since = {name: sys.modules[name] for name in (*new, "__main__")}
    levels, handlers = (root.level, root.manager.disable), list(root.handlers)
    filters, show = list(warnings.filters), warnings.showwarning
    settings = dict(_settings())

    def back() -> None:
        for name, value in _settings():
            if settings.get(name, value) != value:
                raise ReloadRequired(f"requests changed {name}")
        os.chdir(folder)
        sys.path[:] = path
        now = variables_now()
        for variable in [one for one in now if one not in environment]:
            del os.environb[variable]
        for variable, text in environment.items():
            if now.get(variable) != text:
                os.environb[variable] = text
        for name in sys.modules.keys() - before.keys() - since.keys():
            if not _is_settled(name):
                del sys.modules[name]
        sys.modules.update(before)
        sys.modules.update(since)
        sys.stdout, sys.stderr = streams
        root.handlers = list(handlers)
        if (root.level, root.manager.disable) != levels:  # each of these looks through all the loggers there are
            root.setLevel(levels[0])
            logging.disable(levels[1])
        warnings.filters[:] = filters  # type: ignore[index]
        warnings.showwarning = show

    return back


def variables_now() -> dict[bytes, bytes]:
    """The environment itself, in bytes: os.environ decodes each variable again."""
    return os.environ._data  # type: ignore[attr-defined, no-any-return]


def _is_settled(name: str) -> bool:
    """Whether a module is an installed one, which a new process would import again as it is."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is None or file.startswith((sys.prefix, sys.base_prefix))


def _settings() -> Iterator[tuple[str, Any]]:
    yield "the timer of signals", _timer()
    yield "the handlers of signals", tuple(map(signal.getsignal, (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD)))
    yield "sys.argv", tuple(sys.argv)
    yield "sys.meta_path", len(sys.meta_path)
    yield "the interpreter's limits", (sys.getswitchinterval(), sys.getrecursionlimit(), sys.get_int_max_str_digits())
    yield "the garbage collector", (gc.get_threshold(), gc.isenabled())
    yield "socket's time-out", socket.getdefaulttimeout()
    yield "decimal's context", str(decimal.getcontext()).partition(", flags")[0]
    yield "the umask", _umask()
    yield "the stack size of threads", threading.stack_size()
    for module, names in _SETTINGS.items():
        if (found := sys.modules.get(module)) is not None:
            yield from (
                (f"{module}.{name}", str(tell())) for name in names if callable(tell := getattr(found, name, None))
            )
    for module, names in _ATTRIBUTES.items():
        if (found := sys.modules.get(module)) is not None:
            yield from ((f"{module}.{name}", getattr(found, name, None)) for name in names)


def _timer() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask
