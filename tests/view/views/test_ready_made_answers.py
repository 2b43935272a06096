"""The answers of the ready-made handlers (handlerkit/handlers/), as the views show them."""

from __future__ import annotations

from typing import Any

import pytest

from handlerkit.view import view
from handlerkit.view.preview.message import message
from handlerkit.view.render import answer

SIZE = {"size": [80, 100]}
RLE = {"size": [80, 100], "counts": [0, 80, 80 * 99]}
EMPTY: dict[str, Any] = {"labels": [], "scores": []}
POINTS = [[10 + i, 20 + 2 * i, 0.9] for i in range(17)]
POLYGON = [[20, 5], [40, 15], [30, 30], [10, 20]]

ANSWERS = {
    "boxes": ({**SIZE, "boxes": [[10, 5, 40, 30]], "labels": ["coin"], "scores": [0.9]}, "boxes", "1 box: coin 0.90"),
    "masks": (
        {**SIZE, "boxes": [[0, 0, 1, 80]], "labels": ["coin"], "scores": [0.9], "masks": [RLE]},
        *("masks", "1 mask: coin 0.90"),
    ),
    "pose": (
        {**SIZE, "boxes": [[10, 5, 40, 60]], "labels": ["person"], "scores": [0.9], "keypoints": [POINTS]},
        *("boxes", "17 keypoints each, 17 of 17 seen"),
    ),
    "oriented boxes": (
        {**SIZE, "boxes": [[10, 5, 40, 30]], "labels": ["ship"], "scores": [0.9], "polygons": [POLYGON]},
        *("boxes", "1 box: ship 0.90 (10,5)-(40,30)"),
    ),
    "no boxes": ({**SIZE, "boxes": [], **EMPTY}, "boxes", "0 boxes"),
    "no masks": ({**SIZE, "boxes": [], **EMPTY, "masks": []}, "masks", "0 masks"),
    "no pose": ({**SIZE, "boxes": [], **EMPTY, "keypoints": []}, "boxes", "0 boxes"),
    "no oriented boxes": ({**SIZE, "boxes": [], **EMPTY, "polygons": []}, "boxes", "0 boxes"),
    "class map": (
        {**SIZE, "classes": [{"index": 1, "label": "coin", "pixels": 80, "mask": RLE}]},
        *("segmentation", "coin 1 %"),
    ),
    "objects": ({**SIZE, "labels": ["coin"], "scores": [0.9], "masks": [RLE]}, "masks", "1 mask: coin 0.90"),
    "no objects": ({**SIZE, **EMPTY, "masks": []}, "masks", "0 masks"),
    "classes": ({"labels": ["tabby", "lynx"], "scores": [0.87, 0.03]}, "classes", "tabby 87 %, lynx 3 %"),
    "no classes": (EMPTY, "classes", "0 classes"),
}


@pytest.mark.parametrize(("body", "name", "said"), ANSWERS.values(), ids=ANSWERS)
def test_answers_of_ready_made_handlers(send: Any, body: Any, name: str, said: str) -> None:
    run = send(body)
    read = answer(run, run.exchanges[0])
    assert (read.view, said in view(run).text) == (name, True), view(run).text
    assert read.input_image is not None
    told = message(run, run.exchanges[0], "coins.png")
    assert told.picture
    assert said in told.facts["said"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"predictions": [], "shape": [80, 100]}, "0 boxes"),
        ({"objects": [], "image_size": [100, 80]}, "0 boxes"),
        ({"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1, "name": "coin"}]}, "0 boxes"),
        ({"masks": [], "imageShape": [80, 100]}, "0 masks"),
    ],
)
def test_nothing_found_shows_the_photograph(send: Any, body: Any, said: str) -> None:
    run = send(body)
    assert said in view(run).text
    assert view(run).image is not None
    told = message(run, run.exchanges[0], "coins.png")
    assert (bool(told.picture), told.facts["summary"]) == (True, said)


def test_oriented_boxes_are_drawn_turned(send: Any) -> None:
    run = send(ANSWERS["oriented boxes"][0])
    lines = answer(run, run.exchanges[0]).content.lines()
    assert lines == [[[*POLYGON, POLYGON[0]]]]
