"""What detection models return for an image, told by its form.

    torchvision    boxes [N, 4], scores [N] and labels [N], or scores [N, classes]; masks [N, 1, H, W] of mask models;
                   as many other models tell it: Detectron2, MMDetection, EfficientNMS of TensorRT, TensorFlow, whose
                   detection_boxes begin with the height
    detr           logits [queries, classes + 1] and pred_boxes [queries, 4]: softmax, and the last class is no object
    rtdetr         logits [queries, classes] and pred_boxes: sigmoid, the best of all queries' classes; as many models
                   that came after DETR
    end2end        rows [boxes, 6] with NMS done: x1, y1, x2, y2, score, class; YOLOv10, YOLO26, exports with nms=True
    yolov8         [4 + classes, boxes]: YOLOv8, v9, 11, 12, and Ultralytics' exports of older ones
    yolov5         rows [boxes, 4 + 1 + classes], whose fifth number is the score of there being an object: YOLOv5 to
                   v7, YOLOX, also as its export leaves them: offsets in cells and logarithms of sides

Behind the classes of YOLO's rows may come the coefficients of masks, keypoints or an angle. Whatever the form, boxes
become x1, y1, x2, y2 in pixels of what the model saw; those that are shares of its width and height are told by being
at most 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from model_outputs import above_half
from request_handler import Refusal
from torch import Tensor
from torchvision.ops import box_convert

Found = dict[str, Tensor]  # boxes, labels, scores and what else there is, each [N, ...]

# Networks whose logits have a class for no object, by the names of their classes.
_WITH_NO_OBJECT = {"DETR", "DetrForObjectDetection", "YolosForObjectDetection", "TableTransformerForObjectDetection"}
_MOST = 1.01  # rounding of float16 included
_STRIDES = (8, 16, 32)  # YOLOX's


@dataclass
class Output:
    """What the model returned for an image, and what else tells how to read it.

    tensors: by name, without the batch's dimension.
    size: (height, width) of what the model saw.
    networks: the names of the classes that the network is made of.
    labels: how many labels there are; 0 where nothing says it.
    box_format: of YOLO's rows: cxcywh, xywh or xyxy.
    """

    tensors: dict[str, Tensor]
    size: tuple[int, int]
    networks: set[str]
    labels: int
    box_format: str

    @property
    def shapes(self) -> str:
        plain = {name: one for name, one in self.tensors.items() if "." not in name}
        return ", ".join(f"{name} {list(one.shape)}" for name, one in (plain or self.tensors).items())


def read_boxes(output: Output, form: str, threshold: float) -> tuple[str, Found]:
    """The form, and the boxes read in it: in `form`, or for "auto" in the first that gives a possible reading.

    Raises Refusal, in one sentence, if there is none.
    """
    tried: list[str] = []
    problems = []
    for name in _likely(output) if form == "auto" else (form,):
        tried.append(name)
        if (found := BOX_FORMS[name](output)) is None:
            continue
        if (problem := _impossible(found, output.size, threshold)) is None:
            return name, {**found, "labels": found["labels"].long()}
        problems.append(f"read as {name}, {problem}")
    why = "; ".join(problems) or f"that is not {' or '.join(tried)}"
    raise Refusal(500, f"The model returns {output.shapes}, and {why}: `form` in model-config.yaml names another form.")


def _likely(output: Output) -> Iterator[str]:
    """The forms to try, the likeliest first."""
    yield "torchvision"
    yield _with_logits(output)
    rows = next(iter(output.tensors.values()))
    wide = rows.ndim == 2 and len(rows) <= rows.shape[1]
    yield from ("end2end", "yolov8", "yolov5") if wide else ("end2end", "yolov5", "yolov8")


def _impossible(found: Found, size: tuple[int, int], threshold: float) -> str | None:
    """Why no detector means this; None where it may."""
    boxes, scores, labels = found["boxes"], found["scores"], found["labels"]
    if not len(boxes):
        return None
    if not (low := float(scores.min())) >= 1 - _MOST:  # nor is NaN a score
        return f"a score is {low:.4g}, below 0"
    if (high := float(scores.max())) > _MOST:
        return f"a score is {high:.4g}, above 1"
    if (labels != labels.round()).any():
        return f"a class is {float(labels[labels != labels.round()][0]):.4g}, not a whole number"
    shown = boxes[(scores >= threshold) & (scores > 0) & boxes.isfinite().all(1)]  # exports fill up with zeros
    height, width = size
    left, top, right, bottom = shown.unbind(1)
    if len(shown) and not ((left < width) & (top < height) & (right > 0) & (bottom > 0)).any():
        return f"all boxes lie outside the {width}x{height} pixels that it saw"
    if len(shown) and not ((right - left >= 1) & (bottom - top >= 1)).any():
        return "no box is a pixel wide and high"
    return None


# ---- The forms


def _torchvision(output: Output) -> Found | None:
    tensors = {name: one for name, one in output.tensors.items() if "." not in name}
    tables = [one for one in tensors.values() if one.ndim == 2]
    boxes = tensors.get("boxes", next((one for sides in (4, 5) for one in tables if one.shape[1] == sides), None))
    if boxes is None or boxes.ndim != 2 or boxes.shape[1] not in (4, 5):
        return None
    if boxes is tensors.get("detection_boxes"):
        boxes = boxes[:, [1, 0, 3, 2]]
    columns = [*(one for one in tensors.values() if one.shape == boxes.shape[:1]), *boxes[:, 4:].unbind(1)]
    shares = (one for one in tables if one.shape[1] != 4 and len(one) == len(boxes) and _are_shares(one))
    named = (one for name, one in tensors.items() if "class" in name and one.shape == boxes.shape[:1])
    labels = tensors.get("labels", next(named, _whole(columns)))
    floats = (one for one in columns if one.is_floating_point() and one is not labels)
    scores = tensors.get("scores", next(floats, next(shares, None)))
    boxes = boxes[:, :4]
    if scores is not None and scores.ndim == 2:
        scores, labels = _best_classes(scores)
    if scores is None or labels is None:
        return None
    masks = tensors.get("masks", next((one for one in tensors.values() if one.ndim == 4), None))
    found = {"boxes": _in_pixels(boxes, output.size), "labels": labels, "scores": scores}
    return found if masks is None else {**found, "masks": above_half(masks).reshape(len(boxes), 1, *masks.shape[-2:])}


def _whole(columns: list[Tensor]) -> Tensor | None:
    """The column of classes: of whole numbers by their kind, or else the last of several that holds no others."""
    kinds = (one for one in columns if not one.is_floating_point())
    whole = (one for one in reversed(columns) if len(columns) > 1 and (one == one.round()).all())
    return next(kinds, next(whole, None))


def _best_classes(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Of [N, classes]. A softmax, as SSD's, has a class for no object: the first or the last, the more frequent one."""
    last = scores.shape[1] - 1
    if last > 0 and len(scores) and ((scores.sum(1) - 1).abs() < 0.01).all():
        no_object = last if scores[:, last].mean() > scores[:, 0].mean() else 0
        scores = scores.index_fill(1, torch.tensor([no_object], device=scores.device), 0)
    return scores.max(1)


def _are_shares(values: Tensor) -> bool:
    return bool(((values >= 1 - _MOST) & (values <= _MOST)).all())


def _logits_and_boxes(output: Output) -> tuple[Tensor, Tensor] | None:
    tensors = output.tensors
    logits, boxes = tensors.get("logits", tensors.get("pred_logits")), tensors.get("pred_boxes")
    if unnamed := logits is None or boxes is None:
        logits, boxes = (*[one for name, one in tensors.items() if "." not in name], None, None)[:2]
        if boxes is not None and boxes.shape[1:] != (4,):
            logits, boxes = boxes, logits  # RF-DETR's export tells the boxes first
    if logits is None or boxes is None or logits.ndim != 2 or boxes.shape != (len(logits), 4):
        return None
    if unnamed and _are_shares(logits) and not output.networks & _WITH_NO_OBJECT:
        return None
    return logits, box_convert(boxes * _sides(boxes, output.size), "cxcywh", "xyxy")


def _with_logits(output: Output) -> str:
    """Whether logits are DETR's or RT-DETR's, which their form does not show: by the network, or by the labels."""
    if (read := _logits_and_boxes(output)) is None:
        return "detr"
    classes = read[0].shape[1]
    if output.networks & _WITH_NO_OBJECT or output.labels == classes - 1:
        return "detr"
    if output.labels == classes or any(
        "detr" in name.lower() or "ForObjectDetection" in name for name in output.networks
    ):
        return "rtdetr"
    raise Refusal(
        500,
        f"The model returns {output.shapes}, which DETR reads by softmax and RT-DETR by sigmoid: set `form` in "
        "model-config.yaml, section handler, to detr or rtdetr.",
    )


def _detr(output: Output) -> Found | None:
    if (read := _logits_and_boxes(output)) is None:
        return None
    logits, boxes = read
    scores, labels = logits.softmax(1)[:, :-1].max(1)
    return {"boxes": boxes, "labels": labels, "scores": scores}


def _rtdetr(output: Output) -> Found | None:
    if (read := _logits_and_boxes(output)) is None:
        return None
    logits, boxes = read
    scores, index = logits.sigmoid().flatten().topk(len(logits))
    return {"boxes": boxes[index // logits.shape[1]], "labels": index % logits.shape[1], "scores": scores}


def _table(output: Output) -> Tensor | None:
    """The first tensor, if it is a table that says all of a box: none with as many rows lies beside it."""
    (_, first), *others = output.tensors.items()
    if first.ndim != 2 or any(one.ndim in (1, 2) and len(one) == len(first) for name, one in others if "." not in name):
        return None
    return first


def _end2end(output: Output) -> Found | None:
    rows = _table(output)
    if rows is None or rows.shape[1] < 6:
        return None
    # Ultralytics' RT-DETR and oriented boxes say center and sides; a corner of YOLO26's worst boxes may lie amiss, too
    box_format = "cxcywh" if (rows[:, 2:4] < rows[:, :2]).any(1).float().mean() > 0.5 else "xyxy"
    boxes = _in_pixels(box_convert(rows[:, :4], box_format, "xyxy"), output.size)
    scores, labels = rows[:, 4], rows[:, 5]
    if rows.shape[1] == 6 and (scores == scores.round()).all() and not (labels == labels.round()).all():
        scores, labels = labels, scores  # the class stands before the score
    found = {"boxes": boxes, "scores": scores, "labels": labels}
    return {**found, **_beside(rows[:, 6:], rows[:, :4], output)}


def _yolov8(output: Output) -> Found | None:
    columns = _table(output)
    return _rows(columns.T, 4, output) if columns is not None and len(columns) > 4 else None


def _yolov5(output: Output) -> Found | None:
    rows = _table(output)
    return _rows(_decoded(rows, output.size), 5, output) if rows is not None and rows.shape[1] > 4 else None


BOX_FORMS: dict[str, Callable[[Output], Found | None]] = {
    "torchvision": _torchvision,
    "detr": _detr,
    "rtdetr": _rtdetr,
    "end2end": _end2end,
    "yolov8": _yolov8,
    "yolov5": _yolov5,
}
NMS_DONE = ("detr", "rtdetr", "end2end")


# ---- YOLO's rows


def _rows(rows: Tensor, first: int, output: Output) -> Found:
    """Rows [boxes, first + classes + ...]: a box, an object's score where `first` is 5, the classes' scores."""
    count = _count_classes(rows[:, first:], output)
    classes = rows[:, first : first + count]
    if first == 5:
        classes = rows[:, 4:5] * classes if rows.shape[1] > 5 else rows[:, 4:5]
    scores, labels = classes.max(1)
    boxes = _in_pixels(box_convert(rows[:, :4], output.box_format, "xyxy"), output.size)
    found = {"boxes": boxes, "labels": labels, "scores": scores}
    return {**found, **_beside(rows[:, first + count :], rows[:, :4], output)}


def _decoded(rows: Tensor, size: tuple[int, int]) -> Tensor:
    """YOLOX's rows with boxes in pixels, also of offsets in cells and logarithms of sides (its demo_postprocess).

    Those are told by a row for each cell of 8, 16 and 32 pixels, and by centers that only so lie near their cells.
    """
    height, width = size
    grids = []
    for stride in _STRIDES:
        down, right = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        grids.append(torch.stack([right, down, torch.full_like(down, stride)], -1).flatten(0, 1))
    cells, strides = torch.cat(grids).to(rows).split((2, 1), dim=1)
    if len(cells) != len(rows):
        return rows

    def distance(centers: Tensor) -> float:
        return float((centers - (cells + 0.5) * strides).abs().mean())

    centers = (rows[:, :2] + cells) * strides
    others = (rows[:, :2], rows[:, :2] * _sides(rows, size)[:2])  # pixels and shares
    if not 4 * distance(centers) < min(map(distance, others)):
        return rows
    return torch.cat([centers, rows[:, 2:4].exp() * strides, rows[:, 4:]], dim=1)


def _count_classes(columns: Tensor, output: Output) -> int:
    """How many of the columns are scores: all but the masks' coefficients, else those before one that is no share."""
    if (maps := prototypes(output.tensors, columns.shape[1])) is not None:
        return columns.shape[1] - len(maps)
    shares = ((columns >= 1 - _MOST) & (columns <= _MOST)).all(0).tolist()
    count = max(1, (*shares, False).index(False))  # where the first is none, the reading is impossible
    # an angle may look like a score
    has_angle = output.labels == count - 1 or any(name.startswith("OBB") for name in output.networks)
    return columns.shape[1] - 1 if has_angle and count == columns.shape[1] > 1 else count


def _beside(columns: Tensor, boxes: Tensor, output: Output) -> Found:
    """What else YOLO's rows hold: coefficients of masks, an angle, or keypoints with or without a score each."""
    count = columns.shape[1]
    if not count:
        return {}
    if (maps := prototypes(output.tensors, count + 1)) is not None and len(maps) == count:
        return {"coefficients": columns}
    if count == 1:
        corners = _rotated(boxes, columns[:, 0])
        return {"polygons": corners, "boxes": torch.cat([corners.amin(1), corners.amax(1)], dim=1)}
    numbers = 3 if count % 3 == 0 else 2 if count % 2 == 0 else 0
    return {"keypoints": columns.unflatten(1, (-1, numbers))} if numbers else {}


def _rotated(boxes: Tensor, angle: Tensor) -> Tensor:
    """The corners [N, 4, 2] of boxes cx, cy, w, h, turned by angles in radians, as ultralytics.utils.ops does it."""
    center, width, height = boxes[:, :2], boxes[:, 2:3] / 2, boxes[:, 3:4] / 2
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    across, down = torch.cat([width * cos, width * sin], 1), torch.cat([-height * sin, height * cos], 1)
    return torch.stack(
        [center + across + down, center + across - down, center - across - down, center - across + down], 1
    )


def prototypes(tensors: dict[str, Tensor], fewer_than: int) -> Tensor | None:
    """The maps [P, H', W'] that masks are sums of, beside YOLO's rows; the features that some return lie deeper."""
    near = (one for name, one in tensors.items() if name.count(".") < 2 and one.ndim == 3)
    return next((one for one in near if len(one) < fewer_than), None)


def masks_of(coefficients: Tensor, maps: Tensor) -> Tensor:
    """YOLO's masks [N, 1, H', W'], above 0.5 where an object is, and not yet cut to its box.

    They are logits and half more, whose enlargement is then that of the logits: Ultralytics', which cuts them above 0.
    """
    return torch.einsum("np,phw->nhw", coefficients.float(), maps.float())[:, None] + 0.5


# ---- Pixels


def _sides(like: Tensor, size: tuple[int, int]) -> Tensor:
    """Width, height, width, height."""
    height, width = size
    return torch.tensor([width, height, width, height], device=like.device, dtype=torch.float32)


def _in_pixels(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes in pixels, also those that are shares of the width and height."""
    finite = boxes[boxes.isfinite()]
    # decoded boxes may go beyond the edges; pixels are more
    are_shares = len(finite) > 0 and 0 < float(finite.max()) <= 2
    return boxes * _sides(boxes, size) if are_shares else boxes
