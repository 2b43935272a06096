"""Masks as COCO writes them: the lengths of runs of 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: A mask's size comes with the answer; what PIL would call a decompression bomb is not unpacked.
_MAX_PIXELS = 89_478_485


def unpack_rle(size: Any, counts: Any) -> npt.NDArray[np.uint8] | None:
    """[H, W] of 0 and 1. Runs of 0 and 1 in turn, beginning with 0, down the columns (pycocotools/_mask.pyx)."""
    import numpy as np

    if isinstance(counts, str):
        counts = _unpack_counts(counts)
    if not isinstance(size, list) or len(size) != 2 or not isinstance(counts, list):
        return None
    if not all(isinstance(number, int) and number >= 0 for number in (*size, *counts)):
        return None
    height, width = size
    if not 0 < height * width <= _MAX_PIXELS or sum(counts) != height * width:
        return None
    flat = np.repeat(np.arange(len(counts), dtype=np.uint8) & 1, counts)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _unpack_counts(text: str) -> list[int] | None:
    """Compressed counts: five bits a character from "0" on, the sixth says that more follow, the last one's highest bit
    is the sign; from the fourth on each is the difference to the one but one before (maskApi.c, rleFrString)."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts if shift == 0 else None
