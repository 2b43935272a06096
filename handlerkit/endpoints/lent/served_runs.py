"""The requests of clients, as Runs: the last ones, within bounds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import overload

from handlerkit.messages import Run

#: Runs that are kept, and the bytes of their requests, answers and logs.
RUNS, BYTES = 100, 64_000_000


class ServedRuns(Sequence[Run]):
    """What clients asked and got: a Run for each batch, the newest last. It can be read while more come.

    The last 100 are kept, and of these as many as have 64 MB together, counted as the bodies of requests and answers
    and the lines of logs.

    Attributes:
        total: how many requests there were.
    """

    def __init__(self, runs: int = RUNS, size: int = BYTES) -> None:
        self.total = 0
        self._most, self._largest = runs, size
        self._kept: deque[tuple[int, Run]] = deque()
        self._size = 0
        self._lock = threading.Lock()

    def append(self, run: Run) -> None:
        """Keep a Run, and let go of the oldest ones beyond the bounds."""
        size = _size(run)
        with self._lock:
            self.total += len(run.exchanges)
            self._kept.append((size, run))
            self._size += size
            while self._kept and (len(self._kept) > self._most or self._size > self._largest):
                self._size -= self._kept.popleft()[0]

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._kept.clear()
            self._size = 0

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Run, ...]: ...
    def __getitem__(self, index: int | slice) -> Run | tuple[Run, ...]:
        kept = tuple(self)
        try:
            return kept[index]
        except IndexError:
            raise IndexError(f"{len(kept)} Runs of clients are kept; there is no [{index}]") from None

    def __iter__(self) -> Iterator[Run]:
        with self._lock:
            kept = [run for _, run in self._kept]
        return iter(kept)

    def __repr__(self) -> str:
        return f"<ServedRuns: {len(self)} Runs, {self.total} requests in all>"


def _size(run: Run) -> int:
    bodies = sum(len(request.body) for request in run.requests)
    bodies += sum(len(response.body) * (1 if response.chunks is None else 2) for response in run.responses)
    return bodies + sum(len(line.text) for line in run.logs)
