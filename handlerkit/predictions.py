"""What a response says, as plain data: Detections, SegmentationMap, Classifications.

Each class has a `read` that takes the response's JSON and returns None when its shape is not one that the class knows,
and a `from_*` constructor for each shape. The shapes are those of TorchServe's default handlers
(ts/torch_handler/object_detector.py, image_segmenter.py, image_classifier.py), of torchvision's and transformers'
models, and of COCO's result files (https://cocodataset.org/#format-results).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: index_to_name.json: a class's index, as text, to its name.
Labels = Mapping[str, str] | None

_WRAPPERS = ("predictions", "explanations", "detections", "objects", "result", "results")
_BOX = ("box", "bbox")
_LABEL = ("label", "class", "name", "category", "category_id", "class_id")
_SCORE = ("score", "confidence", "probability")
_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"))
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
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32] | None
    labels: list[str]
    image_size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def read(cls, answer: Any, labels: Labels = None, image_size: tuple[int, int] | None = None) -> Detections | None:
        """The boxes in a JSON answer; None if it holds no boxes in a shape known here."""
        for body in bodies(answer):
            for constructor in (cls.from_columns, cls.from_rows, cls.from_object_detector):
                if (found := constructor(body, labels, image_size)) is not None:
                    return found
        return None

    @classmethod
    def from_columns(
        cls, answer: Any, labels: Labels = None, image_size: tuple[int, int] | None = None
    ) -> Detections | None:
        """torchvision's `{"boxes": [[x1, y1, x2, y2], ...], "labels": [...], "scores": [...]}`; boxes are enough."""
        if not isinstance(answer, dict) or not isinstance(boxes := answer.get("boxes"), list):
            return None
        names, scores = answer.get("labels", answer.get("classes")), answer.get("scores", answer.get("confidences"))
        for column in (names, scores):
            if column is not None and (not isinstance(column, list) or len(column) != len(boxes)):
                return None
        rows = zip(boxes, names or [""] * len(boxes), scores or [None] * len(boxes), strict=True)
        return cls._of([(box, name, score) for box, name, score in rows], labels, image_size)

    @classmethod
    def from_rows(
        cls, answer: Any, labels: Labels = None, image_size: tuple[int, int] | None = None
    ) -> Detections | None:
        """`[{"box": [x1, y1, x2, y2], "label": "coin", "score": 0.9}, ...]`, label and score optional.

        The box may stand under "bbox", and may be `{"xmin": ..., "ymin": ..., "xmax": ..., "ymax": ...}` as in
        transformers' pipelines. A row with a "category_id" is COCO's, whose bbox is (x, y, width, height).
        """
        if not are_rows(answer):
            return None
        rows = []
        for row in answer:
            box = _first(row, _BOX)
            if isinstance(box, dict):
                box = next(([box[key] for key in keys] for keys in _CORNERS if box.keys() >= set(keys)), None)
            if not _is_box(box):
                return None
            if "category_id" in row and "bbox" in row:
                box = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
            rows.append((box, _first(row, _LABEL, ""), _first(row, _SCORE)))
        return cls._of(rows, labels, image_size)

    @classmethod
    def from_object_detector(
        cls, answer: Any, labels: Labels = None, image_size: tuple[int, int] | None = None
    ) -> Detections | None:
        """TorchServe's object_detector: `[{"coin": [x1, y1, x2, y2], "score": 0.9}, ...]`."""
        if not are_rows(answer):
            return None
        rows = []
        for row in answer:
            name = next((key for key in row if key != "score"), None)
            if len(row) != 2 or "score" not in row or name is None:
                return None
            rows.append((row[name], name, row["score"]))
        return cls._of(rows, labels, image_size)

    @classmethod
    def _of(
        cls, rows: list[tuple[Any, Any, Any]], labels: Labels, image_size: tuple[int, int] | None
    ) -> Detections | None:
        """From (box, label, score) rows; None unless each is what it should be, and all or none have a score."""
        import numpy as np

        scores = [score for _, _, score in rows if score is not None]
        names = [_name(label, labels) for _, label, _ in rows]
        fits = all(_is_box(box) for box, _, _ in rows) and all(map(is_number, scores)) and None not in names
        if not fits or len(scores) not in (0, len(rows)):
            return None
        boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
        return cls(boxes, np.array(scores, np.float32) if scores else None, [name or "" for name in names], image_size)


@dataclass(frozen=True, eq=False)
class SegmentationMap:
    """A class for each pixel.

    Attributes:
        classes: uint8 or uint16 [H, W], class indexes.
        names: class index to name; an index may be missing.
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
    def read(cls, answer: Any, labels: Labels = None) -> SegmentationMap | None:
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
                if (found := constructor(body, labels)) is not None:
                    return found
        return None

    @classmethod
    def from_image_segmenter(cls, answer: Any, labels: Labels = None) -> SegmentationMap | None:
        """TorchServe's image_segmenter: H rows of W pairs [class index, probability]."""
        import numpy as np

        table = table_of(answer, 3)
        if table is None or table.shape[2] != 2:
            return None
        probabilities = table[:, :, 1]
        if not ((probabilities >= 0) & (probabilities <= 1.0001)).all():
            return None
        found = cls._of(table[:, :, 0], labels)
        return found and replace(found, probabilities=probabilities.astype(np.float32))

    @classmethod
    def from_probabilities(cls, answer: Any, labels: Labels = None) -> SegmentationMap | None:
        """A softmax over the classes at each pixel: [C][H][W], at least two classes and 8 rows and columns."""
        import numpy as np

        table = table_of(answer, 3)
        if table is None or len(table) < 2 or min(table.shape[1:]) < _MIN_SIDE or table.min() < 0:
            return None
        if not np.allclose(table.sum(axis=0), 1, atol=0.01):
            return None
        found = cls._of(table.argmax(axis=0), labels)
        return found and replace(found, probabilities=table.max(axis=0).astype(np.float32))

    @classmethod
    def from_lists(cls, answer: Any, labels: Labels = None) -> SegmentationMap | None:
        """H rows of W class indexes, both at least 8: smaller tables of integers are too often something else."""
        table = table_of(answer, 2)
        if table is None or table.dtype.kind == "f" or min(table.shape) < _MIN_SIDE:
            return None
        return cls._of(table, labels)

    @classmethod
    def from_rle(cls, answer: Any, labels: Labels = None) -> SegmentationMap | None:
        """COCO's run-length mask, `{"size": [height, width], "counts": [...]}` or with compressed counts.

        What is in the mask has class 1, the rest 0.
        """
        if not isinstance(answer, dict) or (mask := unpack_rle(answer.get("size"), answer.get("counts"))) is None:
            return None
        return cls(mask, {0: "background", 1: "object"} | _index_names(labels) | _mask_names(answer))

    @classmethod
    def from_mask(cls, answer: Any, labels: Labels = None) -> SegmentationMap | None:
        """`{"mask": ..., "size": [height, width], "classes": ...}`, the last two optional.

        The mask is a COCO run-length mask, its bare counts (then with a size), or H rows of W class indexes; "classes"
        (or "pixels") says the names: a list of them, an index to a name, or a name to its number of pixels.
        """
        if not isinstance(answer, dict) or (mask := answer.get("mask", answer.get("segmentation"))) is None:
            return None
        if isinstance(mask, dict) or table_of(mask, 2) is None:
            rle = mask if isinstance(mask, dict) else {"counts": mask}
            return cls.from_rle({"label": "", **answer, "size": rle.get("size", answer.get("size")), **rle}, labels)
        found = cls._of(table_of(mask, 2), labels)
        return found and cls(found.classes, {**found.names, **_mask_names(answer)})

    @classmethod
    def from_classes(cls, answer: Any, labels: Labels = None) -> SegmentationMap | None:
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
        return cls(table, {**_index_names(labels), **named})

    @classmethod
    def _of(cls, table: Any, labels: Labels) -> SegmentationMap | None:
        import numpy as np

        if not ((table >= 0) & (table <= 65535) & (table == np.floor(table))).all():
            return None
        return cls(table.astype(np.uint8 if table.max() < 256 else np.uint16), _index_names(labels))


@dataclass(frozen=True)
class Classifications:
    """Names and their probabilities, in the answer's order."""

    names: tuple[str, ...]
    probabilities: tuple[float, ...]

    @classmethod
    def read(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """The classes in a JSON answer; None if it holds none in a shape known here."""
        for body in bodies(answer):
            for constructor in (cls.from_image_classifier, cls.from_columns, cls.from_rows, cls.from_probabilities):
                if (found := constructor(body, labels)) is not None:
                    return found
        return None

    @classmethod
    def from_image_classifier(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """TorchServe's image_classifier and text_classifier: `{"tabby cat": 0.9, ...}`, a softmax's largest."""
        if not isinstance(answer, dict) or not all(map(is_number, answer.values())) or sum(answer.values()) > 1.001:
            return None
        return cls._of(list(answer.items()), labels)

    @classmethod
    def from_columns(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """`{"labels": [...], "scores": [...]}`; also "classes" and "probabilities"."""
        if not isinstance(answer, dict) or "boxes" in answer:
            return None
        names, values = _first(answer, ("labels", "classes")), _first(answer, ("scores", "probabilities"))
        if not isinstance(names, list) or not isinstance(values, list) or len(names) != len(values):
            return None
        return cls._of(list(zip(names, values, strict=True)), labels)

    @classmethod
    def from_rows(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """`[{"label": "cat", "score": 0.9}, ...]` as in transformers' pipelines, or one such row."""
        rows = [answer] if isinstance(answer, dict) else answer
        if not are_rows(rows) or any(row.keys() & {*_BOX, "mask", "segmentation"} for row in rows):
            return None
        return cls._of([(_first(row, _LABEL), _first(row, _SCORE)) for row in rows], labels)

    @classmethod
    def from_probabilities(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """A softmax's whole row: two numbers or more that add up to 1, named by their index."""
        if not isinstance(answer, list) or len(answer) < 2 or not all(map(is_number, answer)):
            return None
        return cls._of(list(enumerate(answer)), labels) if abs(sum(answer) - 1) < 0.001 else None

    @classmethod
    def _of(cls, pairs: list[tuple[Any, Any]], labels: Labels) -> Classifications | None:
        names = [_name(name, labels) for name, _ in pairs]
        if not pairs or None in names or not all(is_number(value) and 0 <= value <= 1.001 for _, value in pairs):
            return None
        return cls(tuple(name or "" for name in names), tuple(float(value) for _, value in pairs))


def bodies(answer: Any) -> Iterator[Any]:
    """The answer, and what stands in it where it is only a wrapper, as the json and kserve envelopes make it."""
    yield answer
    if isinstance(answer, dict) and len(answer) == 1 and (key := next(iter(answer))) in _WRAPPERS:
        if isinstance(answer[key], list) and len(answer[key]) == 1:
            yield answer[key][0]
        yield answer[key]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))


def are_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _first(row: Mapping[str, Any], keys: Sequence[str], default: Any = None) -> Any:
    return next((row[key] for key in keys if key in row), default)


def _name(label: Any, labels: Labels) -> str | None:
    """A class's name: an index, also as text or 3.0, is looked up; None if this is no name."""
    if is_number(label) and label == label // 1:
        label = str(int(label))
    return (labels or {}).get(label, label) if isinstance(label, str) else None


def _index_names(labels: Labels) -> dict[int, str]:
    return {int(index): name for index, name in (labels or {}).items() if index.isdecimal()}


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
