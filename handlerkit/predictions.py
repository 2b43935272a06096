"""What a response says, as plain data: Detections, SegmentationMap, Classifications.

Each class has a `read` that takes the response's JSON and returns None when its shape is not one that the class knows,
and a `from_*` constructor for each shape. The shapes are those of TorchServe's default handlers
(ts/torch_handler/object_detector.py, image_segmenter.py, image_classifier.py), of torchvision's, transformers' and
YOLO's models, of Roboflow, and of COCO's files (https://cocodataset.org/#format-results).

Classes are named as the response names them, an index by its digits: "1". What index_to_name.json says of them is for a
display to add.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: index_to_name.json: a class's index, as text, to its name.
Labels = Mapping[str, str] | None

_WRAPPERS = ("predictions", "explanations", "detections", "objects", "annotations", "result", "results")
#: Keys of a row, as `_key` writes them: what holds a box, a polygon, the class, the score.
_BOX = ("box", "bbox", "boundingbox", "xyxy")
_POLYGON = ("polygon", "polygons", "points", "vertices", "contour", "segments", "segmentation")
_LABEL = ("label", "class", "category", "classname", "categoryid", "classid", "name")
_SCORE = ("score", "confidence", "probability")
#: The four numbers of a box: two corners; the upper left corner and the size; the center and the size; the size and a
#: point, of which the keys do not say if it is the corner or the center.
_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
_SIZED = (("left", "top", "width", "height"), ("xmin", "ymin", "width", "height"))
_CENTERED = (("xcenter", "ycenter", "width", "height"), ("cx", "cy", "w", "h"))
_POINTED = (("x", "y", "width", "height"), ("x", "y", "w", "h"))
#: What may stand in a row beside a class and its score without making it something else.
_COUNTERS = ("id", "index", "rank")
#: How many classes image_classifier answers (ts/torch_handler/image_classifier.py, topk).
_TOP = 5
#: A mask's size comes with the answer; what PIL would call a decompression bomb is not unpacked.
_MAX_PIXELS = 89_478_485
#: A bare table of integers counts as a class map from this many rows and columns on.
_MIN_SIDE = 8


@dataclass(frozen=True, eq=False)
class Detections:
    """N boxes on a picture.

    Attributes:
        boxes: float32 [N, 4], (x1, y1, x2, y2) in pixels, x2 and y2 exclusive.
        scores: float32 [N], or None if the answer holds none.
        labels: N names, "" if the answer names no class.
        image_size: (width, height) of the picture the boxes lie on, if known.
        assumed: what was assumed to read the boxes, since the answer does not say it; "" for nothing.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32] | None
    labels: list[str]
    image_size: tuple[int, int] | None = None
    assumed: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def read(cls, answer: Any, image_size: tuple[int, int] | None = None) -> Detections | None:
        """The boxes in a JSON answer; None if it holds no boxes in a shape known here."""
        for body in bodies(answer):
            for constructor in (cls.from_columns, cls.from_coco, cls.from_rows, cls.from_object_detector):
                if (found := constructor(body, image_size)) is not None:
                    return found
        return None

    @classmethod
    def from_columns(cls, answer: Any, image_size: tuple[int, int] | None = None) -> Detections | None:
        """torchvision's `{"boxes": [[x1, y1, x2, y2], ...], "labels": [...], "scores": [...]}`; boxes are enough."""
        if not isinstance(answer, dict) or not isinstance(boxes := answer.get("boxes", answer.get("bboxes")), list):
            return None
        names, scores = answer.get("labels", answer.get("classes")), answer.get("scores", answer.get("confidences"))
        for column in (names, scores):
            if column is not None and (not isinstance(column, list) or len(column) != len(boxes)):
                return None
        rows = zip(boxes, names or [""] * len(boxes), scores or [None] * len(boxes), strict=True)
        return cls._of([(box, name, score) for box, name, score in rows], image_size)

    @classmethod
    def from_coco(cls, answer: Any, image_size: tuple[int, int] | None = None) -> Detections | None:
        """COCO's `{"annotations": [{"bbox": [x, y, width, height], "category_id": 1}, ...], "categories": [...]}`."""
        if not _is_object(answer):
            return None
        rows: Any = answer.get("annotations")
        categories: Any = answer.get("categories")
        if not are_rows(rows) or not are_rows(categories):
            return None
        names = {row.get("id"): row.get("name") for row in categories if is_number(row.get("id"))}
        named = [{**row, "label": names.get(row.get("category_id"), row.get("category_id", ""))} for row in rows]
        return cls.from_rows(named, image_size)

    @classmethod
    def from_rows(cls, answer: Any, image_size: tuple[int, int] | None = None) -> Detections | None:
        """`[{"box": [x1, y1, x2, y2], "label": "coin", "score": 0.9}, ...]`, label and score optional.

        The box may stand under "bbox", as numbers in the row itself as in YOLO's and Roboflow's answers, or as
        `{"xmin": ..., "ymin": ..., "xmax": ..., "ymax": ...}` as in transformers' pipelines; a polygon gives its
        bounds. A row with a "category_id" is COCO's, whose bbox is (x, y, width, height). If "x" and "y" are a box's
        center, as in Roboflow's answers, or its corner is told by what fits the picture, else by the other keys.
        """
        if not are_rows(answer):
            return None
        found = [{_key(name): value for name, value in row.items()} for row in answer]
        pointed = [row for row in found if _is_pointed(row)]
        centered = bool(pointed) and _are_centered(pointed, image_size)
        rows = [(_corners(row, centered), _label(row), _first(row, _SCORE)) for row in found]
        where = "centers" if centered else "upper left corners"
        return cls._of(rows, image_size, f"x and y are read as the boxes' {where}" if pointed else "")

    @classmethod
    def from_object_detector(cls, answer: Any, image_size: tuple[int, int] | None = None) -> Detections | None:
        """TorchServe's object_detector: `[{"coin": [x1, y1, x2, y2], "score": 0.9}, ...]`."""
        if not are_rows(answer):
            return None
        rows = []
        for row in answer:
            name = next((key for key in row if key != "score"), None)
            if len(row) != 2 or "score" not in row or name is None:
                return None
            rows.append((row[name], name, row["score"]))
        return cls._of(rows, image_size)

    @classmethod
    def _of(
        cls, rows: list[tuple[Any, Any, Any]], image_size: tuple[int, int] | None, assumed: str = ""
    ) -> Detections | None:
        """From (box, label, score) rows; None unless each is what it should be, and all or none have a score."""
        import numpy as np

        scores = [score for _, _, score in rows if score is not None]
        names = [_name(label) for _, label, _ in rows]
        fits = all(_is_box(box) for box, _, _ in rows) and all(map(is_number, scores)) and None not in names
        if not fits or len(scores) not in (0, len(rows)):
            return None
        boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
        labels = [name or "" for name in names]
        return cls(boxes, np.array(scores, np.float32) if scores else None, labels, image_size, assumed)


@dataclass(frozen=True, eq=False)
class SegmentationMap:
    """A class for each pixel.

    Attributes:
        classes: uint8 or uint16 [H, W], class indexes.
        names: class index to name, as the answer holds them; an index may be missing.
        probabilities: float32 [H, W], of the class at each pixel; None if the answer holds none.
    """

    classes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    names: Mapping[int, str] = field(default_factory=dict)
    probabilities: npt.NDArray[np.float32] | None = None

    def name(self, index: int) -> str:
        """The class's name; "class 7" if it has none."""
        return self.names.get(index, f"class {index}")

    def pixels(self) -> dict[int, int]:
        """Pixels per class that occurs, most first."""
        import numpy as np
        from PIL import Image

        if self.classes.dtype == np.uint8:  # PIL counts bytes four times as fast as numpy
            counts = np.array(Image.fromarray(np.ascontiguousarray(self.classes)).histogram())
        else:
            counts = np.bincount(self.classes.ravel())
        return {int(index): int(counts[index]) for index in np.argsort(-counts, kind="stable") if counts[index]}

    @classmethod
    def read(cls, answer: Any) -> SegmentationMap | None:
        """The map in a JSON answer; None if it holds none in a shape known here."""
        for body in bodies(answer):
            for constructor in (
                cls.from_image_segmenter,
                cls.from_rle,
                cls.from_mask,
                cls.from_classes,
                cls.from_lists,
                cls.from_probabilities,
            ):
                if (found := constructor(body)) is not None:
                    return found
        return None

    @classmethod
    def from_image_segmenter(cls, answer: Any) -> SegmentationMap | None:
        """TorchServe's image_segmenter: H rows of W pairs [class index, probability]."""
        import numpy as np

        table = table_of(answer, 3)
        if table is None or table.shape[2] != 2:
            return None
        probabilities = table[:, :, 1]
        if not ((probabilities >= 0) & (probabilities <= 1.0001)).all():
            return None
        found = cls._of(table[:, :, 0])
        return found and replace(found, probabilities=probabilities.astype(np.float32))

    @classmethod
    def from_probabilities(cls, answer: Any) -> SegmentationMap | None:
        """A softmax over the classes at each pixel: [C][H][W], at least two classes and 8 rows and columns."""
        import numpy as np

        table = table_of(answer, 3)
        if table is None or len(table) < 2 or min(table.shape[1:]) < _MIN_SIDE or table.min() < 0:
            return None
        if not np.allclose(table.sum(axis=0), 1, atol=0.01):
            return None
        found = cls._of(table.argmax(axis=0))
        return found and replace(found, probabilities=table.max(axis=0).astype(np.float32))

    @classmethod
    def from_lists(cls, answer: Any) -> SegmentationMap | None:
        """H rows of W class indexes, both at least 8: smaller tables of integers are too often something else."""
        table = table_of(answer, 2)
        if table is None or table.dtype.kind == "f" or min(table.shape) < _MIN_SIDE:
            return None
        return cls._of(table)

    @classmethod
    def from_rle(cls, answer: Any) -> SegmentationMap | None:
        """COCO's run-length mask, `{"size": [height, width], "counts": [...]}` or with compressed counts.

        What is in the mask has class 1, the rest 0.
        """
        if not isinstance(answer, dict) or (mask := unpack_rle(answer.get("size"), answer.get("counts"))) is None:
            return None
        return cls(mask, {0: "background", 1: "object"} | _mask_names(answer))

    @classmethod
    def from_mask(cls, answer: Any) -> SegmentationMap | None:
        """`{"mask": ..., "size": [height, width], "classes": ...}`, the last two optional.

        The mask is a COCO run-length mask, its bare counts (then with a size), or H rows of W class indexes; "classes"
        (or "pixels") says the names: a list of them, an index to a name, or a name to its number of pixels.
        """
        if not isinstance(answer, dict) or (mask := answer.get("mask", answer.get("segmentation"))) is None:
            return None
        if isinstance(mask, dict) or table_of(mask, 2) is None:
            rle = mask if isinstance(mask, dict) else {"counts": mask}
            return cls.from_rle({"label": "", **answer, "size": rle.get("size", answer.get("size")), **rle})
        found = cls._of(table_of(mask, 2))
        return found and cls(found.classes, _mask_names(answer))

    @classmethod
    def from_classes(cls, answer: Any) -> SegmentationMap | None:
        """`{"classes": [{"index": 1, "label": "coin", "mask": ...}, ...]}`, of handlerkit/handlers/.

        Each mask is COCO's run-length; where they overlap, the last one counts.
        """
        import numpy as np

        rows: Any = answer.get("classes") if isinstance(answer, dict) else None
        if not are_rows(rows) or not all(isinstance(row.get("mask"), dict) for row in rows):
            return None
        masks = [unpack_rle(row["mask"].get("size"), row["mask"].get("counts")) for row in rows]
        sizes = {None if mask is None else mask.shape for mask in masks}
        if len(sizes) > 1 or (size := sizes.pop()) is None:
            return None
        indexes, names = [row.get("index") for row in rows], [row.get("label") for row in rows]
        if not all(isinstance(index, int) and 0 <= index <= 65535 for index in indexes):
            return None
        table = np.zeros(size, np.uint8 if max(indexes) < 256 else np.uint16)
        for index, mask in zip(indexes, masks, strict=True):
            table[mask == 1] = index
        named = {index: name for index, name in zip(indexes, names, strict=True) if isinstance(name, str)}
        return cls(table, named)

    @classmethod
    def _of(cls, table: Any) -> SegmentationMap | None:
        import numpy as np

        if not ((table >= 0) & (table <= 65535) & (table == np.floor(table))).all():
            return None
        return cls(table.astype(np.uint8 if table.max() < 256 else np.uint16))


@dataclass(frozen=True)
class Classifications:
    """Names and their probabilities, in the answer's order."""

    names: tuple[str, ...]
    probabilities: tuple[float, ...]

    @classmethod
    def read(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """The classes in a JSON answer; None if it holds none in a shape known here.

        Names and numbers alone may be anything, `{"lat": 0.2, "lon": 0.7}`. They are classes if the names stand in
        `labels` (index_to_name.json), if the numbers add up to 1, or if there are as many as image_classifier answers,
        or indexes for names, the most likely first.
        """
        for body in bodies(answer):
            for constructor in (cls.from_image_classifier, cls.from_columns, cls.from_rows, cls.from_probabilities):
                if (found := constructor(body, labels)) is not None:
                    return found
        return None

    @classmethod
    def from_image_classifier(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """TorchServe's image_classifier and text_classifier: `{"tabby cat": 0.9, ...}`, a softmax's largest."""
        return cls._of(list(answer.items())) if _is_object(answer) and _are_classes(answer, labels) else None

    @classmethod
    def from_columns(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """`{"labels": [...], "scores": [...]}`; also "classes" and "probabilities". With another column, such as boxes,
        it is something else."""
        if not _is_object(answer):
            return None
        names, values = _first(answer, ("labels", "classes")), _first(answer, ("scores", "probabilities"))
        if not isinstance(names, list) or not isinstance(values, list) or len(names) != len(values):
            return None
        if any(isinstance(column, list) and column is not names and column is not values for column in answer.values()):
            return None
        return cls._of(list(zip(names, values, strict=True)))

    @classmethod
    def from_rows(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """`[{"label": "cat", "score": 0.9}, ...]` as in transformers' pipelines, or one such row. A pipeline
        puts the rows for a list of one text into a list more. What holds more than a class and its score is something
        else."""
        rows = [answer] if isinstance(answer, dict) else answer
        if isinstance(rows, list) and len(rows) == 1 and are_rows(rows[0]):
            rows = rows[0]
        if not are_rows(rows):
            return None
        found = [{_key(name): value for name, value in row.items()} for row in rows]
        if any(row.keys() - {*_LABEL, *_SCORE, *_COUNTERS} for row in found):
            return None
        pairs = [(_label(row, None), _first(row, _SCORE)) for row in found]
        # anybody may have a name and a score; a label, a class or a category tells what it is
        told = all(row.keys() & {*_LABEL[:-1]} for row in found)
        return cls._of(pairs) if told or _are_classes({str(name): score for name, score in pairs}, labels) else None

    @classmethod
    def from_probabilities(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """A softmax's whole row: two numbers or more that add up to 1, named by their index."""
        if not isinstance(answer, list) or not all(map(is_number, answer)):
            return None
        return cls._of(list(enumerate(answer))) if _add_up_to_1(answer, 0.001) else None

    @classmethod
    def _of(cls, pairs: list[tuple[Any, Any]]) -> Classifications | None:
        names = [_name(name) for name, _ in pairs]
        if not pairs or None in names or not all(is_number(value) and 0 <= value <= 1.001 for _, value in pairs):
            return None
        return cls(tuple(name or "" for name in names), tuple(float(value) for _, value in pairs))


def _are_classes(answer: Mapping[str, Any], labels: Labels) -> bool:
    """Whether names and their values are likely classes and their probabilities."""
    values = list(answer.values())
    # whole numbers are counts
    if not all(map(is_number, values)) or not any(isinstance(value, float) for value in values):
        return False
    if {*(labels or {}), *(labels or {}).values()}.issuperset(answer) or _add_up_to_1(values, 0.01):
        return True
    falling = len(values) > 1 and sum(values) <= 1.001 and all(one >= other for one, other in pairwise(values))
    return falling and (len(values) >= _TOP or all(name.isdecimal() for name in answer))


def _add_up_to_1(values: Sequence[float], within: float) -> bool:
    """Two numbers or more, and not all of them whole."""
    return len(values) > 1 and any(isinstance(value, float) for value in values) and abs(sum(values) - 1) < within


def bodies(answer: Any) -> Iterator[Any]:
    """The answer, and what stands in it where it is only a wrapper, as the json and kserve envelopes make it, or rows
    with some words about them, as Roboflow answers."""
    yield answer
    wrappers = [key for key in _WRAPPERS if key in answer] if _is_object(answer) else []
    if len(wrappers) == 1 and (len(answer) == 1 or are_rows(answer[wrappers[0]])):
        inner = answer[wrappers[0]]
        if isinstance(inner, list) and len(inner) == 1 and len(answer) == 1:
            yield inner[0]
        yield inner


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))


def are_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _first(row: Mapping[str, Any], keys: Sequence[str], default: Any = None) -> Any:
    return next((row[key] for key in keys if key in row), default)


def _key(name: str) -> str:
    """A key of JSON as it is compared: "category_id" and "categoryId" are one."""
    return name.lower().replace("_", "")


def _label(row: Mapping[str, Any], default: Any = "") -> Any:
    """What a row calls its class: its name if there is one beside the index."""
    named = [row[key] for key in _LABEL if key in row]
    return next((label for label in named if isinstance(label, str)), named[0] if named else default)


def _name(label: Any) -> str | None:
    """A class's name, or its index in digits, also of 3.0; None if this is neither."""
    if is_number(label) and label == label // 1:
        return str(int(label))
    return label if isinstance(label, str) else None


# --- how rows say a box -----------------------------------------------------------------------------------------------


def _corners(row: Mapping[str, Any], centered: bool) -> list[float] | None:
    """A row's box as [x1, y1, x2, y2]; None if it has none. `centered`: its "x" and "y" are those of the center."""
    box = _first(row, _BOX)
    if _is_box(box):
        return _sized(box) if "categoryid" in row and "bbox" in row else list(box)
    inside = {_key(name): value for name, value in box.items()} if _is_object(box) else row
    for keys in (*_CORNERS, *_SIZED, *_CENTERED, *_POINTED):
        if all(is_number(inside.get(key)) for key in keys):
            numbers = [inside[key] for key in keys]
            if keys in _CORNERS:
                return numbers
            return _sized(numbers, centered=keys in _CENTERED or (keys in _POINTED and centered))
    outlines = polygons_of(box) or polygons_of(_first(row, _POLYGON))
    if outlines is None:
        return None
    numbers = [number for outline in outlines for number in outline]
    return [min(numbers[0::2]), min(numbers[1::2]), max(numbers[0::2]), max(numbers[1::2])]


def _sized(box: Sequence[float], centered: bool = False) -> list[float]:
    """[x1, y1, x2, y2] of a box whose corner, or center, and size are given."""
    x, y, width, height = box
    if centered:
        x, y = x - width / 2, y - height / 2
    return [x, y, x + width, y + height]


def _is_pointed(row: Mapping[str, Any]) -> bool:
    """Whether the row's keys leave open if "x" and "y" are a corner."""
    box = _first(row, _BOX, row)
    names = set(map(_key, box)) if _is_object(box) else set()
    return any(names >= {*keys} for keys in _POINTED) and not any(names >= {*keys} for keys in (*_CORNERS, *_SIZED))


def _are_centered(rows: Sequence[Mapping[str, Any]], image_size: tuple[int, int] | None) -> bool:
    """Whether "x" and "y" are the boxes' centers: what lies within the picture decides, else whether the other keys are
    Roboflow's, which are."""
    as_centers, as_corners = ([_corners(row, centered) for row in rows] for centered in (True, False))
    within = [_lie_within(boxes, image_size) for boxes in (as_centers, as_corners)]
    if within[0] != within[1]:
        return within[0]
    return all({"class", "confidence"} <= row.keys() for row in rows)


def _lie_within(boxes: Sequence[list[float] | None], image_size: tuple[int, int] | None) -> bool:
    """Whether no box goes beyond the picture; beyond its left and upper edge if its size is not known."""
    numbers = [box for box in boxes if box is not None]
    largest = max((max(box) for box in numbers), default=0)
    slack, (width, height) = (0.01, (1, 1)) if largest <= 1.5 else (1, image_size or (math.inf, math.inf))
    edges = (-slack, -slack, width + slack, height + slack)
    return all(
        box[0] >= edges[0] and box[1] >= edges[1] and box[2] <= edges[2] and box[3] <= edges[3] for box in numbers
    )


def polygons_of(value: Any) -> list[list[float]] | None:
    """Polygons as COCO writes them, [x1, y1, x2, y2, ...] each; None if these are none.

    Known are one or several of `[x1, y1, ...]`, `[[x1, y1], ...]`, `[{"x": x1, "y": y1}, ...]` and
    `{"x": [x1, ...], "y": [y1, ...]}`, with three points or more.
    """
    if (outline := _polygon(value)) is not None:
        return [outline]
    outlines = [_polygon(each) for each in value] if isinstance(value, list) else []
    return [outline for outline in outlines if outline is not None] if outlines and None not in outlines else None


def _polygon(value: Any) -> list[float] | None:
    if _is_object(value) and isinstance(value.get("x"), list) and isinstance(value.get("y"), list):
        value = [list(point) for point in zip(value["x"], value["y"], strict=False)]
    elif are_rows(value):
        value = [[point.get("x"), point.get("y")] for point in value]
    if not isinstance(value, list):
        return None
    if all(isinstance(point, list) and len(point) == 2 for point in value):
        value = [number for point in value for number in point]
    fits = len(value) >= 6 and len(value) % 2 == 0 and all(map(is_number, value))
    return value if fits and not all(number in (0, 1) for number in value) else None  # those are a mask


# --- masks ------------------------------------------------------------------------------------------------------------


def _mask_names(answer: Mapping[str, Any]) -> dict[int, str]:
    """The names that stand beside a mask."""
    names = _first(answer, ("classes", "pixels"))
    if isinstance(names, dict) and names and all(str(index).isdecimal() for index in names):
        return {int(index): str(name) for index, name in names.items()}
    if isinstance(names, dict):
        names = ["background", *(name for name in names if name != "background")]
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return dict(enumerate(names, start=1 if len(names) == 1 else 0))
    label = _first(answer, _LABEL)
    return {1: label} if isinstance(label, str) and label else {}


def table_of(value: Any, dimensions: int) -> Any:
    """Nested lists of numbers, or an array, as an array of that many dimensions; None if they are not."""
    import numpy as np

    probe = value
    for _ in range(0 if isinstance(value, np.ndarray) else dimensions):
        if not isinstance(probe, list) or not probe:
            return None
        probe = probe[0]
    if not isinstance(value, np.ndarray) and not is_number(probe):
        return None
    try:
        table = np.asarray(value)
    except (ValueError, OverflowError):  # ragged; too large a number
        return None
    return table if table.ndim == dimensions and table.dtype.kind in "iuf" and table.size else None


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
