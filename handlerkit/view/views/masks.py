"""Instance masks, one for each thing: COCO's results, torchvision's columns, transformers' rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from handlerkit.formatting import pixels
from handlerkit.predictions import (
    Detections,
    are_rows,
    bodies,
    from_base64,
    open_picture,
    polygons_of,
    table_of,
    unpack_rle,
)
from handlerkit.view import draw
from handlerkit.view.contents.box_changes import boxes_changed
from handlerkit.view.contents.changes import Changes
from handlerkit.view.contents.drawings import (
    Drawing,
    box_labels,
    boxes_fact,
    boxes_table,
    canvas_of,
    class_colors,
    class_counts,
    laid,
)
from handlerkit.view.contents.marks import Marks, box_rows, class_rows, lut, packed, region_of
from handlerkit.view.decode.placing import on_region, place_map
from handlerkit.view.decode.response import DecodedResponse, Placed
from handlerkit.view.decode.source import Source
from handlerkit.view.views.spec import ViewSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

#: What a row may call its mask; the last ones are polygons alone.
_KEYS = ("segmentation", "mask", "rle", "polygon", "polygons", "points", "segments")
_MOST_LAYERS = 8  # of overlapping masks in the preview; beyond, the last one holds what is left


@dataclass(frozen=True, eq=False)
class InstanceMasks:
    """N masks on a picture. `masks`: N bool [H, W], of one size; `found`: their boxes, scores and labels."""

    masks: Sequence[npt.NDArray[np.bool_]]
    found: Detections

    @property
    def size(self) -> tuple[int, int]:
        """(width, height); without masks that of the picture asked about."""
        if not self.masks:
            return self.found.image_size or (0, 0)
        height, width = self.masks[0].shape
        return width, height


def _read(source: Source) -> InstanceMasks | None:
    """Masks of things one by one.

    Known are `{"masks": [...], "labels": [...], "scores": [...]}` with masks [N][H][W] or [N][1][H][W] (True from 0.5
    on, as torchvision's are read), and rows whose "segmentation", "mask", "rle" or "polygon" is a COCO run-length
    mask, a polygon in pixels, [H][W] numbers, or a picture in base64 as in transformers' pipelines.
    """
    size = source.input_image.size if source.input_image else None
    for body in bodies(source.json):
        if isinstance(body, dict) and isinstance(found := body.get("masks"), list):
            if (nothing := Detections.from_nothing(body, size)) is not None:
                return InstanceMasks((), nothing)
            rows = [{"mask": mask} for mask in found]
            columns = {key: body[key] for key in body if key != "masks"}
        elif are_rows(body) and all(any(key in row for key in _KEYS) for row in body):
            rows, columns = body, None
        else:
            continue
        masks = [_mask(next((row[key] for key in _KEYS if key in row), None), size) for row in rows]
        shown = [mask for mask in masks if mask is not None]
        if not shown or len(shown) != len(masks) or len({mask.shape for mask in shown}) != 1:
            continue
        named = _named(columns, len(shown)) if columns is not None else _rows(body)
        boxes = [list(map(float, draw.mask_to_xyxy(mask) or (0, 0, 0, 0))) for mask in shown]
        answer = [{**row, "box": box} for row, box in zip(named, boxes, strict=True)]
        if (detections := Detections.from_rows(answer)) is not None:
            return InstanceMasks(shown, detections)
    return None


def _rows(body: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What names and scores each mask; its box is found again, since rows may say it in several ways."""
    return [{key: row[key] for key in row if key not in (*_KEYS, "bbox", "box")} for row in body]


def _named(columns: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    """Columns of labels and scores as rows."""
    for i in range(count):
        row = {}
        for key, names in (("label", ("labels", "classes")), ("score", ("scores", "confidences"))):
            column = next((columns[name] for name in names if name in columns), None)
            if isinstance(column, list) and len(column) == count:
                row[key] = column[i]
        yield row


def _mask(value: Any, size: tuple[int, int] | None) -> Mask | None:
    """One mask; `size` is the input image's (width, height), which polygons do not say."""
    if isinstance(value, dict) and (found := unpack_rle(value.get("size"), value.get("counts"))) is not None:
        return found.view(bool)
    if isinstance(value, str):
        picture = open_picture(from_base64(value) or b"")
        return _bools(picture.convert("L"), 127) if picture else None
    polygons = polygons_of(value) if size else None
    if size and polygons and any(number > 1 for polygon in polygons for number in polygon):
        return _filled(polygons, size)
    if isinstance(value, list) and len(value) == 1 and (inner := table_of(value[0], 2)) is not None:
        return _bools(inner, 0.5)
    if (table := table_of(value, 2)) is not None:
        return _bools(table, 0.5)
    return None


def _bools(values: Any, above: float) -> Mask:
    import numpy as np

    return np.asarray(values) >= above


def _filled(polygons: Sequence[list[float]], size: tuple[int, int]) -> Mask:
    """COCO's polygons, [x1, y1, x2, y2, ...] each, as a mask."""
    import numpy as np
    from PIL import Image, ImageDraw

    mask = Image.new("1", size)
    pen = ImageDraw.Draw(mask)
    for polygon in polygons:
        pen.polygon(polygon, fill=1)
    return np.asarray(mask)


def _place(content: InstanceMasks, source: Source) -> Placed:
    """The boxes, which are measured on the masks' own grid, are in the input image's pixels then."""
    image, region, notes = place_map(source, content.size)
    if image is not None and region is not None:
        found = on_region(content.found, content.size, region)
        content = replace(content, found=replace(found, image_size=image.size))
    return Placed(content, image, region, notes)


def _draw(content: InstanceMasks, answer: DecodedResponse) -> Drawing:
    from PIL import Image

    found, masks = content.found, content.masks
    area = f"; {pixels(sum(int(mask.sum()) for mask in masks))}" if masks else ""
    facts = [f"{boxes_fact(found, answer, 'mask')}{area}"]
    if answer.input_image is None:
        canvas = draw.fit(Image.new("RGB", content.size, "white"))
    else:
        image, region = answer.input_image, answer.region or (0, 0, *answer.input_image.size)
        canvas, _ = canvas_of(image, region)
        masks = [laid(mask, image, region, Image.Resampling.NEAREST) for mask in masks]
    names, scores = (box_labels(found, answer), found.scores) if answer.labeled else (None, None)
    drawn = draw.masks(canvas, masks, names, scores, colors=class_colors(found, answer))
    if skipped := drawn.info["skipped"]:
        facts.append(f"{skipped} not drawn: without a pixel")
    return Drawing(tuple(facts), class_counts(found, answer), drawn, html=boxes_table(found, answer))


def _changes(before: InstanceMasks, after: InstanceMasks, answer: DecodedResponse) -> Changes:
    return boxes_changed(before.found, after.found, answer, ("mask", "masks"))


def _marks(content: InstanceMasks, answer: DecodedResponse) -> Marks:
    found = content.found
    colors = class_colors(found, answer)
    region = region_of(answer, content.size)
    layers = []
    for members, indexes in _apart(content.masks):
        seen = lut([(0, 0, 0, 0), *((*colors[i], 255) for i in members)])
        layers.append({"map": packed(indexes), "region": region, "lut": seen, "things": [-1, *members]})
    facts = {"classes": class_rows(found.labels, answer), "boxes": box_rows(found), "layers": layers}
    return Marks(facts, content.size)


def _apart(masks: Sequence[npt.NDArray[np.bool_]]) -> Iterable[tuple[list[int], npt.NDArray[np.uint8]]]:
    """Masks as few index maps in which none hides another: (the masks' numbers, uint8 [H, W] of 1 + their places).

    The largest lie below, so that small ones stay visible.
    """
    import numpy as np

    layers: list[tuple[list[int], npt.NDArray[np.uint8]]] = []
    for i in sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())):
        mask = np.asarray(masks[i], bool)
        above = next((n for n in reversed(range(len(layers))) if layers[n][1][mask].any()), -1) + 1
        above = min(above, _MOST_LAYERS - 1)
        while above < len(layers) - 1 and len(layers[above][0]) >= 255:
            above += 1
        if above == len(layers) or len(layers[above][0]) >= 255:
            layers.append(([], np.zeros(mask.shape, np.uint8)))
            above = len(layers) - 1
        members, indexes = layers[above]
        members.append(i)
        indexes[mask] = len(members)
    return layers


MASKS = ViewSpec("masks", _read, InstanceMasks, _draw, place=_place, changes=_changes, marks=_marks)
