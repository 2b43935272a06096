"""What changed from one response to another: in words, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handlerkit.formatting import percent, pixels, shorten
from handlerkit.view import draw
from handlerkit.view.contents.drawings import under
from handlerkit.view.decode.response import DecodedResponse

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

FEW = 6  # changes written out


@dataclass(frozen=True, eq=False)
class Changes:
    """What changed. `lines`: in words, none if nothing did; `image`: a picture of it, or None."""

    lines: tuple[str, ...] = ()
    image: Image.Image | None = None


def changes(before: DecodedResponse, after: DecodedResponse) -> Changes:
    """What changed between two responses of one kind. Responses of two kinds, and contents that are not compared, have
    no changes; their bytes are compared instead."""
    if type(before.content) is not type(after.content):
        return Changes((f"was read as {before.view}, is read as {after.view}",))
    return after.spec.changes(before.content, after.content, after)


def value_changes(
    before: tuple[Sequence[str], Sequence[float]],
    after: tuple[Sequence[str], Sequence[float]],
    written: Callable[[float], str],
) -> Iterator[str]:
    """`cat: 75 % -> 60 %` for each of these names and values that changed in print, the largest change first."""
    one, other = (dict(zip(*side, strict=True)) for side in (before, after))
    rows = []
    for name in dict.fromkeys((*one, *other)):
        sides = [written(side[name]) if name in side else "nothing" for side in (one, other)]
        if sides[0] != sides[1]:
            size = -round(abs(one.get(name, 0) - other.get(name, 0)), 6)
            rows.append((size, f"{shorten(name, 60)}: {sides[0]} -> {sides[1]}"))
    yield from (line for _, line in sorted(rows, key=lambda row: row[0])[:FEW])
    if len(rows) > FEW:
        yield f"and {len(rows) - FEW} more"


def changed_pixels(count: int, whole: int) -> str:
    """`21 084 px changed (3.2 %)`."""
    return f"{pixels(count)} changed ({percent(count / whole)})"


def written_size(size: tuple[int, int]) -> str:
    """`640x480`."""
    return f"{size[0]}x{size[1]}"


def highlighted(where: npt.NDArray[np.bool_], answer: DecodedResponse) -> Image.Image:
    """The changed pixels of a map on the input image, or on white if there is none."""
    import numpy as np
    from PIL import Image

    if answer.input_image is not None and answer.region is not None:
        values = where.astype(np.uint8) * 255
        ground, layer = under(values, answer.input_image, answer.region, Image.Resampling.NEAREST)
        return draw.highlight(ground, layer > 0)
    return draw.highlight(draw.fit(Image.new("RGB", where.shape[::-1], "white"), 800, 800), where)
