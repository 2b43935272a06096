"""Displays in a real browser: the slider, what is left without scripts, both themes, narrow pages."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import handlerkit as hk
from handlerkit import view

pytestmark = pytest.mark.browser


@pytest.fixture
def show(chromium):
    """Opens a page that holds a display; its console must stay silent."""
    contexts, said = [], []

    def open_(html: str, width: int = 1000, **options: object):
        context = chromium.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.set_content(f'<meta name="color-scheme" content="light dark"><body style="margin:0">{html}')
        page.wait_for_load_state("load")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []


def pixel(page, selector: str, x: float, y: float) -> tuple[int, ...]:
    """The color at that share of an element's width and height."""
    picture = Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")
    return picture.getpixel((round(x * picture.width), round(y * picture.height)))


@pytest.fixture
def compared(send) -> str:
    red, blue = Image.new("RGB", (300, 200), (200, 0, 0)), Image.new("RGB", (300, 200), (0, 0, 200))
    return view(hk.compare(send(red), send(blue))).html


def test_the_slider_wipes_from_before_to_after(show, compared):
    page = show(compared)
    page.wait_for_selector(".hk-slider")
    assert pixel(page, ".hk-slider", 0.25, 0.2)[0] > 150
    assert pixel(page, ".hk-slider", 0.75, 0.2)[2] > 150
    page.locator(".hk-slider input").fill("90")
    assert pixel(page, ".hk-slider", 0.75, 0.2)[0] > 150
    assert pixel(page, ".hk-slider", 0.97, 0.2)[2] > 150


def test_the_pictures_can_be_dragged_and_the_keys_move_the_slider(show, compared):
    page = show(compared)
    page.wait_for_selector(".hk-slider")
    box = page.locator(".hk-slider").bounding_box()
    page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + 60)
    assert pixel(page, ".hk-slider", 0.3, 0.2)[2] > 150
    page.keyboard.press("End")
    assert pixel(page, ".hk-slider", 0.9, 0.2)[0] > 150


def test_without_scripts_the_two_stand_side_by_side(show, compared):
    page = show(compared, java_script_enabled=False)
    boxes = [figure.bounding_box() for figure in page.locator(".hk-sides").first.locator("figure").all()]
    assert len(boxes) == 2
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    assert not page.locator("input").is_visible()


def test_without_styles_both_pictures_are_there(show, compared):
    bare = compared.partition("</style>")[2]
    page = show(bare, java_script_enabled=False)
    assert page.locator("figure img").count() == 3
    assert all(image.is_visible() for image in page.locator("figure img").all())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_themes(show, send, scheme):
    page = show(view(send({"cat": 0.7, "dog": 0.3})).html, color_scheme=scheme)
    color = page.evaluate("getComputedStyle(document.querySelector('.hk-name')).color")
    light = np.mean([int(channel) for channel in color.removeprefix("rgb(").rstrip(")").split(",")])
    assert light < 80 if scheme == "light" else light > 180


def test_a_narrow_page_is_not_scrolled_sideways(show, send):
    rows = [{"label": "a very long name of a class", "box": [10, 10, 90, 70], "score": 0.5}]
    for run in (send(rows, (1200, 900)), send({"x" * 300: 0.5, "y": 0.5}), send({"k": ["v" * 500] * 40})):
        page = show(view(run).html, width=360)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_what_an_answer_says_runs_nothing(show, send):
    label = "<img src=x onerror=document.title='ran'>"
    page = show(view(send([{"label": label, "box": [1, 1, 50, 50]}])).html)
    assert page.title() == ""


def test_a_tree_unfolds(show, send):
    tree = {"outer": {"inner": {"leaf": "x" * 80}}, "other": [{"a": 1}] * 9}
    page = show(view(send(tree)).html)
    leaf = page.get_by_text("leaf", exact=True).first
    assert not leaf.is_visible()
    page.get_by_text("outer", exact=True).click()
    page.get_by_text("inner", exact=True).click()
    assert leaf.is_visible()
