"""The form of an answer, what sends it, COCO's run-length."""

from __future__ import annotations

import email
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from image_answers import RAW, class_color, pack, run_length
from PIL import Image
from pycocotools import mask as coco
from ready_made_pictures import decode
from request_handler import JSON, Refusal, negotiate

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
FORMS = (JSON, "image/png", "image/jpeg", "image/png; mask=indexed")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/json; charset=utf-8", JSON),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("image/*", "image/png"),
        ("image/png; mask=indexed", "image/png; mask=indexed"),
        ('Image/PNG;Mask="indexed"', "image/png; mask=indexed"),
        ("text/html, image/avif, image/*, */*;q=0.8", "image/png"),
        ("image/png;q=0.5, image/jpeg;q=0.9", "image/jpeg"),
        ("image/png, */*", "image/png"),
        ("application/json;q=0, */*", "image/png"),
        ("application/json;q=0.1, image/png;q=0.2;mask=indexed, image/webp", "image/png; mask=indexed"),
        ("image/*, image/png;q=0", "image/jpeg"),
        (" , ", JSON),
        ("image/png;q=high", "image/png"),
    ],
)
def test_accept_chooses_the_form(accept: str, form: str) -> None:
    assert negotiate(accept, FORMS) == form


@pytest.mark.parametrize("accept", ["text/html", "image/png; mask=soft", "*/*;q=0", "image/png;q=0", "nonsense"])
def test_what_is_not_offered_is_refused_with_406(accept: str) -> None:
    with pytest.raises(Refusal, match="This model answers application/json, image/png") as refused:
        negotiate(accept, FORMS)
    assert refused.value.status == 406


@given(st.text())
def test_any_accept_header_is_read(accept: str) -> None:
    with suppress(Refusal):
        assert negotiate(accept, FORMS) in FORMS


def test_raw_pixels_tell_their_size() -> None:
    headers, body = pack([Image.fromarray(PIXELS)], RAW)
    assert headers == {"content-type": RAW, "image-width": "6", "image-height": "4"}
    assert body == PIXELS.tobytes()


def test_several_pictures_are_parts_of_a_multipart_body() -> None:
    images = [Image.new("RGB", (2, 3), "red"), Image.new("RGB", (5, 4), "blue")]
    headers, body = pack(images, "image/png")
    message = email.message_from_bytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body)
    assert message.get_content_type() == "multipart/mixed"
    parts = message.get_payload()
    assert isinstance(parts, list)
    assert [part.get_content_type() for part in parts] == ["image/png", "image/png"]
    assert [(part["image-width"], part["image-height"]) for part in parts] == [("2", "3"), ("5", "4")]


def test_colors_of_classes_are_apart_and_come_again_after_twenty() -> None:
    colors = np.array([class_color(index) for index in range(20)], dtype=int)
    distances = np.abs(colors[:, None] - colors[None]).sum(axis=2) + 999 * np.eye(20, dtype=int)
    assert distances.min() > 30
    assert class_color(27) == class_color(7)


@settings(max_examples=300, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_run_length_is_pycocotools_own(mask: npt.NDArray[np.bool_]) -> None:
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert run_length(mask) == {"size": list(mask.shape), "counts": expected["counts"].decode()}


@pytest.mark.parametrize("value", [0, 1])
def test_run_length_of_a_large_plain_mask(value: int) -> None:
    mask = np.full((3000, 4000), value, np.uint8)
    mask[7, 9] = 1 - value
    assert (decode(run_length(mask)) == mask).all()
    assert len(run_length(mask)["counts"]) < 20
