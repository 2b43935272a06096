"""What was found, drawn: where labels stand. And oriented boxes that have much in common."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from detections import draw, label_place, oriented_nms
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

IMAGE = (200, 120)


def apart(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ([40, 50, 90, 90], (40, 38, 100, 50)),  # above the box
        ([40, 5, 90, 90], (40, 7, 100, 19)),  # below its upper edge, which stays to be seen
        ([180, 50, 200, 90], (140, 38, 200, 50)),  # not beyond the right edge
    ],
)
def test_a_label_stands_at_its_box(box: list[float], place: tuple[int, ...]) -> None:
    assert label_place(box, (60, 12), IMAGE, 2, []) == place


def test_labels_of_one_box_do_not_cover_each_other() -> None:
    taken: list[tuple[int, int, int, int]] = []
    for _ in range(4):
        taken.append(label_place([40, 50, 140, 90], (60, 12), IMAGE, 2, taken))
    assert all(apart(one, other) for row, one in enumerate(taken) for other in taken[:row])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0, 200)] * 2, *[st.floats(0, 120)] * 2), max_size=8))
def test_labels_stay_inside_the_image(corners: list[tuple[float, ...]]) -> None:
    taken: list[tuple[int, int, int, int]] = []
    for x1, x2, y1, y2 in corners:
        box = [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
        taken.append(label_place(box, (60, 12), IMAGE, 2, taken))
    assert all(min(left, top) >= 0 and right <= 200 and bottom <= 120 for left, top, right, bottom in taken)


def test_both_labels_of_two_boxes_at_one_place_are_drawn() -> None:
    box = [20.0, 60.0, 180.0, 100.0]
    answer = {"boxes": [box, box], "labels": ["a", "b"], "scores": [0.9, 0.8]}
    drawn = np.asarray(draw(Image.new("RGB", IMAGE), answer, [], [(255, 0, 0), (0, 0, 255)]))
    red, blue = ((drawn == color).all(2).sum() for color in ([255, 0, 0], [0, 0, 255]))
    assert red > blue > 100  # the better one's frame is on top


def corners(*boxes: tuple[float, float, float, float, float]) -> torch.Tensor:
    """Of boxes with a middle, sides and an angle in degrees."""
    polygons = []
    for x, y, width, height, degrees in boxes:
        turned = complex(math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))
        points = (
            complex(*one) * turned for one in ((width, height), (width, -height), (-width, -height), (-width, height))
        )
        polygons.append([[x + one.real, y + one.imag] for one in points])
    return torch.tensor(polygons)


LONG = (50.0, 50.0, 80.0, 8.0, 45.0)


@pytest.mark.parametrize(
    ("other", "label", "stays"),
    [
        ((66.0, 34.0, 80.0, 8.0, 45.0), 0, True),  # beside it, though one rectangle encloses much of the other's
        ((51.0, 50.0, 80.0, 8.0, 45.0), 0, False),
        ((51.0, 50.0, 80.0, 8.0, 45.0), 1, True),  # of another class
        ((50.0, 50.0, 80.0, 8.0, 135.0), 0, True),  # across it
        ((50.0, 50.0, 8.0, 80.0, 135.0), 0, False),  # the same, told otherwise
    ],
)
def test_oriented_boxes_that_have_much_in_common(
    other: tuple[float, float, float, float, float], label: int, stays: bool
) -> None:
    kept = oriented_nms(corners(other, LONG), torch.tensor([0.6, 0.9]), torch.tensor([label, 0]), 0.5)
    assert kept.tolist() == ([1, 0] if stays else [1])


def test_no_oriented_boxes() -> None:
    assert oriented_nms(torch.zeros(0, 4, 2), torch.zeros(0), torch.zeros(0).long(), 0.5).tolist() == []
