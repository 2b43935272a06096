"""Where two JSON values differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from math import isclose
from typing import Any

from handlerkit.predictions import is_number
from handlerkit.verify.difference import Difference, shortened
from handlerkit.verify.pictures import compare_encoded_pictures
from handlerkit.verify.tolerance import Tolerance

#: Compares two values in a way of its own; None if it has none for these.
Instead = Callable[[str, Any, Any], Iterable[Difference] | None]


def compare_values(
    path: str, ours: Any, theirs: Any, tolerance: Tolerance, instead: Instead = lambda path, ours, theirs: None
) -> Iterator[Difference]:
    """The differences of two JSON values, each at its path below `path`. `instead` is asked first at each."""
    if tolerance.ignores(path) or (ours != theirs and tolerance.is_volatile(path, ours, theirs)):
        return
    if (found := instead(path, ours, theirs)) is not None:
        yield from found
    elif isinstance(ours, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys([*ours, *theirs]):
            if key in ours and key in theirs:
                yield from compare_values(f"{path}.{key}", ours[key], theirs[key], tolerance, instead)
            elif not tolerance.ignores(f"{path}.{key}"):
                yield Difference(f"{path}.{key}", _side(ours, key), _side(theirs, key))
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield Difference(path, f"{len(ours)} elements", f"{len(theirs)} elements")
        for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            yield from compare_values(f"{path}[{index}]", one, other, tolerance, instead)
    elif isinstance(ours, str) and isinstance(theirs, str) and ours != theirs:
        apart = compare_encoded_pictures(path, ours, theirs, tolerance)
        if apart is not None:
            yield from apart
        elif not tolerance.same_paths(ours, theirs):
            yield Difference(path, shortened(json.dumps(ours)), shortened(json.dumps(theirs)))
    elif not same_value(ours, theirs, tolerance.may.rtol):
        yield Difference(path, shortened(json.dumps(ours)), shortened(json.dumps(theirs)))


def _side(values: dict[str, Any], key: str) -> str:
    return shortened(json.dumps(values[key])) if key in values else "nothing"


def same_value(ours: Any, theirs: Any, rtol: float) -> bool:
    if is_number(ours) and is_number(theirs):
        return ours == theirs or (ours != ours and theirs != theirs) or _is_close(ours, theirs, rtol)
    return bool(ours == theirs) and type(ours) is type(theirs)


def _is_close(ours: float, theirs: float, rtol: float) -> bool:
    try:
        return isclose(ours, theirs, rel_tol=rtol)
    except OverflowError:  # whole numbers that no float holds
        return False
