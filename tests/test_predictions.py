from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from handlerkit.predictions import Classifications, Detections, SegmentationMap

GOLDEN = Path(__file__).parent / "golden" / "j_default_handlers.jsonl"


def recorded(case: str) -> object:
    """The JSON a real TorchServe answered in a recorded case."""
    rows = map(json.loads, GOLDEN.read_text().splitlines())
    return json.loads(base64.b64decode(next(row for row in rows if row["case"] == case)["response"]["body_base64"]))


def boxes(answer: object, **kwargs: object) -> Detections:
    found = Detections.read(answer, **kwargs)
    assert found is not None
    return found


def classmap(answer: object, **kwargs: object) -> SegmentationMap:
    found = SegmentationMap.read(answer, **kwargs)
    assert found is not None
    return found


def classes(answer: object, **kwargs: object) -> Classifications:
    found = Classifications.read(answer, **kwargs)
    assert found is not None
    return found


def test_the_object_detector_s_answer():
    found = boxes([{"coin": [1, 2, 3, 4], "score": 0.5}, {"7": [5.5, 6, 7, 8], "score": 1}])
    assert found.boxes.tolist() == [[1, 2, 3, 4], [5.5, 6, 7, 8]]
    assert found.boxes.dtype == np.float32
    assert found.labels == ["coin", "7"]
    assert found.scores.tolist() == [0.5, 1.0]


def test_torchvision_s_columns_with_indexes_for_labels():
    found = boxes({"boxes": [[0, 0, 9, 9]], "labels": [3.0], "scores": [0.25]}, image_size=(20, 10))
    assert (found.labels, found.scores.tolist(), found.image_size) == (["3"], [0.25], (20, 10))


def test_columns_may_call_their_boxes_bboxes():
    assert boxes({"bboxes": [[0, 0, 9, 9]], "labels": ["coin"], "scores": [0.25]}).labels == ["coin"]


def test_no_boxes_are_detections_too():
    found = boxes({"boxes": [], "labels": [], "scores": []})
    assert (len(found), found.boxes.shape, found.scores) == (0, (0, 4), None)


@pytest.mark.parametrize(
    "row",
    [
        {"box": [1, 2, 3, 5], "label": "coin", "score": 0.5},
        {"bbox": [1, 2, 3, 5], "class": "coin", "confidence": 0.5},
        {"box": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 5}, "label": "coin", "score": 0.5},
        {"bbox": [1, 2, 2, 3], "category_id": 4, "category_name": "x", "label": "coin", "score": 0.5},
        {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 5, "confidence": 0.5, "class": 0, "name": "coin"},
        {"name": "coin", "class": 0, "confidence": 0.5, "box": {"x1": 1, "y1": 2, "x2": 3, "y2": 5}},
        {"BoundingBox": {"Left": 1, "Top": 2, "Width": 2, "Height": 3}, "Name": "coin", "Confidence": 0.5},
        {"bounding_box": {"x_center": 2, "y_center": 3.5, "width": 2, "height": 3}, "label": "coin", "score": 0.5},
        {"x": 2, "y": 3.5, "width": 2, "height": 3, "confidence": 0.5, "class": "coin", "class_id": 0},
        {"x": 1, "y": 2, "w": 2, "h": 3, "score": 0.5, "label": "coin"},
        {"polygon": [[1, 2], [3, 2], [3, 5]], "label": "coin", "score": 0.5},
        {"points": [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 2, "y": 5}], "label": "coin", "score": 0.5},
        {"segments": {"x": [1, 3, 2], "y": [2, 3, 5]}, "name": "coin", "class": 0, "confidence": 0.5},
        {"box": [[1, 2], [3, 2], [3, 5], [1, 5]], "label": "coin", "score": 0.5},
        {"segmentation": [[1, 2, 3, 2, 3, 5]], "label": "coin", "score": 0.5},
    ],
    ids=[
        *("box", "bbox", "corners", "coco", "yolov5", "ultralytics", "left and top", "center", "roboflow", "x and y"),
        *("polygon", "points", "segments", "quadrilateral", "coco's polygon"),
    ],
)
def test_rows_of_boxes(row):
    found = boxes([row])
    assert found.boxes.tolist() == [[1, 2, 3, 5]]
    assert (found.labels, found.scores.tolist()) == (["coin"], [0.5])
    assert Classifications.read([row]) is None


@pytest.mark.parametrize(
    ("row", "size", "box"),
    [
        ({"x": 5, "y": 5, "width": 20, "height": 20, "confidence": 1, "class": "a"}, (100, 100), [5, 5, 25, 25]),
        ({"x": 90, "y": 90, "width": 20, "height": 20}, (100, 100), [80, 80, 100, 100]),
        ({"x": 0.9, "y": 0.9, "width": 0.2, "height": 0.2}, None, [0.8, 0.8, 1, 1]),
    ],
    ids=["a center would lie outside", "a corner would lie outside", "fractions"],
)
def test_what_fits_the_picture_tells_a_corner_from_a_center(row, size, box):
    assert boxes([row], image_size=size).boxes[0] == pytest.approx(box)


def test_what_is_assumed_of_x_and_y_is_told():
    row = {"x": 30, "y": 30, "width": 20, "height": 20}
    assert boxes([row]).assumed == "x and y are read as the boxes' upper left corners"
    assert boxes([{**row, "class": "a", "confidence": 0.5}]).assumed == "x and y are read as the boxes' centers"
    assert boxes([{"box": [1, 2, 3, 4]}]).assumed == ""


def test_roboflow_s_answer_with_its_words_about_the_rows():
    rows = [{"x": 2, "y": 3.5, "width": 2, "height": 3, "confidence": 0.5, "class": "coin", "class_id": 1}]
    found = boxes({"time": 0.1, "image": {"width": 640, "height": 480}, "predictions": rows})
    assert (found.boxes.tolist(), found.labels) == ([[1, 2, 3, 5]], ["coin"])


def test_coco_s_categories_name_its_annotations():
    answer = {
        "images": [{"id": 1}],
        "annotations": [{"id": 1, "image_id": 1, "bbox": [1, 2, 2, 3], "category_id": 4}],
        "categories": [{"id": 4, "name": "coin"}],
    }
    assert (boxes(answer).boxes.tolist(), boxes(answer).labels) == ([[1, 2, 3, 5]], ["coin"])


def test_an_envelope_s_wrapper_is_seen_through():
    assert boxes({"predictions": [[{"coin": [1, 2, 3, 4], "score": 0.5}]]}).labels == ["coin"]
    assert boxes({"predictions": [{"box": [1, 2, 3, 4], "label": "coin"}]}).labels == ["coin"]


def test_coordinates_that_are_not_finite_are_kept():
    assert np.isnan(boxes({"boxes": [[float("nan"), 0, 1, 1]]}).boxes[0, 0])


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        "boxes",
        [[1, 2, 3, 4]],
        {"boxes": [[1, 2, 3]]},
        {"boxes": [[1, 2, 3, "4"]]},
        {"boxes": [[1, 2, 3, 4]], "labels": ["a", "b"]},
        {"boxes": [[1, 2, 3, 4], [1, 2, 3, 4]], "scores": [0.5, None]},
        [{"coin": [1, 2, 3, 4]}],
        [{"coin": [1, 2, 3, 4], "score": True}],
        [{"box": [1, 2, 3, 4]}, {"text": "no box"}],
        {"code": 503, "type": "InternalServerException", "message": "Prediction failed"},
    ],
)
def test_what_is_not_boxes(answer):
    assert Detections.read(answer) is None


def test_the_image_segmenter_s_recorded_answer():
    found = classmap(recorded("seg_png"))
    assert found.classes.dtype == np.uint8
    assert found.classes.shape[0] > 1
    assert (np.unique(found.classes).tolist(), found.name(2), found.name(1)) == ([2], "class 2", "class 1")


def test_rows_of_class_indexes():
    found = classmap(np.full((8, 9), 300).tolist())
    assert (found.classes.shape, found.classes.dtype) == ((8, 9), np.uint16)


def test_run_lengths_go_down_the_columns():
    found = classmap({"size": [2, 3], "counts": [1, 2, 3]})
    assert found.classes.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_compressed_run_lengths():
    # [1, 2, 40, 7]: five bits each, 40 in two characters, 7 as its difference to 2
    found = classmap({"size": [10, 5], "counts": "12X15"})
    assert np.flatnonzero(found.classes.T.ravel()).tolist() == [1, 2, *range(43, 50)]


def test_a_mask_with_its_names_beside_it():
    answer = {"size": [2, 2], "pixels": {"background": 3, "coin": 1}, "mask": {"size": [2, 2], "counts": [0, 1, 3]}}
    found = classmap(answer)
    assert {found.name(index): count for index, count in found.pixels().items()} == {"background": 3, "coin": 1}


def test_a_small_mask_under_its_own_name():
    found = classmap({"mask": [[0, 2]], "classes": ["background", "coin", "ring"]})
    assert (found.classes.tolist(), found.name(2)) == ([[0, 2]], "ring")


def test_bare_counts_take_the_size_beside_them():
    assert classmap({"size": [1, 3], "mask": [1, 2], "label": "coin"}).name(1) == "coin"


@pytest.mark.parametrize(
    "answer",
    [
        [[1, 2], [3, 4]],
        np.full((8, 8), 0.5).tolist(),
        np.full((8, 8), -1).tolist(),
        [[[1, 0.5], [1, 0.5]], [[1, 0.5]]],
        [[[1.5, 0.5]]],
        [[[1, 7]]],
        {"size": [2, 2], "counts": [1, 2]},
        {"size": [2, 2], "counts": [5, -1]},
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"size": [2, 2], "counts": "é"},
        {"mask": "iVBORw0KGgo"},
    ],
)
def test_what_is_not_a_class_map(answer):
    assert SegmentationMap.read(answer) is None


def test_the_image_classifier_s_recorded_answer():
    found = classes(recorded("ic_png_raw"))
    assert found.names == ("name3", "name5", "name4", "name2", "name1")
    assert found.probabilities[0] == pytest.approx(0.427, abs=0.001)


def test_indexes_stay_what_the_answer_names():
    assert classes(recorded("ic_no_mapping"), labels={"3": "coin"}).names[:2] == ("3", "5")


@pytest.mark.parametrize(
    "answer",
    [
        [{"label": "a", "score": 0.75}, {"label": "b", "score": 0.25}],
        {"labels": ["a", "b"], "scores": [0.75, 0.25]},
        {"texts": ["a", "b"], "probs": [0.75, 0.25]},
        [{"prediction": "a", "probability": 0.75}, {"tagName": "b", "prob": 0.25}],
        {"predictions": [{"a": 0.75, "b": 0.25}]},
        {
            "time": 0.1,
            "predictions": [{"class": "a", "class_id": 0, "confidence": 0.75}, {"class": "b", "score": 0.25}],
        },
    ],
)
def test_classes_in_other_shapes(answer):
    assert classes(answer) == Classifications(("a", "b"), (0.75, 0.25))


def test_a_softmax_s_row_is_named_by_index():
    assert classes([0.75, 0.25]) == Classifications(("0", "1"), (0.75, 0.25))


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ({"dog": 0.5}, {"1": "dog"}),
        ({"1": 0.5}, {"1": "dog"}),
        ({"dog": 0.9, "pet": 0.8}, {"1": "dog", "2": "pet"}),
        ({"281": 0.5, "282": 0.2}, None),
        ({"a": 0.3, "b": 0.2, "c": 0.1, "d": 0.05, "e": 0.01}, None),
        ({"a": 0.304, "b": 0.7}, None),
    ],
    ids=["a label", "its index", "not exclusive", "indexes in order", "the five most likely", "rounded"],
)
def test_names_and_numbers_are_classes_with_evidence(answer, labels):
    assert classes(answer, labels=labels).names == tuple(answer)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"a": 1.5},
        {"a": -0.5},
        {"precision": 0.9, "recall": 0.8},
        {"lat": 0.2, "lon": 0.7},
        {"n": 1},
        {"n": 1.0},
        {"cats": 1, "dogs": 0},
        {"a": 0.01, "b": 0.05, "c": 0.1, "d": 0.2, "e": 0.3},
        [1, 0],
        {"name": "Ann", "score": 0.5},
        [{"label": "a", "score": 0.5, "age": 3}],
        {"labels": ["a"], "scores": [0.5], "boxes": [[1, 2, 3, 4]]},
        {"labels": ["a"], "scores": [0.5], "polygons": [[[1, 2], [3, 4], [5, 6]]]},
        {"a": float("nan")},
        {"a": True},
        [0.1, 0.2],
        [{"label": "a"}],
        [{"label": "a", "score": 0.5, "box": [1, 2, 3, 4]}],
    ],
)
def test_what_is_not_classes(answer):
    assert Classifications.read(answer) is None


def test_no_class_is_above_the_threshold() -> None:
    assert Classifications.read({"labels": [], "scores": []}) == Classifications((), ())
    assert Classifications.read({"labels": [], "scores": [], "boxes": []}) is None


def test_classes_of_a_pipeline_for_a_list_of_one_text() -> None:
    rows = [{"label": "LABEL_1", "score": 0.75}, {"label": "LABEL_0", "score": 0.25}]
    found = Classifications.read([rows])
    assert found is not None
    assert (found.names, found.probabilities) == (("LABEL_1", "LABEL_0"), (0.75, 0.25))


@pytest.mark.parametrize("rows", [[[{"label": "a", "score": 7.5}]], [[{"a": 1}]], [[{"label": "a", "score": 0.5}]] * 2])
def test_lists_of_lists_that_are_no_classes(rows: list[list[dict[str, float]]]) -> None:
    assert Classifications.read(rows) is None
