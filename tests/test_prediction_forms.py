"""The forms in which answers hold what was found, and JSON that looks like one of them and is none."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from handlerkit.predictions import Detections, SegmentationMap

SIZE = (640, 480)
ROW = [10, 20, 110, 220, 0.9, 3]


def found(answer: object, size: tuple[int, int] | None = SIZE) -> Detections:
    read = Detections.read(answer, size)
    assert read is not None
    return read


# --- bare rows of numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        [ROW],
        [[ROW]],
        {"predictions": [ROW]},
        [[10, 20, 110, 220, 3, 0.9]],
        [[10, 20, 110, 220, 17, 0.9, 3]],
    ],
    ids=["score and class", "a batch of one", "wrapped", "class and score", "a track"],
)
def test_rows_of_numbers_are_boxes(answer):
    read = found(answer)
    assert read.boxes.tolist() == [[10, 20, 110, 220]]
    assert (read.labels, read.scores.tolist()) == (["3"], [pytest.approx(0.9)])
    assert "rows of numbers are read as boxes" in read.assumed


COLUMNS = {"boxes": [[10, 20, 110, 220], [30, 40, 50, 60]], "classes": [3, 1], "scores": [0.9, 0.5]}


@pytest.mark.parametrize("wrap", ["instances", "pred_instances"])
def test_columns_of_detectron2_and_mmdetection(wrap):
    columns = {f"pred_{key}" if key != "scores" else key: column for key, column in COLUMNS.items()}
    for answer in (columns, {wrap: columns}, {wrap: COLUMNS}):
        assert (found(answer).boxes.tolist(), found(answer).labels) == (COLUMNS["boxes"], ["3", "1"])


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: {"predictions": [one]}])
def test_tensorflow_s_boxes_begin_with_the_height_and_end_with_their_number(wrap):
    answer = {
        "detection_boxes": [[0.2, 0.1, 0.6, 0.5], [0, 0, 0, 0]],
        "detection_classes": [3.0, 1.0],
        "detection_scores": [0.9, 0.0],
        "num_detections": 1.0,
    }
    read = found(wrap(answer))
    assert read.boxes.tolist() == [pytest.approx([0.1, 0.2, 0.5, 0.6])]
    assert (read.labels, read.scores.tolist()) == (["3"], [pytest.approx(0.9)])


def test_texts_found_in_a_picture_name_their_boxes():
    read = found({"rec_texts": ["hello"], "rec_scores": [0.9], "rec_boxes": [[10, 20, 110, 220]]})
    assert (read.labels, read.boxes.tolist()) == (["hello"], [[10, 20, 110, 220]])


CORNERS = [[10, 20], [110, 20], [110, 220], [10, 220]]


@pytest.mark.parametrize("said", [["hello", 0.9], [["hello", 0.9]]], ids=["EasyOCR", "PaddleOCR"])
def test_rows_of_an_outline_and_a_text(said):
    read = found([[CORNERS, *said]])
    assert (read.labels, read.boxes.tolist()) == (["hello"], [[10, 20, 110, 220]])


@pytest.mark.parametrize("answer", [[["a", "b", 0.9]], [[CORNERS, 3, 0.9]], [[CORNERS, "a"]], [[0.5, "a", 0.9]]])
def test_rows_of_something_else_and_a_text(answer):
    assert Detections.read(answer, SIZE) is None


def test_ultralytics_service_says_the_image_first():
    row = {"name": "coin", "class": 0, "confidence": 0.9, "box": {"x1": 10, "y1": 20, "x2": 110, "y2": 220}}
    assert found({"images": [{"results": [row], "shape": [480, 640]}], "metadata": {}}).labels == ["coin"]


def test_landmarks_are_keypoints():
    points = [{"x": 0.1 + 0.02 * i, "y": 0.2, "z": 0, "visibility": 0.9} for i in range(33)]
    assert found({"landmarks": points}).keypoints.shape == (1, 33, 3)


@pytest.mark.parametrize("key", ["class_label", "tagName", "className"])
def test_what_rows_call_their_class(key):
    assert found([{key: "coin", "bbox": [10, 20, 110, 220], "score": 0.9}]).labels == ["coin"]


def test_rows_of_turned_boxes():
    read = found([[100, 100, 40, 20, np.pi / 2, 0.9, 3]])
    assert read.boxes[0] == pytest.approx([90, 80, 110, 120], abs=1e-4)
    assert len(read.outlines[0][0]) == 4


def test_rows_of_numbers_may_be_fractions():
    assert found([[0.1, 0.2, 0.3, 0.4, 0.5, 0]]).boxes[0] == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    "answer",
    [
        [[1, 2, 3, 4, 1, 0]],
        [[10, 20, 110, 220, 0.9, 3.5]],
        [[10, 20, 110, 220, 1.5, 3]],
        [[110, 20, 10, 220, 0.9, 3]],
        [[10, 20, 1110, 220, 0.9, 3]],
        [[0, 0, 0, 0, 0, 0]],
        [[10, 20, 110, 220, 0.9, -1]],
        [[10, 20, 110, 220, 0.9, True]],
        [[10, 20, 110, 220, 0.9]],
        [[10, 20, 110, 220, 0.9, float("nan")]],
        [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]],
        [10, 20, 110, 220, 0.9, 3],
    ],
    ids=[
        *("whole scores", "half a class", "a score above 1", "no width", "outside", "nothing but zeros"),
        *("a class below 0", "true", "five columns", "not finite", "fractions alone", "one list"),
    ],
)
def test_rows_of_numbers_that_are_no_boxes(answer):
    assert Detections.read(answer, SIZE) is None


@pytest.mark.parametrize("answer", [[ROW, [0] * 6, [0.0] * 6], [[ROW, [0] * 6, [0] * 6]]])
def test_rows_of_zeros_that_fill_up_a_table_are_left_out(answer):
    read = found(answer)
    assert len(read) == 1
    assert read.assumed.endswith("; 2 rows of zeros left out")


@pytest.mark.parametrize("behind", [[1.0, 0], [0, 1.0], [1.0, 0.0]])
def test_a_single_score_may_be_1(behind):
    read = found([[10, 20, 110, 220, *behind]])
    assert (read.scores.tolist(), read.labels) == ([1.0], ["0"])


def test_rows_of_numbers_need_a_picture():
    assert Detections.read([ROW], None) is None


numbers = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)


@given(st.integers(1, 9).flatmap(lambda wide: st.lists(st.lists(numbers, min_size=wide, max_size=wide), min_size=1)))
def test_a_table_is_boxes_only_if_each_row_says_a_box(table):
    read = Detections.read(table, SIZE)
    if read is not None and read.outlines is None:
        (x1, y1), (x2, y2) = read.boxes[:, :2].T, read.boxes[:, 2:].T
        assert (x1 < x2).all()
        assert (y1 < y2).all()
        assert ((read.scores >= 0) & (read.scores <= 1)).all()
        assert all(label.isdecimal() for label in read.labels)


boxes = st.tuples(st.floats(0, 300), st.floats(0, 200), st.floats(1, 300), st.floats(1, 200))


@given(st.lists(st.tuples(boxes, st.floats(0.01, 0.99), st.integers(0, 90)), min_size=1))
def test_what_a_detector_writes_as_rows_is_read(things):
    rows = [[x, y, x + width, y + height, score, index] for (x, y, width, height), score, index in things]
    read = found(rows)
    assert read.boxes == pytest.approx(np.array([row[:4] for row in rows]), abs=1e-3)
    assert read.labels == [str(row[5]) for row in rows]


# --- nothing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"predictions": []},
        {"predictions": [], "image": {"width": 640, "height": 480}},
        {"detections": [], "time": 0.2},
        {"masks": [], "labels": [], "scores": []},
        [{"predictions": {"image": {"width": 640, "height": 480}, "predictions": []}}],
    ],
)
def test_nothing_found_is_no_boxes_on_a_picture(answer):
    assert len(found(answer)) == 0
    assert Detections.read(answer, None) is None


@pytest.mark.parametrize("answer", [{}, {"words": []}, {"predictions": [], "tokens": ["a"]}, [[]], {"text": ""}])
def test_emptiness_of_something_else_is_not(answer):
    assert Detections.read(answer, SIZE) is None


# --- Roboflow's, COCO's -----------------------------------------------------------------------------------------------

ROBOFLOW = {"x": 60, "y": 120, "width": 100, "height": 200, "confidence": 0.9, "class": "coin", "class_id": 1}


@pytest.mark.parametrize("wrap", [lambda body: body, lambda body: [{"predictions": body}]], ids=["model", "workflow"])
def test_roboflow_s_boxes_lie_on_the_picture_it_names(wrap):
    read = found(wrap({"predictions": [ROBOFLOW], "image": {"width": 320, "height": 240}}))
    assert (read.boxes.tolist(), read.image_size) == ([[10, 20, 110, 220]], (320, 240))


def test_coco_s_results():
    rows = [{"image_id": 42, "category_id": 18, "bbox": [10, 20, 100, 200], "score": 0.9}]
    read = found(rows)
    assert (read.boxes.tolist(), read.labels) == ([[10, 20, 110, 220]], ["18"])


# --- turned boxes and polygons ----------------------------------------------------------------------------------------

QUAD = [[10, 20], [60, 10], [70, 60], [20, 70]]


@pytest.mark.parametrize(
    "row",
    [
        {"xyxyxyxy": QUAD},
        {"box": {f"{axis}{i}": QUAD[i - 1][axis == "y"] for i in range(1, 5) for axis in "xy"}},
        {"bbox": [number for point in QUAD for number in point]},
        {"quad": [{"x": x, "y": y} for x, y in QUAD]},
    ],
    ids=["xyxyxyxy", "ultralytics", "eight numbers", "points"],
)
def test_four_corners_are_an_outline(row):
    read = found([{**row, "label": "ship", "score": 0.5}])
    assert read.outlines[0][0].tolist() == QUAD
    assert read.boxes.tolist() == [[10, 10, 70, 70]]


@pytest.mark.parametrize(
    "row",
    [
        {"xywhr": [50, 50, 40, 20, np.pi / 2]},
        {"obb": [50, 50, 40, 20, np.pi / 2]},
        {"x": 50, "y": 50, "width": 40, "height": 20, "rotation": np.pi / 2},
        {"box": {"cx": 50, "cy": 50, "w": 40, "h": 20, "angle": 90}},
        {"box": [30, 40, 70, 60], "angle": -90},
    ],
)
def test_turned_boxes(row):
    read = found([{**row, "label": "ship", "score": 0.5}])
    assert read.boxes[0] == pytest.approx([40, 30, 60, 70], abs=1e-3)
    assert "angles are read as" in read.assumed


def test_columns_of_turned_boxes():
    read = found({"boxes": [[50, 50, 40, 20, 0.0]], "labels": ["ship"], "scores": [0.5]})
    assert read.boxes.tolist() == [[30, 40, 70, 60]]


@pytest.mark.parametrize(
    "answer",
    [
        {"bboxes": [[10, 20, 110, 220, 0.9]], "labels": ["3"]},
        {"bboxes": [[10, 20, 110, 220, 0.9]], "labels": [3], "scores": [0.9]},
        {"boxes": [[10, 20, 110, 220, 0.9, 3]]},
        {"boxes": [[10, 20, 110, 220, 3, 0.9]]},
        {"boxes": [[10, 20, 110, 220, 7, 0.9, 3]]},
        [{"bbox": [10, 20, 110, 220, 0.9], "class": 3}],
        [{"bbox": [10, 20, 110, 220, 0.9, 5], "label": "3"}],
        [{"bbox": [10, 20, 100, 200, 0.9], "category_id": 3}],
    ],
)
def test_what_follows_two_corners_is_a_score_and_a_class(answer):
    read = found(answer, None)
    assert (read.boxes.tolist(), read.outlines) == ([[10, 20, 110, 220]], None)
    assert (read.labels, read.scores.tolist()) == (["3"], [pytest.approx(0.9)])


@pytest.mark.parametrize(
    "answer",
    [
        {"boxes": [[50, 60, 110, 120, 0.5]], "labels": ["3"], "scores": [0.9]},
        {"obb": [[50, 60, 110, 120, 0.5]], "labels": ["3"], "scores": [0.9]},
        {"bboxes": [[50, 60, 110, 120, 0.5, 0.9]], "labels": [3]},
        {"bboxes": [[50, 60, 110, 120, -0.5, 0.9, 3]]},
        [{"rbox": [50, 60, 110, 120, 0.5], "label": "3", "score": 0.9}],
        [{"bbox": [50, 60, 110, 120, 30], "label": "3", "score": 0.9}],
        [{"box": [50, 60, 20, 30, 0.5], "label": "3", "score": 0.9}],
    ],
)
def test_five_numbers_that_are_no_corners_and_score_are_turned(answer):
    read = found(answer)
    assert read.outlines is not None
    assert np.mean(read.outlines[0][0], axis=0) == pytest.approx([50, 60], abs=1e-3)
    assert (read.labels, read.scores.tolist()) == (["3"], [pytest.approx(0.9)])


@pytest.mark.parametrize("answer", [[{"bbox": [10, 20, 110, 220, 1.9, 3.5]}], {"boxes": [[1, 2, 3, 4, 5, 6]]}])
def test_three_points_are_no_box(answer):
    assert Detections.read(answer, SIZE) is None


@pytest.mark.parametrize("key", ["polygons", "segments"])
def test_a_column_of_outlines(key):
    answer = {"boxes": [[10, 10, 70, 70]], "labels": ["ship"], "scores": [0.9], key: [QUAD]}
    assert found(answer).outlines[0][0].tolist() == QUAD
    assert found({key: [QUAD]}).boxes.tolist() == [[10, 10, 70, 70]]


def test_a_column_of_something_else_leaves_the_boxes():
    read = found({"boxes": [[10, 10, 70, 70]], "labels": ["ship"], "segments": ["a", "b"]})
    assert (read.boxes.tolist(), read.outlines) == ([[10, 10, 70, 70]], None)


def test_boxes_alone_have_no_outlines():
    assert found([{"box": [1, 2, 3, 4]}]).outlines is None


# --- keypoints --------------------------------------------------------------------------------------------------------

FLAT = [30, 40, 2, 50, 60, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "points",
    [
        FLAT,
        [FLAT[:3], FLAT[3:6], FLAT[6:]],
        [[30, 40], [50, 60], [0, 0]],
        [{"x": 30, "y": 40, "confidence": 0.5, "class": "eye"}, {"x": 50, "y": 60}, {"x": 0, "y": 0}],
        {"x": [30, 50, 0], "y": [40, 60, 0], "visible": [0.9, 0.8, 0.1]},
    ],
    ids=["coco", "rows of three", "rows of two", "roboflow", "ultralytics"],
)
def test_keypoints_in_their_forms(points):
    if isinstance(points, list) and isinstance(points[0], dict):
        points = [{"confidence": 0.5, **point} for point in points]
    read = found([{"keypoints": points, "category_id": 1, "score": 0.5}])
    assert read.keypoints[0, :, :2].tolist() == [[30, 40], [50, 60], [0, 0]]
    assert (read.keypoints[0, :, 2] > 0).tolist() == [True, True, False]
    assert read.boxes.tolist() == [[30, 40, 50, 60]]


def test_a_box_that_the_answer_does_not_say_is_not_drawn():
    assert found([{"keypoints": FLAT}]).lines() == [[[[30, 40]], [[50, 60]]]]
    assert len(found([{"keypoints": FLAT, "bbox": [1, 2, 9, 9]}]).lines()[0][0]) == 5


def test_seventeen_points_have_coco_s_skeleton():
    points = [[i + 1, i + 1] for i in range(17)]
    lines = found([{"keypoints": points}]).lines()[0]
    assert sum(len(line) == 2 for line in lines) == 19
    assert [[6, 6], [8, 8]] in lines  # the left shoulder and elbow
    assert all(len(line) == 1 for line in found([{"keypoints": points[:16]}]).lines()[0])


def test_twenty_one_points_are_a_hand():
    lines = found([{"keypoints": [[i + 1, i + 1] for i in range(21)]}]).lines()[0]
    assert sum(len(line) == 2 for line in lines) == 21
    assert [[9, 9], [10, 10]] not in lines  # the tip of a finger and the base of the next one
    assert [[1, 1], [18, 18]] in lines  # the wrist and the little finger


def test_coco_s_categories_say_how_points_are_joined():
    people = {"id": 1, "name": "ant", "keypoints": ["head", "waist", "tail"], "skeleton": [[1, 3], [3, 4]]}
    row = {"category_id": 1, "bbox": [1, 2, 9, 9], "keypoints": [3, 4, 2, 5, 6, 1, 7, 8, 2]}
    lines = found({"annotations": [row], "categories": [people]}).lines()[0]
    assert lines[1:] == [[[3, 4], [7, 8]], [[3, 4]], [[5, 6]], [[7, 8]]]


@pytest.mark.parametrize(
    ("third", "seen"),
    [((0.01, 0.01, 0.01), 0), ((0.9, 0.3, 0.2), 2), ((2, 1, 0), 2), ((1.0, 1.0, 0.0), 2), ((7.5, 0.6, -3.0), 2)],
    ids=["all unlikely", "scores", "flags", "flags as floats", "beyond 1"],
)
def test_points_with_a_low_score_are_not_seen(third, seen):
    points = [[30, 40, third[0]], [50, 60, third[1]], [70, 80, third[2]]]
    assert (found([{"keypoints": points, "box": [1, 2, 90, 90]}]).keypoints[..., 2] > 0).sum() == seen


def test_torchvision_s_columns_of_keypoints():
    points = [[[30, 40, 1], [50, 60, 1]]]
    read = found({"boxes": [[1, 2, 90, 90]], "labels": [1], "scores": [0.5], "keypoints": points})
    assert read.keypoints.shape == (1, 2, 3)


@pytest.mark.parametrize("answer", [{"keypoints": "none"}, [{"keypoints": [1, 2, "x"]}], [{"keypoints": []}]])
def test_what_is_no_keypoints(answer):
    assert Detections.read(answer, SIZE) is None


def test_all_of_it_moves_to_another_grid():
    read = found([{"keypoints": FLAT, "xyxyxyxy": QUAD}]).moved((2, 3), (1, 1))
    assert read.keypoints[0, 0].tolist() == [61, 121, 2]
    assert read.outlines[0][0][0].tolist() == [21, 61]
    assert read.boxes.tolist() == [[21, 31, 141, 211]]


# --- masks in base64 --------------------------------------------------------------------------------------------------


def png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


NOISE = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
RED, BLACK, WHITE = [255, 0, 0], [0, 0, 0], [255, 255, 255]


@pytest.mark.parametrize(
    ("pixels", "classes"),
    [
        ([[BLACK, WHITE], [WHITE, BLACK]], [[0, 1], [1, 0]]),
        ([[[*BLACK, 255], [*WHITE, 255]]], [[0, 1]]),
        ([[[*RED, 0], [*RED, 255]]], [[0, 1]]),
        ([[BLACK, RED], [[0, 0, 255], RED]], [[0, 2], [1, 2]]),
        ([[RED, [0, 0, 255]]], [[2, 1]]),
        ([[[*RED, 255], [*BLACK, 255]]], [[1, 0]]),
    ],
    ids=["gray in RGB", "gray in RGBA", "alpha", "colors on black", "colors", "colors with alpha"],
)
def test_a_png_of_colors_in_json_is_a_mask(pixels, classes):
    assert SegmentationMap.read({"mask": png(np.array(pixels, np.uint8))}).classes.tolist() == classes


def test_a_png_of_class_indexes_in_json():
    indexes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    answer = {"segmentation_mask": png(indexes), "class_map": {"0": "background", "1": "coin"}}
    read = SegmentationMap.read(answer)
    assert (read.classes == indexes).all()
    assert read.names == {0: "background", 1: "coin"}


def test_a_gray_png_in_json_is_a_mask_and_how_sure_it_is():
    read = SegmentationMap.read({"mask": "data:image/png;base64," + png(np.array([[0, 255], [204, 51]], np.uint8))})
    assert read.classes.tolist() == [[0, 1], [1, 0]]
    assert read.probabilities[1] == pytest.approx([0.8, 0.8])


@pytest.mark.parametrize("text", ["", "no base64!", "aGVsbG8=", png(NOISE)])
def test_other_texts_are_no_masks(text):
    assert SegmentationMap.read({"mask": text}) is None


def test_the_keypoints_of_one_body_alone() -> None:
    body = {"keypoints": [[x, 2 * x, 0.9] for x in range(17)], "scores": [0.9] * 17}
    found = Detections.read(body, (100, 100))
    assert found is not None
    assert len(found) == 1


def test_four_numbers_and_a_score_are_a_box_only_if_they_have_sides() -> None:
    assert Detections.read([{"embedding": [0.1, 0.9, -0.3, 0.2], "score": 0.5}], None) is None
