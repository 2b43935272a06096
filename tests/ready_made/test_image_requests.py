"""Images out of requests: every way that they come in, and what is refused."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_requests import Refusal, read_images
from PIL import Image
from ready_made_pictures import file_of

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
GREY = PIXELS[:, :, 0]


PNG = file_of(Image.fromarray(PIXELS))
TEXT = base64.b64encode(PNG).decode()


def only(content: Any) -> npt.NDArray[np.uint8]:
    """The pixels of the one image in a request."""
    (image,) = read_images(content)
    assert image.mode == "RGB"
    return np.asarray(image)


WAYS = {
    "bytes": {"body": bytearray(PNG)},
    "part": {"any_name": PNG},
    "beside model_name": {"model_name": bytearray(b"m"), "body": PNG},
    "text": {"body": TEXT},
    "data URL": {"body": "data:image/png;base64," + TEXT},
    "lines": {"body": "\r\n".join(TEXT[i : i + 76] for i in range(0, len(TEXT), 76)) + "\n"},
    "form as curl -d sends it": {"data": bytearray(TEXT.replace("+", " ").encode())},
    "without padding": {"body": TEXT.rstrip("=")},
    "JSON text": {"body": TEXT},
    "object": {"body": {"image": TEXT}},
    "instances": {"body": {"instances": [{"b64": TEXT}]}},
    "JSON without its type": {"body": bytearray(json.dumps({"data": TEXT}).encode())},
    "json envelope": {"data": PNG},
    "body envelope": PNG,
    "kservev2 bytes": {"name": "input-0", "shape": [1], "datatype": "BYTES", "data": TEXT},
    "kservev2 numbers": {"name": "i", "shape": [4, 6, 3], "datatype": "UINT8", "data": PIXELS.tolist()},
    "pixels": {"body": PIXELS.tolist()},
    "pixels, channels first": {"body": np.moveaxis(PIXELS, 2, 0).tolist()},
    "fractions": {"body": (PIXELS / 255).tolist()},
    "pixels without their type": {"body": bytearray(json.dumps(PIXELS.tolist()).encode())},
}


@pytest.mark.parametrize("content", WAYS.values(), ids=WAYS)
def test_an_image_arrives_in_any_way(content: Any) -> None:
    assert (only(content) == PIXELS).all()


@pytest.mark.parametrize("pixels", [GREY, GREY[:, :, None], GREY[None], GREY / 255], ids=str)
def test_grey_pixels(pixels: npt.NDArray[Any]) -> None:
    assert (only({"body": pixels.tolist()}) == GREY[:, :, None]).all()


@pytest.mark.parametrize(
    "content",
    [
        {"a": PNG, "b": PNG},
        {"body": [TEXT, TEXT]},
        {"body": {"images": [TEXT, PIXELS.tolist()]}},
        {"body": [PIXELS.tolist(), PIXELS.tolist()]},
        {"body": {"instances": [{"data": {"b64": TEXT}}, {"data": {"b64": TEXT}}]}},
    ],
)
def test_several_images(content: Any) -> None:
    assert [(np.asarray(image) == PIXELS).all() for image in read_images(content)] == [True, True]


def test_rgba_lies_on_white() -> None:
    rgba = np.dstack([PIXELS, np.where(GREY < 30, 0, 255).astype(np.uint8)])
    expected = np.where(GREY[:, :, None] < 30, 255, PIXELS)
    assert (only({"body": file_of(Image.fromarray(rgba))}) == expected).all()
    assert (only({"body": rgba.tolist()}) == expected).all()


def test_transparent_color_of_a_palette_lies_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert only({"body": file_of(image, transparency=0)}).tolist() == [[[255, 255, 255], [40, 50, 60]]]


@pytest.mark.parametrize(("kind", "order"), [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2")])
def test_sixteen_bits_keep_the_upper_eight(kind: str, order: str) -> None:
    image = Image.fromarray((GREY.astype(order) << 8 | 7).astype(order))
    assert (only({"body": file_of(image, kind)}) == GREY[:, :, None]).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr"])
def test_any_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (5, 3), "white").convert(mode)
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    assert only({"body": file_of(image, kind)}).min() > 250


def test_exif_turns_the_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    assert (only({"body": file_of(Image.fromarray(PIXELS), exif=exif)}) == np.rot90(PIXELS, -1)).all()


REFUSED = {
    "no parts": ({}, "holds no image; send a file"),
    "empty list": ({"body": []}, "holds no image"),
    "empty body": ({"body": bytearray()}, "body is empty"),
    "empty text": ({"body": ""}, "body is empty"),
    "no image": ({"body": b"\xff\xfe\x00no image"}, r"body is neither a file of PNG, .* nor base64 of one"),
    "plain text": ({"body": "no image"}, "body is neither a file"),
    "cut short": ({"body": file_of(Image.effect_noise((99, 99), 50))[:-2000]}, "body is a broken image: .*truncated"),
    "cut JPEG": ({"body": file_of(Image.effect_noise((99, 99), 50), "JPEG")[:-900]}, "body is a broken image: "),
    "the second": ({"a": PNG, "b": b"\xff"}, "^b is neither"),
    "in a list": ({"body": {"images": [TEXT, "AAAA"]}}, r"body\.images\[1\] is neither"),
    "a number": ({"body": 7}, "body is no image, but '7'"),
    "null": ({"body": None}, "body is no image, but 'None'"),
    "a field": ({"body": {"image": TEXT, "topk": 3}}, "body.topk is no image, but '3'"),
    "ragged": ({"body": [[1, 2], [3]]}, "pixels of body are not in rows of one length"),
    "flat": ({"body": [1, 2, 3]}, "pixels of body have to be rows"),
    "text inside": ({"body": [[1, "2"]]}, "pixels of body have to be rows"),
    "too large": ({"body": [[0, 256]]}, "have to be whole numbers from 0 to 255"),
    "negative": ({"body": [[-1.0]]}, "have to be whole numbers from 0 to 255"),
    "NaN": ({"body": [[float("nan"), 0.5]]}, "have to be whole numbers from 0 to 255"),
    "two channels": ({"body": np.zeros((5, 6, 2), int).tolist()}, "have 6 channels|have 5 channels|have 2 channels"),
    "broken JSON": ({"body": b"[[1, 2"}, "neither an image nor JSON"),
    "deep": ({"body": b"[" * 5000 + b"]" * 5000}, "body"),
    "PostScript": ({"body": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"}, "is neither a file"),
}


@pytest.mark.parametrize(("content", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_image_is_refused(content: Any, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence) as refused:
        read_images(content)
    assert refused.value.status == 400


def test_decompression_bomb_is_refused() -> None:
    header = b"P5 30000 30000 255\n"
    with pytest.raises(Refusal, match=r"broken image: .*bomb"):
        read_images({"body": header + b"\0"})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 300)
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from([PNG, TEXT]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=3) | VALUES)
def test_any_request_is_read_or_refused(content: Any) -> None:
    with suppress(Refusal):
        assert all(image.mode == "RGB" for image in read_images(content))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(PNG) - 1), st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused(at: int, byte: int) -> None:
    damaged = PNG[:at] + bytes([byte]) + PNG[at + 1 :]
    with suppress(Refusal):
        assert len(read_images({"body": damaged})) == 1
