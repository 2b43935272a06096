"""How a worker dies of its own answer."""

from __future__ import annotations


class WorkerDied(Exception):
    """The worker ended, or the frontend drops it for an answer that it cannot read or write. Text: "kind: sentence"."""


def too_long(size: int, limit: int) -> str:
    return f"size: The answer has {size} bytes; max_response_size is {limit}."
