"""Boxes on a picture, turned ones and keypoints too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from handlerkit.predictions.boxes import are_centered, corners, is_box, is_numbers, is_pointed
from handlerkit.predictions.keypoints import Bones, Point, keypoints_of, keypoints_of_row, skeleton_of
from handlerkit.predictions.oriented import Polygon, bounds, outlines_of, rectangle
from handlerkit.predictions.shapes import (
    SCORE_KEYS,
    WRAPPERS,
    are_rows,
    bodies,
    first,
    is_number,
    is_object,
    label_of,
    name_of,
    plain_key,
)
from handlerkit.predictions.tables import padding_of, rows_of_numbers, spelled_out

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Size = tuple[int, int]

#: Lists that hold a thing each, which are empty if nothing was found.
_LISTS = {*WRAPPERS, "boxes", "bboxes", "masks", "keypoints", "polygons"} - {"explanations"}
#: A key of a row, as `plain_key` writes it, and what a column of it is called.
_COLUMNS = {
    "box": ("boxes", "bboxes", "pred_boxes", "rec_boxes"),
    "obb": ("obb", "obbs", "rboxes", "rotated_boxes", "oriented_boxes", "xywhr"),
    "polygon": ("polygons", "segments", "xyxyxyxy"),
    "keypoints": ("keypoints", "landmarks"),
    "label": ("labels", "classes", "pred_classes", "rec_texts"),
    "score": ("scores", "confidences", "rec_scores"),
    "keypointscores": ("keypoints_scores", "keypoint_scores"),
}
#: What a column of boxes is called, that of TensorFlow too.
BOX_COLUMNS = (*_COLUMNS["box"], "detection_boxes")
#: Columns that may be alone, and those that count only if they have a value for each thing.
_THINGS = ("box", "obb", "polygon", "keypoints")
_BESIDE = ("polygon", "keypointscores")


class _Thing(NamedTuple):
    """One of them as an answer says it."""

    box: Any
    label: Any = ""
    score: Any = None
    outline: list[Polygon] | None = None
    keypoints: list[Point] | None = None


@dataclass(frozen=True, eq=False)
class Detections:
    """N boxes on a picture.

    Attributes:
        boxes: float32 [N, 4], (x1, y1, x2, y2) in pixels, x2 and y2 exclusive.
        scores: float32 [N], or None if the answer holds none.
        labels: N names, "" if the answer names no class.
        image_size: (width, height) of the picture the boxes lie on, if known.
        assumed: what was assumed to read the boxes, since the answer does not say it; "" for nothing.
        outlines: N lists of polygons, float32 [corners, 2] each, that enclose the things more closely than the upright
            boxes around them; None if the answer holds boxes alone.
        keypoints: float32 [N, K, 3], (x, y, seen): 0 for a point that is not seen; None if the answer holds none.
        skeleton: pairs of keypoints to join; None for what their number says: COCO's of a body, MediaPipe's of a hand.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32] | None
    labels: list[str]
    image_size: Size | None = None
    assumed: str = ""
    outlines: Sequence[Sequence[npt.NDArray[np.float32]]] | None = None
    keypoints: npt.NDArray[np.float32] | None = None
    skeleton: Bones | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def moved(self, scale: Sequence[float], by: Sequence[float] = (0, 0)) -> Detections:
        """The same on another grid: x and y times `scale`, plus `by`."""
        import numpy as np

        factor, shift = np.asarray(scale, np.float64), np.asarray(by, np.float64)
        outlines, keypoints = self.outlines, self.keypoints
        if outlines is not None:
            outlines = [[np.asarray(one * factor + shift, np.float32) for one in each] for each in outlines]
        if keypoints is not None:
            keypoints = keypoints.copy()
            keypoints[..., :2] = keypoints[..., :2] * factor + shift
        boxes = np.asarray(self.boxes * np.tile(factor, 2) + np.tile(shift, 2), np.float32)
        return replace(self, boxes=boxes, outlines=outlines, keypoints=keypoints)

    def lines(self) -> list[list[list[Sequence[float]]]] | None:
        """What is drawn of each thing instead of its box: lists of points to join, outlines and the bones of the
        skeleton, and points alone; None for boxes alone."""
        if self.outlines is None and self.keypoints is None:
            return None
        return [self._lines(i) for i in range(len(self))]

    def _lines(self, i: int) -> list[list[Sequence[float]]]:
        if self.outlines is None:
            lines: list[list[Sequence[float]]] = [[*rectangle(self.boxes[i].tolist())]]
        else:
            lines = [each.tolist() for each in self.outlines[i]]
        closed = [[*line, line[0]] for line in lines]
        if self.keypoints is None:
            return closed
        points, seen = self.keypoints[i, :, :2].tolist(), (self.keypoints[i, :, 2] > 0).tolist()
        bones = skeleton_of(len(points)) if self.skeleton is None else self.skeleton
        there = {place for place, is_seen in enumerate(seen) if is_seen}
        joined = [[points[one], points[other]] for one, other in bones if {one, other} <= there]
        return [*closed, *joined, *([point] for point, is_seen in zip(points, seen, strict=True) if is_seen)]

    @classmethod
    def read(cls, answer: Any, image_size: Size | None = None) -> Detections | None:
        """The boxes in a JSON answer; None if it holds no boxes in a shape known here.

        Args:
            image_size: (width, height) of the picture that was asked about. Bare rows of numbers, and a list of
                nothing, are read as boxes only where there was one.
        """
        found = cls.find(answer, image_size)
        return None if found is None else found[0]

    @classmethod
    def find(cls, answer: Any, image_size: Size | None = None) -> tuple[Detections, Any] | None:
        """As `read`, with the part of the answer that holds the boxes: rows, or an object of columns."""
        found_in = list(bodies(answer))
        size = next(filter(None, map(_said_size, found_in)), image_size)
        for body in found_in:
            for constructor in (
                cls.from_columns,
                cls.from_tensorflow,
                cls.from_coco,
                cls.from_rows,
                cls.from_ocr,
                cls.from_object_detector,
                cls.from_numbers,
            ):
                if (found := constructor(body, size)) is not None:
                    return found, body
        nothing = ((cls.from_nothing(body, image_size), body) for body in found_in)
        return next(((none, body) for none, body in nothing if none is not None), None)

    @classmethod
    def from_columns(cls, answer: Any, image_size: Size | None = None) -> Detections | None:
        """torchvision's `{"boxes": [[x1, y1, x2, y2], ...], "labels": [...], "scores": [...]}`; boxes are enough.

        A box may also be [x1, y1, x2, y2, score], as MMDetection's are, and the like, [x, y, width, height, angle], or
        four corners; "polygons" enclose things more closely, and "keypoints" may be another column. Either may be
        alone.
        """
        if not is_object(answer):
            return None
        columns = {key: first(answer, names) for key, names in _COLUMNS.items()}
        box, score, points = columns["box"], columns["score"], columns["keypoints"]
        if box is None and (alone := keypoints_of(points, score if isinstance(score, list) else None)) is not None:
            return cls._of([_Thing(None, keypoints=alone)], image_size)
        things = next((columns[key] for key in _THINGS if isinstance(columns[key], list)), None)
        if things is None:
            return None
        columns = {key: column for key, column in columns.items() if column is not None}
        for key in _BESIDE:
            if not isinstance(column := columns.get(key), list) or len(column) != len(things):
                columns.pop(key, None)
        if not all(isinstance(column, list) and len(column) == len(things) for column in columns.values()):
            return None
        if not things:
            return cls._of([], image_size) if box == [] else None
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        found = cls.from_rows(rows, image_size)
        return None if found is None or (points is not None and found.keypoints is None) else found

    @classmethod
    def from_tensorflow(cls, answer: Any, image_size: Size | None = None) -> Detections | None:
        """TensorFlow's `{"detection_boxes": [[y1, x1, y2, x2], ...], "detection_classes": [...], "detection_scores":
        [...], "num_detections": 2}`; rows behind that number fill up."""
        boxes = answer.get("detection_boxes") if is_object(answer) else None
        if not isinstance(boxes, list) or not all(map(is_box, boxes)):
            return None
        count: Any = answer.get("num_detections", len(boxes))
        columns = {name: answer.get(f"detection_{name}") for name in ("classes", "scores")}
        kept = int(count) if is_number(count) else len(boxes)
        cut = {name: column[:kept] for name, column in columns.items() if isinstance(column, list)}
        return cls.from_columns({"boxes": [[x1, y1, x2, y2] for y1, x1, y2, x2 in boxes[:kept]], **cut}, image_size)

    @classmethod
    def from_coco(cls, answer: Any, image_size: Size | None = None) -> Detections | None:
        """COCO's `{"annotations": [{"bbox": [x, y, width, height], "category_id": 1}, ...], "categories": [...]}`.

        A category's "skeleton" joins the keypoints, if there is one.
        """
        if not is_object(answer):
            return None
        rows: Any = answer.get("annotations")
        categories: Any = answer.get("categories")
        if not (are_rows(rows) or rows == []) or not are_rows(categories):
            return None
        if not rows:
            return cls._of([], image_size)
        names = {row.get("id"): row.get("name") for row in categories if is_number(row.get("id"))}
        named = [{**row, "label": names.get(row.get("category_id"), row.get("category_id", ""))} for row in rows]
        found, skeletons = cls.from_rows(named, image_size), list(filter(None, map(_skeleton, categories)))
        return replace(found, skeleton=skeletons[0]) if found and len(skeletons) == 1 else found

    @classmethod
    def from_rows(cls, answer: Any, image_size: Size | None = None) -> Detections | None:
        """`[{"box": [x1, y1, x2, y2], "label": "coin", "score": 0.9}, ...]`, label and score optional.

        The box may be under "bbox", as numbers in the row itself as in YOLO's and Roboflow's answers, or as
        `{"xmin": ..., "ymin": ..., "xmax": ..., "ymax": ...}` as in transformers' pipelines; polygons, turned boxes and
        keypoints give their bounds. A row with a "category_id" is COCO's, whose bbox is (x, y, width, height). If "x"
        and "y" are a box's center, as in Roboflow's answers, or its corner is told by what fits the picture, else by
        the other keys.
        """
        if not are_rows(answer):
            return None
        found = spelled_out([{plain_key(name): value for name, value in row.items()} for row in answer])
        outlines, assumed = outlines_of(found)
        pointed = [row for row, outline in zip(found, outlines, strict=True) if outline is None and is_pointed(row)]
        centered = bool(pointed) and are_centered(pointed, image_size)
        things = [
            _Thing(
                None if outline else corners(row, centered),
                label_of(row),
                first(row, SCORE_KEYS),
                outline,
                keypoints_of_row(row),
            )
            for row, outline in zip(found, outlines, strict=True)
        ]
        where = "centers" if centered else "upper left corners"
        return cls._of(things, image_size, f"x and y are read as the boxes' {where}" if pointed else assumed)

    @classmethod
    def from_ocr(cls, answer: Any, image_size: Size | None = None) -> Detections | None:
        """EasyOCR's `[[[[x, y], ...], "text", 0.9], ...]`, and PaddleOCR's `[[[[x, y], ...], ["text", 0.9]], ...]`."""
        if not isinstance(answer, list) or not answer:
            return None
        rows = []
        for row in answer:
            if not isinstance(row, list) or len(row) not in (2, 3):
                return None
            polygon, *said = row
            text, score = said if len(said) == 2 else said[0] if _is_pair(said[0]) else (None, None)
            if not isinstance(polygon, list) or not isinstance(text, str):
                return None
            rows.append({"polygon": polygon, "label": text, "score": score})
        return cls.from_rows(rows, image_size)

    @classmethod
    def from_object_detector(cls, answer: Any, image_size: Size | None = None) -> Detections | None:
        """TorchServe's object_detector: `[{"coin": [x1, y1, x2, y2], "score": 0.9}, ...]`."""
        if not are_rows(answer):
            return None
        things = []
        for row in answer:
            name = next((key for key in row if key != "score"), None)
            if len(row) != 2 or "score" not in row or name is None:
                return None
            if is_box(row[name]) and not (row[name][0] <= row[name][2] and row[name][1] <= row[name][3]):
                return None  # four numbers of something else
            things.append(_Thing(row[name], name, row["score"]))
        return cls._of(things, image_size)

    @classmethod
    def from_numbers(cls, answer: Any, image_size: Size | None = None) -> Detections | None:
        """`[[x1, y1, x2, y2, score, class], ...]` and other rows of bare numbers, if all of them fit boxes on a picture
        of that size (handlerkit/predictions/tables.py)."""
        if (rows := rows_of_numbers(answer, image_size)) is None:
            return None
        assumed = "rows of numbers are read as boxes, scores and classes"
        if left := padding_of(answer):
            assumed += f"; {left} row{'s' * (left != 1)} of zeros left out"
        return cls._of([_Thing(*row) for row in rows], image_size, assumed)

    @classmethod
    def from_nothing(cls, answer: Any, image_size: Size | None = None) -> Detections | None:
        """`[]`, or a list of things by one of its names that is empty: nothing was found on a picture."""
        lists = [answer] if isinstance(answer, list) else []
        if is_object(answer):
            lists = [value for key, value in answer.items() if key in _LISTS]
            if any(isinstance(value, list) and value and not _is_size(key) for key, value in answer.items()):
                return None
        if image_size is None or not lists or any(one != [] for one in lists):
            return None
        return cls._of([], image_size, "an empty list is read as no boxes")

    @classmethod
    def _of(cls, things: list[_Thing], image_size: Size | None, assumed: str = "") -> Detections | None:
        """None unless each is what it should be, and all or none have a score and keypoints."""
        import numpy as np

        scores = [thing.score for thing in things if thing.score is not None]
        names = [name_of(thing.label) for thing in things]
        boxes = [_box_of(thing) for thing in things]
        points = [thing.keypoints for thing in things if thing.keypoints is not None]
        fits = None not in boxes and all(map(is_number, scores)) and None not in names
        if not fits or any(len(column) not in (0, len(things)) for column in (scores, points)):
            return None
        outlines = None
        if any(thing.outline is not None or not is_box(thing.box) for thing in things):
            outlines = [[np.array(polygon, np.float32) for polygon in _outline_of(thing)] for thing in things]
        return cls(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(scores, np.float32) if scores else None,
            [name or "" for name in names],
            image_size,
            assumed,
            outlines,
            _padded(points) if points else None,
        )


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _box_of(thing: _Thing) -> list[float] | None:
    """A thing's box, or the bounds of its outline, or of its points that are seen."""
    if is_box(thing.box):
        return list(thing.box)
    if thing.outline is not None:
        return bounds(thing.outline)
    if thing.box is not None or thing.keypoints is None:
        return None
    seen = [(x, y) for x, y, sure in thing.keypoints if sure > 0]
    return bounds([seen]) if seen else [0, 0, 0, 0]


def _outline_of(thing: _Thing) -> list[Polygon]:
    """A box that the answer does not say is not drawn."""
    if thing.outline is not None:
        return thing.outline
    return [rectangle(thing.box)] if is_box(thing.box) else []


def _padded(points: Sequence[Sequence[Point]]) -> npt.NDArray[np.float32]:
    """[N, K, 3]; points that a thing has fewer than others are not seen."""
    import numpy as np

    most = max(map(len, points))
    return np.array([[*each, *[(0, 0, 0)] * (most - len(each))] for each in points], np.float32)


def _skeleton(category: dict[str, Any]) -> Bones | None:
    """The bones in a category of COCO's, whose keypoints are counted from 1."""
    bones, points = category.get("skeleton"), category.get("keypoints")
    count = len(points) if isinstance(points, list) else 0
    if not isinstance(bones, list) or not all(is_numbers(bone) and len(bone) == 2 for bone in bones):
        return None
    return [(one - 1, other - 1) for one, other in bones if {one, other} <= set(range(1, count + 1))]


def _is_size(key: str) -> bool:
    """Whether a list under this key says how large the picture is."""
    return plain_key(key).endswith(("size", "shape"))


def _said_size(answer: Any) -> Size | None:
    """The (width, height) of the picture that the answer says its boxes lie on, as Roboflow's do."""
    image = answer.get("image") if is_object(answer) else None
    if not is_object(image):
        return None
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 < height else None
