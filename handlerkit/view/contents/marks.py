"""What the live preview draws of a content: classes to switch, boxes, and maps. browser/shown.js reads this."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handlerkit.predictions import Detections

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from handlerkit.view.decode.response import DecodedResponse

Size = tuple[int, int]

_RUN = 64  # a map whose runs have so many pixels on average is sent as runs


@dataclass(frozen=True, eq=False)
class Marks:
    """What is drawn in the browser.

    Attributes:
        facts: "classes", "boxes", "layers", "opacity", ...: those of a message (handlerkit.view.preview.message).
        size: (width, height) of what they are drawn on if the request has no image; (0, 0) if that does not
            matter.
        picture: what they are drawn on, in a format that browsers open; b"" for the request's image.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    size: Size = (0, 0)
    picture: bytes = b""


def numbered(labels: Sequence[str]) -> dict[str, int]:
    """Each class's place in the list of classes, the most frequent first."""
    return {name: place for place, (name, _) in enumerate(Counter(labels).most_common())}


def class_rows(labels: Sequence[str], answer: DecodedResponse) -> list[dict[str, Any]]:
    """The list of classes, each with its color and count, switched on."""
    counts = Counter(labels)
    return [
        {
            "name": answer.named(name) or "(no name)",
            "short": answer.short(name) or "(no name)",
            "color": answer.color(name),
            "said": str(counts[name]),
            "on": True,
        }
        for name in numbered(labels)
    ]


def box_rows(found: Detections) -> list[list[Any]]:
    """[x1, y1, x2, y2, score or None, place in the list of classes, lines that are drawn instead of the box if it has
    some]; None for what is not finite."""
    names = numbered(found.labels)
    scores = found.scores.tolist() if found.scores is not None else [None] * len(found)
    rows = zip(found.boxes.tolist(), scores, found.labels, strict=True)
    shown: list[list[Any]] = [[*map(_finite, box), _finite(score, 4), names[label]] for box, score, label in rows]
    for row, lines in zip(shown, found.lines() or (), strict=False):
        row.append([[[_finite(x), _finite(y)] for x, y in line] for line in lines])
    return shown


def _finite(value: float | None, digits: int = 2) -> float | None:
    return round(value, digits) if value is not None and math.isfinite(value) else None


def region_of(answer: DecodedResponse, size: Size) -> list[float]:
    """(x1, y1, x2, y2) of a map on the input image, or on itself if there is none."""
    return list(answer.region or (0.0, 0.0, *map(float, size)))


def packed(indexes: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """A map [H, W]: its "size" (width, height), and its rows one after another as "data".

    Where few pixels differ from the one before, each value of "data" lasts until the place in "ends", four bytes each,
    the lowest first: both sides do that in a fraction of the time of deflating, which is for the others.
    """
    import numpy as np

    height, width = indexes.shape
    flat = indexes.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    if len(ends) > flat.size / _RUN:
        return {"size": [width, height], "data": zlib.compress(flat.tobytes(), 3)}
    return {"size": [width, height], "data": flat[ends - 1].tobytes(), "ends": ends.astype("<u4").tobytes()}


def lut(colors: Sequence[tuple[int, ...]]) -> bytes:
    """RGBA of each index."""
    return bytes(channel for color in colors for channel in color)


def levels(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Values from 0 to 1, or from -1 to 1 if some are below 0, as indexes from 0 to 255."""
    import numpy as np

    finite = np.nan_to_num(values)
    spread = finite * 127.5 + 127.5 if (finite < 0).any() else finite * 255
    found: npt.NDArray[np.uint8] = spread.clip(0, 255).round().astype(np.uint8)
    return found
