"""A class for each pixel: as JSON, as a .npy array, or as a PNG of class indexes."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from handlerkit.formatting import percent, pixels
from handlerkit.predictions import SegmentationMap
from handlerkit.view import draw
from handlerkit.view.contents.changes import FEW, Changes, changed_pixels, highlighted, written_size
from handlerkit.view.contents.drawings import MOST, Drawing, under
from handlerkit.view.contents.marks import Marks, levels, lut, packed, region_of
from handlerkit.view.decode.arrays import table
from handlerkit.view.decode.placing import place_map
from handlerkit.view.decode.response import DecodedResponse, Placed
from handlerkit.view.decode.source import Source
from handlerkit.view.views.spec import ViewSpec

_GRAY = (160, 160, 160)
_PROBABILITIES = 512  # pixels of a probability map's longer side: it is read under the pointer, never drawn


def _read(source: Source) -> SegmentationMap | None:
    """As JSON, as a .npy array, or as a PNG of class indexes (mode 1, L or P, fewer than 32 of them) as large as the
    request's image."""
    import numpy as np

    if (found := _indexed(source)) is not None:
        image, largest = source.input_image, int(np.max(found.classes))
        return found if image and image.size == _size(found) and 0 < largest < 32 else None
    return SegmentationMap.read(_value(source))


def _asked(source: Source) -> SegmentationMap | None:
    """Any picture of one channel, and any table of numbers from 0 to 1, of which those above a half are class 1."""
    import numpy as np

    if (found := _indexed(source) or SegmentationMap.read(_value(source))) is not None:
        return found
    if (numbers := table(_value(source))) is None:
        return None
    values = numbers.reshape(-1, *numbers.shape[-2:])[0]
    if not (np.nanmin(values) >= 0 and np.nanmax(values) <= 1):
        return None
    return SegmentationMap((values > 0.5).astype(np.uint8), {}, values.astype(np.float32))


def _value(source: Source) -> Any:
    return source.array if source.array is not None else source.json


def _indexed(source: Source) -> SegmentationMap | None:
    """The response's PNG as class indexes."""
    import numpy as np

    image = source.picture
    if image is None or image.format != "PNG" or image.mode not in ("1", "L", "P"):
        return None
    return SegmentationMap(np.asarray(image).astype(np.uint8, copy=False))


def _name(content: SegmentationMap, index: int, answer: DecodedResponse) -> str:
    """The class's name in the answer, or else what index_to_name.json adds to its index."""
    added = index not in content.names and answer.label(str(index)) is not None
    return answer.named(str(index)) if added else content.name(index)


def _size(content: SegmentationMap) -> tuple[int, int]:
    """(width, height)."""
    height, width = content.classes.shape
    return width, height


def _place(content: SegmentationMap, source: Source) -> Placed:
    """TorchServe's image_segmenter alone answers [class, probability] pairs."""
    return Placed(content, *place_map(source, _size(content), like_default_handler=content.probabilities is not None))


def _draw(content: SegmentationMap, answer: DecodedResponse) -> Drawing:
    from PIL import Image

    width, height = _size(content)
    keys = []
    for index, count in list(content.pixels().items())[: 2 * MOST]:
        # class 0 is not painted
        color = draw.color(index) if index else _GRAY
        keys.append(
            (_name(content, index, answer), f"{percent(count / (height * width))} ({pixels(count)})", color, None)
        )
    facts = [f"class map {width}x{height}"]
    if content.probabilities is not None and content.probabilities.size:
        facts[0] += f", mean probability {float(content.probabilities.mean()):.2f}"
    indexes = draw.palette_indexes(content.classes)
    if answer.input_image is None or answer.region is None:
        blank = draw.fit(Image.new("RGB", (width, height), "white"))
        return Drawing(tuple(facts), tuple(keys), draw.overlay(blank, indexes, opacity=1))
    ground, layer = under(indexes, answer.input_image, answer.region, Image.Resampling.NEAREST)
    return Drawing(tuple(facts), tuple(keys), draw.overlay(ground, layer))


def _changes(before: SegmentationMap, after: SegmentationMap, answer: DecodedResponse) -> Changes:
    if before.classes.shape != after.classes.shape:
        return Changes((f"the class map was {written_size(_size(before))}, is {written_size(_size(after))}",))
    where = before.classes != after.classes
    if not where.any():
        return Changes()
    lines = [changed_pixels(int(where.sum()), where.size)]
    moves = Counter(zip(before.classes[where].tolist(), after.classes[where].tolist(), strict=True))
    for (one, other), count in moves.most_common(FEW):
        lines.append(f"{_name(before, one, answer)} -> {_name(after, other, answer)}: {pixels(count)}")
    if len(moves) > FEW:
        lines.append(f"and {len(moves) - FEW} more pairs of classes")
    return Changes(tuple(lines), highlighted(where, answer))


def _marks(content: SegmentationMap, answer: DecodedResponse) -> Marks:
    import numpy as np

    indexes = draw.palette_indexes(content.classes)
    area = content.classes.size
    classes: list[dict[str, Any]] = []
    places = [-1] * 256
    for index, count in content.pixels().items():
        place = int(draw.palette_indexes(np.array([index]))[0])
        if places[place] < 0:
            places[place] = len(classes)
            said = percent(count / area)
            # class 0 is not painted at first, as in the static display
            classes.append(
                {"name": _name(content, index, answer), "color": draw.color(index), "said": said, "on": index != 0}
            )
    layer = {
        "map": packed(indexes),
        "region": region_of(answer, _size(content)),
        "lut": lut([(*draw.color(i), 255) for i in range(int(np.max(indexes)) + 1)]),
        "classes": places[: int(np.max(indexes)) + 1],
    }
    if content.probabilities is not None:
        step = max(1, math.ceil(max(content.probabilities.shape) / _PROBABILITIES))
        layer["values"] = packed(levels(content.probabilities[::step, ::step]))
    return Marks({"classes": classes, "layers": [layer]}, _size(content))


SEGMENTATION = ViewSpec(
    "segmentation", _read, SegmentationMap, _draw, asked=_asked, place=_place, changes=_changes, marks=_marks
)
