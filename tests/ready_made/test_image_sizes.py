"""Images in the sizes that models see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from image_sizes import enlarged, middle, resized, scaled
from PIL import Image

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8))


@pytest.mark.parametrize(
    ("image", "size", "expected"),
    [
        ((64, 48), None, (64, 48)),
        ((64, 48), 24, (32, 24)),
        ((48, 64), 24, (24, 32)),
        ((64, 48), [10, 20], (20, 10)),
        ((9000, 1), 16, (64, 16)),  # not 144000 wide
    ],
)
def test_resized(image: tuple[int, int], size: Any, expected: tuple[int, int]) -> None:
    assert resized(Image.new("RGB", image), size).size == expected


def test_an_image_is_scaled_across_and_then_down() -> None:
    lanczos = Image.Resampling.LANCZOS
    across = np.asarray(scaled(NOISE, (384, 320), lanczos))
    assert (
        np.asarray(scaled(NOISE, (384, 303), lanczos))
        == np.asarray(scaled(Image.fromarray(across), (384, 303), lanczos))
    ).all()
    assert (across == np.asarray(NOISE.resize((384, 320), lanczos))).all()


@given(*[st.integers(1, 500)] * 4)
def test_the_box_in_the_middle_lies_inside_the_image(width: int, height: int, across: int, down: int) -> None:
    image = Image.new("L", (width, height))
    scale = min(width / across, height / down)
    box = middle(image, across * scale, down * scale)
    assert scaled(image, (3, 2), box=box).size == (3, 2)
    assert (box[2] - box[0]) * down == pytest.approx((box[3] - box[1]) * across)


def test_no_maps_enlarge_to_no_maps() -> None:
    assert enlarged(torch.zeros(0, 4, 4), (8, 6)).shape == (0, 8, 6)
