"""The most memory that a piece of work takes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

R = TypeVar("R")


@dataclass(frozen=True)
class Memory:
    """The most memory that a piece of work took, in bytes; None if the system cannot tell.

    `process` is the process's peak resident size and `added` what the work added to it, which is nothing if it found
    room that the process had free; `cuda` the peak of what torch had allocated on the GPU.
    """

    process: int | None = None
    added: int | None = None
    cuda: int | None = None


def peak_memory(work: Callable[[], R]) -> tuple[R, Memory]:
    """What `work` returns, and the most memory that it took: this process's resident size, and torch's on the GPU.

    The process's peak is Linux's VmHWM, set back by writing 5 to clear_refs (proc_pid_clear_refs(5)); elsewhere, and
    if the system forbids that, it is None. CUDA's is that of torch's own allocator, on the device in use. Garbage
    goes first: what a collection amid the work gave back would hide as much of what the work took.
    """
    gc.collect()
    cuda = _cuda()
    before = _reset()
    if cuda is not None:
        cuda.reset_peak_memory_stats()
    returned = work()
    peak = None if before is None else _status("VmHWM")
    added = None if before is None or peak is None else max(0, peak - before)
    return returned, Memory(peak, added, None if cuda is None else int(cuda.max_memory_allocated()))


def _reset() -> int | None:
    """Forget the peak so far. The resident size now; None if there is no peak to be had."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return None
    return _status("VmRSS")


def _status(key: str) -> int | None:
    with open("/proc/self/status") as file:
        found = next((line for line in file if line.startswith(f"{key}:")), None)
    return int(found.split()[1]) * 1024 if found else None


def _cuda() -> Any:
    """torch.cuda where it is in use already: looking must not start it."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
