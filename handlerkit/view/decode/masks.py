"""Instance masks in an answer: COCO's results, torchvision's columns, transformers' rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from handlerkit.predictions import Detections, are_rows, bodies, table_of, unpack_rle
from handlerkit.view import draw
from handlerkit.view.decode.contents import InstanceMasks
from handlerkit.view.decode.source import Source, from_base64, open_picture

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

_KEYS = ("segmentation", "mask", "rle")


def read(source: Source) -> InstanceMasks | None:
    """Masks of things one by one.

    Known are `{"masks": [...], "labels": [...], "scores": [...]}` with masks [N][H][W] or [N][1][H][W] (True from 0.5
    on, as torchvision's are read), and rows whose "segmentation", "mask" or "rle" is a COCO run-length mask, a COCO
    polygon, [H][W] numbers, or a picture in base64 as in transformers' pipelines.
    """
    size = source.input_image.size if source.input_image else None
    for body in bodies(source.json):
        if isinstance(body, dict) and isinstance(found := body.get("masks"), list):
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
        if (detections := Detections.from_rows(answer, source.labels)) is not None:
            return InstanceMasks(shown, detections)
    return None


def _rows(body: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What names and scores each mask; its box is found anew, since rows may say it in several ways."""
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
    if isinstance(value, list) and len(value) == 1 and (inner := table_of(value[0], 2)) is not None:
        return _bools(inner, 0.5)
    if isinstance(value, list) and size and all(_is_polygon(polygon) for polygon in value):
        return _filled(value, size)
    if (table := table_of(value, 2)) is not None:
        return _bools(table, 0.5)
    return None


def _bools(values: Any, above: float) -> Mask:
    import numpy as np

    return np.asarray(values) >= above


def _is_polygon(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 6
        and len(value) % 2 == 0
        and all(isinstance(number, int | float) for number in value)
        and not all(number in (0, 1) for number in value)
    )


def _filled(polygons: Sequence[list[float]], size: tuple[int, int]) -> Mask:
    """COCO's polygons, [x1, y1, x2, y2, ...] each, as a mask."""
    import numpy as np
    from PIL import Image, ImageDraw

    mask = Image.new("1", size)
    pen = ImageDraw.Draw(mask)
    for polygon in polygons:
        pen.polygon(polygon, fill=1)
    return np.asarray(mask)
