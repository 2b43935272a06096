"""Where two answers differ: in words, each side shortened."""

from __future__ import annotations

from dataclasses import dataclass

_SHOWN = 80  # characters of each side that a difference shows


@dataclass(frozen=True)
class Difference:
    """Where two answers differ, and what is there on each side, shortened."""

    where: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.where}: {self.ours} here, {self.theirs} there"


def shortened(text: str) -> str:
    """One side of a difference."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def compare_bytes(ours: bytes, theirs: bytes) -> Difference:
    """Where two texts of bytes begin to differ."""
    offset = next((at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), -1)
    if offset < 0:
        return Difference("body", f"{len(ours)} bytes", f"{len(theirs)} bytes")
    changed = sum(one != other for one, other in zip(ours, theirs, strict=False)) + abs(len(ours) - len(theirs))
    where = f"body from byte {offset} ({changed} bytes differ, {len(ours)} and {len(theirs)} in all)"
    return Difference(where, _around(ours, offset), _around(theirs, offset))


def _around(body: bytes, offset: int) -> str:
    piece = body[max(0, offset - 8) : offset + 24]
    return repr(bytes(piece))[1:]
