"""Displays in a real browser: the slider, what is left without scripts, both themes, narrow pages."""

from __future__ import annotations

import io

import numpy as np
import pytest
from every_display import every_display, page_of
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


def test_a_display_looks_the_same_whatever_others_stand_below_it(show, send, compared):
    """Each brings the part of the stylesheet that it needs; none turns the order of another's rules."""
    table = [[0] * 50] * 30 + [[1] * 50] * 30
    pages = [
        view(send(answer, size)).html
        for answer, size in (
            ({"cat": 0.7, "dog": 0.3}, (28, 28)),
            ([{"label": "coin", "box": [i, i, i + 9, i + 9], "score": 0.5} for i in range(9)], (100, 80)),
            (table, (50, 60)),
            ([float(i) for i in range(40)], (100, 80)),
            ({"words": ["good", "film"], "importances": [0.5, -0.1]}, (100, 80)),
            ({"deep": [{"a": "x" * 80, "b": [{"c": "y" * 80}]}] * 9}, (100, 80)),
        )
    ] + [compared]
    styles = ["".join(one.partition("</style>")[:2]) for one in pages]
    for place, one in enumerate(pages):
        alone, among = show(one), show(one + "".join([*styles[:place], *styles[place + 1 :]]))
        pictures = [page.locator(".hk-view").screenshot() for page in (alone, among)]
        assert pictures[0] == pictures[1]


def test_a_page_brings_the_part_of_the_stylesheet_that_it_needs(send):
    style = view(send({"cat": 0.7, "dog": 0.3})).html.partition("</style>")[0]
    assert len(style) < 5000
    assert "hk-bars" in style
    assert "hk-slider" not in style


def test_the_times_of_a_call_stand_on_one_line_at_700_pixels(show, send):
    from types import MappingProxyType

    from handlerkit.messages import Call
    from handlerkit.timing import STAGES, Timings

    stages = dict.fromkeys((name for name in STAGES if not name.startswith("envelope")), 0.0123)
    page = show(view(send({"a": 1}, calls=(Call((), Timings(0.1234, MappingProxyType(stages))),))).html, width=700)
    tops = page.locator(".hk-stages + .hk-items .hk-item").evaluate_all("all => all.map(one => one.offsetTop)")
    assert len(set(tops)) == 1


def axe_script() -> str:
    """axe-core, which the package for playwright brings."""
    from importlib import resources

    package = pytest.importorskip("axe_playwright_python")
    return (resources.files(package) / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Every display on one page, and a page that a report of cases is saved as."""
    displays, report = every_display()
    return {"displays": page_of(displays), "report": report}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["displays", "report"])
def test_axe_finds_nothing_in_displays_folded_and_unfolded(show, pages, which, scheme):
    page = show(pages[which], color_scheme=scheme)
    page.evaluate(axe_script())
    wrong = []
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        for is_open in (False, True):
            page.evaluate("it => document.querySelectorAll('details').forEach(one => { one.open = it; })", is_open)
            found = page.evaluate("async () => (await axe.run()).violations")
            wrong += [(width, is_open, one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found]
    assert wrong == []


@pytest.mark.parametrize("which", ["displays", "report"])
def test_no_display_is_wider_than_a_phone_folded_or_unfolded(show, pages, which):
    page = show(pages[which], width=390)
    for is_open in (False, True):
        page.evaluate("it => document.querySelectorAll('details').forEach(one => { one.open = it; })", is_open)
        assert (
            page.evaluate(
                "() => [...document.querySelectorAll('section, main')].filter(it => it.scrollWidth > it.clientWidth)"
                ".map(it => it.ariaLabel)"
            )
            == []
        )
        assert page.evaluate("document.documentElement.scrollWidth") == 390
