"""What goes over to the browser for one answer."""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from preview_answers import boxes, class_map, indexed_png, input_image, run

from handlerkit.messages import Exchange, Run
from handlerkit.view import draw
from handlerkit.view.contents.marks import packed
from handlerkit.view.preview.message import Message, message


def told(answer: Run) -> Message:
    return message(answer, answer.exchanges[0], "sample")


def indexes(sent: dict[str, Any]) -> np.ndarray[Any, Any]:
    """As a browser reads them."""
    width, height = sent["size"]
    if "ends" in sent:
        values = np.frombuffer(sent["data"], np.uint8)
        return values.repeat(np.diff(np.frombuffer(sent["ends"], "<u4"), prepend=0)).reshape(height, width)
    return np.frombuffer(zlib.decompress(sent["data"]), np.uint8).reshape(height, width)


@pytest.mark.parametrize("is_noisy", [False, True])
def test_a_map_is_packed_as_runs_or_deflated(is_noisy: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 200, (8, 8), np.uint8)
    given = noise if is_noisy else noise.repeat(100, axis=0).repeat(100, axis=1)
    sent = packed(given)
    assert ("ends" in sent) is not is_noisy
    assert (indexes(sent) == given).all()


def flat(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def test_jpeg_goes_over_as_it_is() -> None:
    picture = input_image()
    assert told(run(boxes(3, 320, 240), picture)).picture == picture


def test_png_goes_over_as_jpeg() -> None:
    assert told(run(boxes(3, 320, 240), input_image(kind="PNG"))).picture.startswith(b"\xff\xd8")


def turned(width: int = 320, height: int = 240) -> bytes:
    """A JPEG that EXIF asks to turn by a quarter."""
    image = Image.open(io.BytesIO(input_image(width, height)))
    exif = image.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_jpeg_that_exif_turns_goes_over_unturned() -> None:
    sent = told(run(boxes(3, 320, 240), turned()))
    assert 0x0112 not in Image.open(io.BytesIO(sent.picture)).getexif()
    assert sent.facts["size"] == [320, 240] == list(Image.open(io.BytesIO(sent.picture)).size)


def test_jpeg_that_is_drawn_upright_goes_over_upright() -> None:
    sent = told(run(class_map(240, 320, 3).tolist(), turned()))
    assert 0x0112 not in Image.open(io.BytesIO(sent.picture)).getexif()
    assert sent.facts["size"] == [240, 320] == list(Image.open(io.BytesIO(sent.picture)).size)


def test_picture_that_came_back_goes_over_as_it_came() -> None:
    picture = input_image(kind="PNG")
    assert told(run(picture, input_image())).picture == picture


def test_picture_that_came_back_brings_the_input_image_of_its_size() -> None:
    sent = input_image()
    assert told(run(input_image(kind="PNG"), sent)).facts["sent"] == sent
    assert told(run(flat(10, 10), sent)).facts["sent"] is None


def test_input_image_behind_a_picture_is_turned_as_that_is() -> None:
    sent = told(run(flat(240, 320), turned())).facts["sent"]
    assert Image.open(io.BytesIO(sent)).size == (240, 320)


def test_same_input_image_has_the_same_name() -> None:
    picture = input_image()
    one, other = told(run(boxes(3, 320, 240), picture)), told(run(boxes(9, 320, 240), picture))
    assert one.facts["picture"] == other.facts["picture"] != ""


def test_boxes_name_their_class_in_the_static_display_s_color() -> None:
    answer = [{"label": "coin", "box": [1, 2, 30, 40], "score": 0.9}]
    facts = told(run(answer, input_image(), labels={"1": "coin"})).facts
    assert facts["boxes"] == [[1, 2, 30, 40, 0.9, 0]]
    assert facts["classes"] == [{"name": "coin", "short": "coin", "color": draw.color(1), "said": "1", "on": True}]


def test_numbers_that_are_not_finite_are_none() -> None:
    answer = [{"label": "a", "box": [1, 2, float("inf"), 40], "score": float("nan")}]
    facts = told(run(answer, input_image())).facts
    assert facts["boxes"] == [[1, 2, None, 40, None, 0]]
    json.dumps(facts["boxes"], allow_nan=False)


def test_empty_list_means_that_nothing_was_found_in_the_input_image() -> None:
    facts = told(run([], input_image())).facts
    assert (facts["view"], facts["boxes"], facts["size"]) == ("boxes", [], [320, 240])
    assert facts["summary"] == "0 boxes"


def test_empty_list_without_an_input_image_is_json() -> None:
    assert told(run([])).facts["view"] == "json"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (run(boxes(24, 320, 240), input_image()), run(boxes(18, 320, 240), input_image()), "24 → 18 boxes"),
        (run(boxes(1, 320, 240), input_image()), run(boxes(2, 320, 240), input_image()), "1 box → 2 boxes"),
        (run(boxes(3, 320, 240), input_image()), run([], input_image()), "3 → 0 boxes"),
        (run(boxes(3, 320, 240), input_image()), run(boxes(3, 320, 240), input_image()), "the same answer"),
        (run([[1] * 30 + [2] * 10] * 40), run([[1, 2] * 20] * 40), "class 1 75 % → 50 %"),
        (run(input_image(kind="PNG")), run(input_image(64, 64)), "image 320x240 PNG → image 64x64 JPEG"),
        (run(boxes(3, 320, 240)), run(b"no", status=503), "200 OK → 503 OK"),
    ],
)
def test_what_changed_fits_on_a_line(before: Run, after: Run, said: str) -> None:
    assert message(after, after.exchanges[0], "sample", told(before)).facts["changed"] == said


def test_boxes_elsewhere_are_not_the_same() -> None:
    one, other = boxes(3, 320, 240), boxes(3, 300, 200)
    after = run(other, input_image())
    sent = message(after, after.exchanges[0], "sample", told(run(one, input_image())))
    assert sent.facts["changed"] == "3 boxes, but not the same"


def test_class_map_goes_over_as_its_indexes() -> None:
    classes = class_map(320, 240)
    (layer,) = told(run(indexed_png(classes), input_image())).facts["layers"]
    assert (indexes(layer["map"]) == classes).all()


def test_colors_of_a_class_map_are_those_of_the_static_display() -> None:
    (layer,) = told(run(indexed_png(class_map(320, 240)), input_image())).facts["layers"]
    assert layer["lut"][4 * 7 : 4 * 8] == bytes((*draw.color(7), 255))


def test_background_is_switched_off_at_first() -> None:
    facts = told(run(class_map(320, 240, 3).tolist(), input_image(), labels={"0": "ground"})).facts
    assert {one["name"]: one["on"] for one in facts["classes"]} == {
        "0 · ground in index_to_name.json": False,
        "class 1": True,
        "class 2": True,
    }


def test_index_leads_to_its_class() -> None:
    facts = told(run(class_map(320, 240, 5).tolist(), input_image(), labels={"3": "cat"})).facts
    place = facts["layers"][0]["classes"][3]
    assert facts["classes"][place]["name"] == "3 · cat in index_to_name.json"


def test_map_lies_where_the_handler_s_geometry_put_it() -> None:
    facts = told(run([[[1, 0.5]] * 224] * 224, input_image(320, 240))).facts
    left, top, right, low = facts["layers"][0]["region"]
    assert (left + right, top + low) == pytest.approx((320, 240), abs=1)  # a centre crop
    assert right - left == pytest.approx(224 / 256 * 240, abs=1)


def test_probabilities_are_read_under_the_pointer() -> None:
    (layer,) = told(run([[[1, 0.5]] * 224] * 224, input_image())).facts["layers"]
    assert set(indexes(layer["values"]).ravel()) == {128}


def test_map_without_an_input_image_is_a_picture_of_its_own() -> None:
    facts = told(run(class_map(40, 30, 3).tolist())).facts
    assert (facts["size"], facts["layers"][0]["region"], facts["picture"]) == ([40, 30], [0, 0, 40, 30], "")


def test_masks_that_overlap_lie_in_layers_of_their_own() -> None:
    masks = np.zeros((3, 48, 64), int)
    masks[0, :40, :40], masks[1, 10:20, 10:20], masks[2, 42:, 42:] = 1, 1, 1
    answer = {"masks": masks.tolist(), "labels": ["a", "b", "c"], "scores": [0.9, 0.8, 0.7]}
    layers = told(run(answer, input_image(64, 48))).facts["layers"]
    assert [layer["things"] for layer in layers] == [[-1, 0, 2], [-1, 1]]
    assert (indexes(layers[0]["map"])[12, 12], indexes(layers[1]["map"])[12, 12]) == (1, 1)


def test_html_in_a_label_stays_text() -> None:
    facts = told(run({"<b>x</b>": 0.9, "y": 0.1}, input_image())).facts
    assert "&lt;b&gt;x" in facts["html"]
    assert "<b>x" not in facts["html"]


def test_secrets_do_not_go_over() -> None:
    answer = run({"a": 1}, input_image())
    request = answer.request.with_headers({"Authorization": "Bearer t0ken"})
    facts = told(Run((type(answer.exchanges[0])(request, answer.response),), model="m")).facts
    assert "t0ken" not in json.dumps({key: value for key, value in facts.items() if key != "layers"})


def test_body_that_is_no_text_is_told_by_its_size() -> None:
    facts = told(run(boxes(1, 320, 240), input_image())).facts
    assert "KB: ff d8 ff" in facts["request"]


def test_message_is_hardly_more_than_its_pictures() -> None:
    sent = told(run(indexed_png(class_map(960, 540)), input_image(960, 540)))
    pictures = len(sent.picture) + len(sent.facts["layers"][0]["map"]["data"])
    rest = {key: value for key, value in sent.facts.items() if key != "layers"}
    assert len(json.dumps(rest)) < 0.3 * pictures


@pytest.mark.parametrize(("low", "ends"), [(-2, [-4.0, 4.0]), (0, [0.0, 4.0])])
def test_a_map_tells_what_its_ends_stand_for(low: float, ends: list[float]) -> None:
    values = np.linspace(low, 4, 320 * 240).reshape(240, 320).tolist()
    (one,) = run([values], input_image()).exchanges
    explained = Exchange(replace(one.request, path="/explanations/m"), one.response)
    assert told(Run((explained,), model="m")).facts["layers"][0]["ends"] == pytest.approx(ends, rel=0.02)
