"""What each kind of answer draws, and what it says: exact pixels, and texts and pages held to saved ones.

HANDLERKIT_SNAPSHOTS=write python -m pytest tests/view/contents saves them again; look at the difference.
"""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handlerkit import view
from handlerkit.messages import Geometry
from handlerkit.view import draw
from handlerkit.view.html import elements

SNAPSHOTS = Path(__file__).parent / "snapshots"
TABLE = np.zeros((80, 100), int)
TABLE[20:40, 30:60] = 1
TABLE[50:60, 10:90] = 2
NAMES = {"0": "background", "1": "coin", "2": "ring <u>"}
RAMP = np.tile(np.linspace(0, 1, 100), (80, 1))
CUTOUT = Image.new("RGBA", (30, 20), (10, 200, 30, 0))
TREE = {
    "model": "m",
    "rows": [{"id": i, "tags": ["a", "<u>"]} for i in range(9)],
    "none": None,
    "deep": [[[1, {"x": 2}]]],
}
WORDS = {"words": ["a", "fine", "<i>film</i>", "nothing"], "importances": [0.1, 0.9, -0.5, float("nan")]}
BOXES = [
    {"label": "coin", "box": [10, 20, 50, 60], "score": 0.98},
    {"label": "<script>alert(1)</script>", "box": [60, 5, 90, 30], "score": 0.5},
    {"label": "outside", "box": [300, 5, 330, 30], "score": 0.4},
    {"label": "odd", "box": [60, 40, 90, 70], "score": float("nan")},
]
CASES = {
    "classes": ({"tabby <cat>": 0.75, "dog": 0.2496, "cow": 0.0004}, {}),
    "boxes": (BOXES, {}),
    "no_boxes": ({"boxes": [], "labels": [], "scores": []}, {}),
    "masks": ({"masks": [(TABLE == 1).astype(int).tolist()], "labels": [1], "scores": [0.9]}, {"labels": NAMES}),
    "segmentation": (TABLE.tolist(), {"labels": NAMES}),
    "picture": (Image.new("RGB", (30, 20), (10, 200, 30)), {}),
    "cutout": (CUTOUT, {}),
    "heat": ([RAMP.tolist()], {"path": "/explanations/coins"}),
    "words": (WORDS, {}),
    "tensor": (np.arange(60, dtype=np.float32).reshape(3, 20), {}),
    "tree": (TREE, {}),
    "text": (b"plain <words>\nin two lines", {}),
    "long_text": ("\n".join(f"line {i}" for i in range(50)).encode(), {}),
    "stream": (b"onetwo\xff\x00", {"chunks": (b"one", b"two <u>\n", b"\xff\x00"), "arrivals": (0.0012, 0.25, 3.0)}),
    "bytes": (bytes(range(256)), {}),
    "nothing": (b"", {}),
    "error": ({"code": 503, "type": "InternalServerException", "message": "Prediction failed"}, {"status": 503}),
}


def test_words_stand_apart_where_the_style_is_stripped(send):
    body, options = CASES["classes"]
    page = view(send(body, **options)).html
    words = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    words = re.sub(r"<[^>]+>", "", words.replace("<div", "\n<div"))
    assert "\nPOST /predictions/coins · coins.png as image/png 200 no content type" in words
    assert "\ndog 25 %\n" in words.replace("  ", " ")


def pixel(run, at):
    return view(run).image.getpixel(at)


@pytest.mark.parametrize("name", CASES)
def test_text_and_page_are_as_saved(send, name):
    body, options = CASES[name]
    shown = view(send(body, **options))
    page = re.sub(r"<style>.*?</style>", "", shown.html, flags=re.DOTALL)
    page = re.sub(r"> ?<", ">\n<", re.sub(r'data:image/(\w+)[^"]*', r"data:image/\1", page))
    file = SNAPSHOTS / f"{name}.txt"
    said = f"{shown.text}\n\n{page}\n"
    if os.environ.get("HANDLERKIT_SNAPSHOTS") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(said, encoding="utf-8")
    assert said == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_what_an_answer_says_is_never_markup(send, name):
    body, options = CASES[name]
    found: set[str] = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: found.add(tag)  # type: ignore[method-assign]
    parser.feed(view(send(body, **options)).html)
    ours = "style div span b img details summary pre code table caption tbody tr td ol li".split()
    assert found <= set(ours)


def test_a_class_map_is_placed_on_the_part_that_the_handler_cut_out(send):
    pairs = np.stack([np.ones((224, 224)), np.full((224, 224), 0.9)], axis=2).tolist()
    run = send(pairs, (640, 480))
    blend = [(90 + channel) / 2 for channel in draw.color(1)]
    assert pixel(run, (320, 240)) == pytest.approx(blend, abs=1)
    # what was cropped away is pale
    assert pixel(run, (20, 20)) == pytest.approx([90 + 0.55 * 165] * 3, abs=1)


def test_boxes_are_drawn_where_a_shrunk_input_image_has_them(send):
    run = send([{"box": [400, 400, 3600, 2600], "label": "coin"}], (4000, 3000))
    image = view(run).image
    scale = image.width / 4000
    assert image.getpixel((round(400 * scale), round(1500 * scale))) == draw.color(0)
    assert image.getpixel((round(2000 * scale), round(1500 * scale))) == (90, 90, 90)


def test_heat_glows_where_the_values_are_high(send):
    run = send([RAMP.tolist()], path="/explanations/coins")
    left, right = pixel(run, (1, 40)), pixel(run, (98, 40))
    assert max(abs(channel - 90) for channel in left) < 25
    assert right[0] > 200


def test_a_heat_map_without_an_input_image_is_drawn_alone(send):
    run = send([RAMP.tolist()], path="/explanations/coins", input_image=b"no picture")
    assert view(run).image.size == (300, 240)


def test_five_hundred_boxes_are_drawn_counted_and_small(send):
    corners = np.random.default_rng(0).uniform(0, 700, (500, 2))
    rows = [{"label": "coin", "box": [x, y, x + 30, y + 20], "score": 0.5} for x, y in corners.tolist()]
    shown = view(send(rows, (800, 750)))
    assert "500 boxes" in shown.text
    assert len(shown.html.encode()) < elements.MAX_HTML


@pytest.mark.parametrize("size", [(1, 1), (4000, 3000), (3, 4000)])
@pytest.mark.parametrize("name", ["boxes", "segmentation", "masks", "heat", "classes"])
def test_input_images_of_odd_sizes(send, name, size):
    body, options = CASES[name]
    shown = view(send(body, size, **options))
    assert shown.image is not None
    assert max(shown.image.size) <= 1600


def test_boxes_that_are_nowhere_are_said_to_be(send):
    rows = [{"label": "coin", "box": [float("nan"), 0, float("inf"), 9]}]
    assert "coin (nan,0)-(inf,9)" in view(send(rows)).text
    assert "1 not drawn: outside the input image, or not finite" in view(send(rows)).text


def test_two_classes_of_one_model_never_share_a_color(send):
    labels = {str(i): name for i, name in enumerate(("cat", "dog", "cow", "hen"))}
    rows = [{"label": name, "box": [10 * i, 0, 10 * i + 9, 9]} for i, name in enumerate(labels.values())]
    page = view(send(rows, labels=labels)).html
    assert len(set(re.findall(r'hk-swatch" style="background:(rgb[^"]*)', page))) == 4


def test_a_large_answer_stays_a_small_page(send):
    rows = {"rows": [{"id": i, "text": "x" * 500} for i in range(20_000)]}
    assert len(view(send(rows)).html.encode()) < elements.MAX_HTML


def test_deep_json_is_shown_as_far_as_it_goes(send):
    deep = b"[" * 400 + b"]" * 400
    assert "1 item …" in view(send(deep)).html


@pytest.mark.parametrize(("image", "kind"), [(Image.new("RGB", (400, 400)), "png"), (None, "jpeg")])
def test_flat_pictures_are_png_and_input_images_jpeg(image, kind):
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
    assert elements.encode(image or Image.fromarray(noise))[0] == kind


def test_names_are_written_into_a_picture_only_where_they_can_be_read(send):
    run = send([{"label": "coin", "box": [10, 40, 60, 70]}])
    one, several = view(run).image, view(type(run)(run.exchanges * 2, model="coins")).image
    count = [int((np.asarray(image) == draw.color(0)).all(axis=2).sum()) for image in (one, several)]
    assert count[0] > count[1] > 0


def test_masks_lie_where_the_handler_cut_out(send):
    mask = np.zeros((48, 48), int)
    mask[:24] = 1
    run = send({"masks": [mask.tolist()], "labels": ["coin"]}, (640, 480), geometry=Geometry(64, (48, 48)))
    shown = view(run)
    # 64 x 85 scaled, the middle 48 x 48 of it: (136,60)-(497,420) of the input image
    assert "coin (136,60)-(497,240)" in shown.text
    assert shown.image.getpixel((320, 150)) == pytest.approx([(90 + c) / 2 for c in draw.color(0)], abs=1.5)
    assert shown.image.getpixel((320, 300)) == (90, 90, 90)
    assert shown.image.getpixel((20, 150)) == pytest.approx([181] * 3, abs=1)


@pytest.mark.parametrize("region", [None, Geometry(40, (40, 40))], ids=["stretched", "cut out"])
def test_an_explanation_keeps_its_signs(send, region):
    numbers = np.zeros((1, 40, 40))
    numbers[0, 9:15, 9:15], numbers[0, 25:31, 25:31] = 2.0, -1.0
    shown = view(send(numbers.tolist(), (80, 80), path="/explanations/coins", geometry=region))
    red, _, blue = shown.image.getpixel((24, 24))
    assert red > blue + 100
    red, _, blue = shown.image.getpixel((56, 56))
    assert blue > red + 40
    assert shown.image.getpixel((4, 60)) == pytest.approx((90, 90, 90), abs=1)
    assert "<span>-2</span> <span>0</span> <span>2</span>" in shown.html


def test_an_explanation_of_one_sign_has_a_scale_from_nothing(send):
    shown = view(send([(RAMP - 1).tolist()], path="/explanations/coins"))
    assert "<span>0</span> <span>0.99</span>" in shown.html


def test_the_preview_shows_the_signs_and_the_scale(send):
    from handlerkit.view.preview.message import message

    run = send([(RAMP - 0.5).tolist()], path="/explanations/coins")
    facts = message(run, run.exchanges[0], "sample").facts
    lut = np.frombuffer(facts["layers"][0]["lut"], np.uint8).reshape(256, 4)
    assert lut[0].tolist() == [0, 114, 178, 255]
    assert lut[255].tolist() == [213, 94, 0, 255]
    assert lut[127, 3] == lut[128, 3] == 0
    assert "hk-scale" in facts["html"]
