"""Nested lists of numbers in a response, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.predictions import bodies, is_number

if TYPE_CHECKING:
    import numpy.typing as npt

#: A table this small is read faster as numbers than as a picture.
_MIN_SIDE = 8


def table(value: Any) -> npt.NDArray[Any] | None:
    """Numbers [H, W] or [C, H, W] with at most 4 channels, also inside lists of one; None if they are something
    else, or too few for a picture."""
    for body in bodies(value):
        found = array_of(body)
        while found is not None and found.ndim > 3 and len(found) == 1:
            found = found[0]
        if found is None or found.ndim not in (2, 3) or min(found.shape[-2:]) < _MIN_SIDE:
            continue
        if found.ndim == 2 or len(found) <= 4:
            return found
    return None


def array_of(value: Any) -> npt.NDArray[Any] | None:
    """Nested lists of numbers as an array; None if they are something else, or ragged."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "biuf" and value.size else None
    probe = value
    while isinstance(probe, list) and probe:
        probe = probe[0]
    if not isinstance(value, list) or not is_number(probe):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # ragged; too large a number
        return None
    return array if array.dtype.kind in "iuf" and array.size else None
