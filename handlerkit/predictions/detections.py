"""Boxes on a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handlerkit.predictions.boxes import are_centered, corners, is_box, is_pointed
from handlerkit.predictions.shapes import (
    SCORE_KEYS,
    are_rows,
    bodies,
    first,
    is_number,
    is_object,
    label_of,
    name_of,
    plain_key,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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
        if not is_object(answer):
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

        The box may be under "bbox", as numbers in the row itself as in YOLO's and Roboflow's answers, or as
        `{"xmin": ..., "ymin": ..., "xmax": ..., "ymax": ...}` as in transformers' pipelines; a polygon gives its
        bounds. A row with a "category_id" is COCO's, whose bbox is (x, y, width, height). If "x" and "y" are a box's
        center, as in Roboflow's answers, or its corner is told by what fits the picture, else by the other keys.
        """
        if not are_rows(answer):
            return None
        found = [{plain_key(name): value for name, value in row.items()} for row in answer]
        pointed = [row for row in found if is_pointed(row)]
        centered = bool(pointed) and are_centered(pointed, image_size)
        rows = [(corners(row, centered), label_of(row), first(row, SCORE_KEYS)) for row in found]
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
        names = [name_of(label) for _, label, _ in rows]
        fits = all(is_box(box) for box, _, _ in rows) and all(map(is_number, scores)) and None not in names
        if not fits or len(scores) not in (0, len(rows)):
            return None
        boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
        labels = [name or "" for name in names]
        return cls(boxes, np.array(scores, np.float32) if scores else None, labels, image_size, assumed)
