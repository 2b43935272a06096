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
    found = boxes([{"coin": [1, 2, 3, 4], "score": 0.5}, {"7": [5.5, 6, 7, 8], "score": 1}], labels={"7": "ring"})
    assert found.boxes.tolist() == [[1, 2, 3, 4], [5.5, 6, 7, 8]]
    assert found.boxes.dtype == np.float32
    assert found.labels == ["coin", "ring"]
    assert found.scores.tolist() == [0.5, 1.0]


def test_torchvision_s_columns_with_indexes_for_labels():
    found = boxes({"boxes": [[0, 0, 9, 9]], "labels": [3], "scores": [0.25]}, labels={"3": "coin"}, image_size=(20, 10))
    assert (found.labels, found.scores.tolist(), found.image_size) == (["coin"], [0.25], (20, 10))


def test_no_boxes_are_detections_too():
    found = boxes({"boxes": [], "labels": [], "scores": []})
    assert (len(found), found.boxes.shape, found.scores) == (0, (0, 4), None)


@pytest.mark.parametrize(
    "row",
    [
        {"box": [1, 2, 3, 5], "label": "coin", "score": 0.5},
        {"bbox": [1, 2, 3, 5], "class": "coin", "confidence": 0.5},
        {"box": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 5}, "label": "coin", "score": 0.5},
        {"bbox": [1, 2, 2, 3], "category_id": 4, "score": 0.5},
    ],
    ids=["box", "bbox", "corners", "coco"],
)
def test_rows_of_boxes(row):
    found = boxes([row], labels={"4": "coin"})
    assert found.boxes.tolist() == [[1, 2, 3, 5]]
    assert (found.labels, found.scores.tolist()) == (["coin"], [0.5])


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
    found = classmap(recorded("seg_png"), labels={"2": "coin"})
    assert found.classes.dtype == np.uint8
    assert found.classes.shape[0] > 1
    assert (np.unique(found.classes).tolist(), found.name(2), found.name(1)) == ([2], "coin", "class 1")


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


def test_indexes_get_their_names():
    assert classes(recorded("ic_no_mapping"), labels={"3": "coin"}).names[:2] == ("coin", "5")


@pytest.mark.parametrize(
    "answer",
    [
        [{"label": "a", "score": 0.75}, {"label": "b", "score": 0.25}],
        {"labels": ["a", "b"], "scores": [0.75, 0.25]},
        {"predictions": [{"a": 0.75, "b": 0.25}]},
        [0.75, 0.25],
    ],
)
def test_classes_in_other_shapes(answer):
    assert classes(answer, labels={"0": "a", "1": "b"}) == Classifications(("a", "b"), (0.75, 0.25))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"a": 1.5},
        {"a": -0.5},
        {"precision": 0.9, "recall": 0.8},
        {"a": float("nan")},
        {"a": True},
        [0.1, 0.2],
        [{"label": "a"}],
        [{"label": "a", "score": 0.5, "box": [1, 2, 3, 4]}],
    ],
)
def test_what_is_not_classes(answer):
    assert Classifications.read(answer) is None
