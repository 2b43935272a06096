"""Where two pictures show something else, beside what may differ."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from handlerkit.formatting import percent, pixels
from handlerkit.predictions import from_base64
from handlerkit.verify.difference import Difference
from handlerkit.verify.tolerance import Tolerance

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def compare_encoded_pictures(path: str, ours: str, theirs: str, tolerance: Tolerance) -> list[Difference] | None:
    """As `compare_pictures`, of two pictures in base64 at a place of a body."""
    if not (tolerance.may.levels or tolerance.may.pixels):
        return None
    here, there = from_base64(ours), from_base64(theirs)
    return compare_pictures(here, there, tolerance, f"picture at {path}") if here and there else None


def compare_pictures(
    ours: bytes, theirs: bytes, tolerance: Tolerance, name: str = "picture"
) -> list[Difference] | None:
    """The differences of two picture files, frame by frame; None if one is no picture, or no pixel may differ."""
    may = tolerance.may
    if not (may.levels or may.pixels):
        return None
    here, there = _frames(ours), _frames(theirs)
    if not here or not there:
        return None
    found = [*_apart(here, there, tolerance, name)]
    if not found:
        tolerance.met[f"pixels of the {name}"] = None
    return found


def _apart(here: list[Any], there: list[Any], tolerance: Tolerance, name: str) -> Iterator[Difference]:
    import numpy as np

    several = len(here) > 1 or len(there) > 1
    for number, (one, other) in enumerate(zip_longest(here, there), start=1):
        where = f"frame {number} of the {name}" if several else name
        if one is None or other is None or one.shape != other.shape:
            yield Difference(where, _size(one), _size(other))
            continue
        apart = np.abs(one.astype(np.int16) - other).max(axis=2)
        count = int((apart > tolerance.may.levels).sum())
        if count > tolerance.may.pixels * apart.size:
            said = f"{pixels(count)} changed ({percent(count / apart.size)}), by up to {int(apart.max())} of 255"
            yield Difference(where, _size(one), f"{_size(other)}, {said}")


def _size(frame: npt.NDArray[np.uint8] | None) -> str:
    return "nothing" if frame is None else f"{frame.shape[1]}x{frame.shape[0]}"


def _frames(body: bytes) -> list[Any]:
    """Each as uint8 [H, W, 4]; none of what is no picture, or one of more than 8 bits, or too large for Pillow."""
    import numpy as np
    from PIL import Image, ImageSequence

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(body)) as image:
                if image.mode[0] in "IF":  # more than 8 bits, which RGBA would clip
                    return []
                return [np.asarray(frame.convert("RGBA"), np.uint8) for frame in ImageSequence.Iterator(image)]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return []
