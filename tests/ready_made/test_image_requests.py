"""The module that the ready-made handlers share: images out of requests, the form of an answer, COCO's run-length."""

from __future__ import annotations

import base64
import email
import json
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from image_requests import (
    JSON,
    RAW,
    Refusal,
    Settings,
    class_color,
    middle,
    negotiate,
    pack,
    read_images,
    resized,
    run_length,
    scaled,
)
from PIL import Image
from pycocotools import mask as coco
from ready_made_pictures import decode, file_of

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
GREY = PIXELS[:, :, 0]


PNG = file_of(Image.fromarray(PIXELS))
TEXT = base64.b64encode(PNG).decode()


def only(content: Any) -> npt.NDArray[np.uint8]:
    """The pixels of the one image in a request."""
    (image,) = read_images(content)
    assert image.mode == "RGB"
    return np.asarray(image)


# ---- Images out of requests

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


# ---- Sizes


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


# ---- The form of an answer

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


def test_colors_of_classes_are_apart() -> None:
    colors = np.array([class_color(index) for index in range(21)], dtype=int)
    distances = np.abs(colors[:, None] - colors[None]).sum(axis=2) + 999 * np.eye(21, dtype=int)
    assert distances.min() > 30


# ---- Images in other sizes

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8))


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


# ---- COCO's run-length


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


# ---- Settings


def test_settings_have_defaults_and_are_read() -> None:
    known = Settings(size=(7, ("a number", lambda value: isinstance(value, int))))
    assert vars(known.read({})) == {"size": 7, "max_response_size": 6553500}
    assert (
        vars(known.read({"handler": None})) == vars(known.read({"handler": {"profile": True}})) == vars(known.read({}))
    )
    assert known.read({"handler": {"size": 9}}).size == 9


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": "9"}, "section handler: size is a number, not '9'"),
        ({"seize": 9}, "there is no setting 'seize', only size, max_response_size"),
        ([9], r"it holds settings by name, not \[9\]"),
    ],
)
def test_wrong_settings_are_named(given: Any, sentence: str) -> None:
    known = Settings(size=(7, ("a number", lambda value: isinstance(value, int))))
    with pytest.raises(RuntimeError, match=sentence):
        known.read({"handler": given})
