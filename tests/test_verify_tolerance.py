"""What may differ between two answers: numbers, places of a body, pixels, boxes."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from handlerkit.errors import RequestError
from handlerkit.messages import Exchange, Request, Response, Run
from handlerkit.verify import ComparedResponse, MayDiffer
from handlerkit.verify.responses import compare_runs

BOX = {"label": "coin", "box": [10, 10, 50, 50], "score": 0.9}
OTHER = {"label": "coin", "box": [100, 10, 150, 60], "score": 0.8}


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def compared(ours: object, theirs: object, **may: object) -> ComparedResponse:
    bodies = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in (ours, theirs)]
    runs = [Run((Exchange(Request(), Response(200, "", (), body)),)) for body in bodies]
    return compare_runs(*runs, MayDiffer(**may))[0]


@pytest.fixture
def gray() -> np.ndarray:
    return np.full((10, 20, 3), 100, np.uint8)


def test_a_star_ignores_each_element_of_a_list() -> None:
    ours, theirs = [{"id": 1, "x": 1}, {"id": 2, "x": 1}], [{"id": 3, "x": 1}, {"id": 4, "x": 1}]
    assert compared(ours, theirs, ignore=["body[*].id"]).verdict == "equal"
    assert compared(ours, theirs, ignore=["body[0].id"]).verdict == "different"


def test_levels_let_every_pixel_differ_a_little(gray) -> None:
    assert compared(png(gray), png(gray + 2), levels=2).verdict == "equal"
    found = compared(png(gray), png(gray + 3), levels=2)
    assert found.verdict == "different"
    assert str(found.differences[0]) == ("picture: 20x10 here, 20x10, 200 px changed (100 %), by up to 3 of 255 there")


def test_pixels_let_a_share_of_them_differ_entirely(gray) -> None:
    changed = gray.copy()
    changed[0, :4] = 255
    assert compared(png(gray), png(changed), pixels=0.02).verdict == "equal"
    assert compared(png(gray), png(changed), pixels=0.019).verdict == "different"


def test_transparency_is_a_channel_too(gray) -> None:
    solid, clear = (np.dstack([gray, np.full((10, 20), alpha, np.uint8)]) for alpha in (255, 0))
    assert compared(png(solid), png(clear), levels=10).verdict == "different"


def test_pictures_of_two_sizes_differ(gray) -> None:
    found = compared(png(gray), png(gray[:5]), levels=255, pixels=1)
    assert str(found.differences[0]) == "picture: 20x10 here, 20x5 there"


def test_every_frame_of_a_picture_is_compared(gray) -> None:
    def gif(last: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(gray).save(buffer, "GIF", save_all=True, append_images=[Image.fromarray(last)])
        return buffer.getvalue()

    found = compared(gif(gray + 50), gif(gray + 90), levels=2)
    assert found.differences[0].where == "frame 2 of the picture"


def test_pictures_in_base64_are_compared_by_their_pixels(gray) -> None:
    ours, same, apart = (base64.b64encode(png(gray + by)).decode() for by in (0, 2, 3))
    assert compared({"image": ours}, {"image": same}, levels=2).verdict == "equal"
    assert compared([f"data:image/png;base64,{ours}"], [f"data:image/png;base64,{same}"], levels=2).verdict == "equal"
    assert compared({"image": ours}, {"image": same}).verdict == "different"
    assert compared({"image": ours, "n": 1}, {"image": same, "n": 2}, levels=2).differences[0].where == "body.n"
    found = compared({"image": ours}, {"image": apart}, levels=2)
    assert found.differences[0].where == "picture at body.image"


@pytest.mark.parametrize("body", [b"", b"no picture", b"\x89PNG\r\n\x1a\nbroken"])
def test_what_is_no_picture_is_compared_by_its_bytes(gray, body: bytes) -> None:
    assert compared(png(gray), body, levels=255, pixels=1).verdict == "different"


def test_pictures_differ_by_their_bytes_unless_pixels_may(gray) -> None:
    assert compared(png(gray), png(gray, "TIFF")).verdict == "different"
    assert compared(png(gray), png(gray, "TIFF"), levels=1).verdict == "equal"


def test_boxes_that_overlap_enough_are_the_same_in_any_order() -> None:
    moved = {**BOX, "box": [11, 10, 51, 50]}
    assert compared([BOX, OTHER], [OTHER, moved], iou=0.9).verdict == "equal"
    assert compared([BOX, OTHER], [OTHER, moved], iou=0.99).verdict == "different"
    assert compared([BOX, OTHER], [OTHER, BOX]).verdict == "different"


def test_boxes_of_two_classes_are_never_the_same() -> None:
    found = compared([BOX], [{**BOX, "label": "button"}], iou=0.5)
    assert [one.where for one in found.differences] == ["box 0", "box 0"]
    assert found.differences[0].ours == "coin (10,10)-(50,50)"


def test_boxes_that_do_not_touch_are_never_the_same() -> None:
    assert compared([BOX], [{**BOX, "box": [60, 60, 70, 70]}], iou=0).verdict == "different"


def test_a_box_more_differs() -> None:
    assert compared([BOX], [BOX, OTHER], iou=0.5).differences[0].theirs == "coin (100,10)-(150,60)"
    assert compared([], [BOX], iou=0.5).verdict == "different"


def test_scores_of_boxes_may_differ_by_rtol() -> None:
    nearly = {**BOX, "box": [11, 10, 51, 50], "score": 0.9001}
    assert compared([BOX], [nearly], iou=0.9, rtol=1e-3).verdict == "equal"
    assert str(compared([BOX], [nearly], iou=0.9).differences[0]) == "body[0].score: 0.9 here, 0.9001 there"
    assert compared([BOX], [{key: nearly[key] for key in ("label", "box")}], iou=0.9).verdict == "different"


def test_plain_values_beside_boxes_are_compared() -> None:
    answers = [{"boxes": [[0, 0, 10, 10 + i]], "labels": ["coin"], "count": i} for i in (0, 1)]
    assert compared(*answers, iou=0.5).differences[0].where == "body.count"


COLUMNS = {"boxes": [[0, 0, 10, 10], [20, 20, 30, 30]], "labels": ["coin", "coin"]}
MOVED = {**COLUMNS, "boxes": [[20, 20, 30, 31], [0, 0, 10, 11]]}


@pytest.mark.parametrize(
    ("ours", "theirs", "where"),
    [
        ([{**BOX, "text": "A"}], [{**BOX, "text": "B"}], "body[0].text"),
        ([{**BOX, "id": 1}], [{**BOX, "id": 2}], "body[0].id"),
        ([{**BOX, "id": 1}, OTHER], [OTHER, {**BOX, "id": 2}], "body[0].id"),
        ([{**BOX, "mask": [[0, 1]]}], [{**BOX, "mask": [[1, 1]]}], "body[0].mask[0][0]"),
        ([{**BOX, "keypoints": [1, 2, 2]}], [{**BOX, "keypoints": [1, 3, 2]}], "body[0].keypoints[1]"),
        ([{**BOX, "angle_of_view": 3}], [BOX], "body[0].angle_of_view"),
        ({**COLUMNS, "meta": {"w": 1}}, {**COLUMNS, "meta": {"w": 2}}, "body.meta.w"),
        ({**COLUMNS, "names": ["x", "y", "z"]}, {**COLUMNS, "names": ["x", "y", "a"]}, "body.names[2]"),
        ({**COLUMNS, "tracks": [1, 2]}, {**MOVED, "tracks": [1, 2]}, "body.tracks[0]"),
        ({"predictions": [BOX], "image": {"width": 60, "height": 60}},
         {"predictions": [BOX], "image": {"width": 61, "height": 60}}, "body.image.width"),
        ({"annotations": [{"bbox": [0, 0, 9, 9], "category_id": 1}], "categories": [{"id": 1, "name": "a"}]},
         {"annotations": [{"bbox": [0, 0, 9, 9], "category_id": 1}], "categories": [{"id": 1, "name": "a", "x": 2}]},
         "body.categories[0].x"),
    ],
)  # fmt: skip
def test_all_beside_a_box_is_compared(ours: object, theirs: object, where: str) -> None:
    found = compared(ours, theirs, iou=0.5)
    assert (found.verdict, found.differences[0].where) == ("different", where)


def test_what_is_told_of_each_box_follows_the_box() -> None:
    assert compared({**COLUMNS, "tracks": [1, 2]}, {**MOVED, "tracks": [2, 1]}, iou=0.8).verdict == "equal"


@pytest.mark.parametrize("name", ["bboxes", "pred_boxes", "detection_boxes"])
def test_a_column_of_boxes_may_move_whatever_it_is_called(name: str) -> None:
    ours, theirs = ({name: one["boxes"], name.replace("boxes", "scores"): [0.9, 0.9]} for one in (COLUMNS, MOVED))
    assert compared(ours, theirs, iou=0.8).verdict == "equal"
    assert compared(ours, theirs, iou=0.99).verdict == "different"


@pytest.mark.parametrize(
    "row",
    [
        {"xmin": 0, "ymin": 0, "xmax": 100, "ymax": 100}, {"box": {"x1": 0, "y1": 0, "x2": 100, "y2": 100}},
        {"x": 50, "y": 50, "width": 100, "height": 100, "class": "coin", "confidence": 0.9},
    ],
)  # fmt: skip
def test_a_box_may_move_in_each_form(row: dict[str, object]) -> None:
    moved = json.loads(json.dumps(row).replace("100", "101"))
    assert compared([row], [moved], iou=0.9).verdict == "equal"
    assert compared([row], [moved], iou=0.99).verdict == "different"


def test_the_boxes_of_the_object_detector_may_move() -> None:
    ours, theirs = [{"coin": [0, 0, 100, 100], "score": 0.9}], [{"coin": [0, 0, 100, 101], "score": 0.9}]
    assert compared(ours, theirs, iou=0.9).verdict == "equal"


def test_outlines_have_to_overlap_as_much_as_boxes() -> None:
    turned = [{"box": {"x": 50, "y": 50, "width": 80, "height": 10, "angle": angle}} for angle in (0.5, 0.501, -0.5)]
    assert compared(turned[:1], turned[1:2], iou=0.9).verdict == "equal"
    found = compared(turned[:1], turned[2:], iou=0.9)
    assert found.differences[0].where == "box 0"
    assert "an outline that overlaps by" in found.differences[0].theirs


def test_a_score_may_be_ignored() -> None:
    assert compared([BOX], [{**BOX, "score": 0.1}], iou=0.9, ignore=["body[*].score"]).verdict == "equal"


@pytest.mark.parametrize(
    "wrong", [{"rtol": -1}, {"levels": 256}, {"levels": 1.5}, {"pixels": 2}, {"iou": 1.5}, {"iou": "0.9"}, 
              {"pixels": True}, {"rtol": float("nan")}, {"ignore": [3]}]
)  # fmt: skip
def test_a_tolerance_out_of_its_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RequestError, match=next(iter(wrong))):
        MayDiffer(**wrong)
