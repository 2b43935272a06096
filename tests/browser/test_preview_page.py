"""A saved page in a real browser, without a network: every kind of answer, played with."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image
from preview_answers import boxes, class_map, indexed_png, input_image, run
from preview_page import Show, flat, halves, near, score

from handlerkit.messages import Call, Run
from handlerkit.timing import Timings
from handlerkit.view import draw


def test_opacity_blends_the_class_s_color(show: Show) -> None:
    shown = show(run(halves().tolist(), flat((200, 200, 200), 120, 100)))
    first, second = draw.color(1), draw.color(2)
    assert near(shown.pixel(0.25, 0.5), [(200 + each) / 2 for each in first])
    shown.slide("Mask opacity", 1)
    assert (shown.pixel(0.25, 0.5), shown.pixel(0.75, 0.5)) == (first, second)
    shown.slide("Mask opacity", 0)
    assert near(shown.pixel(0.25, 0.5), (200, 200, 200))


def test_class_that_is_switched_off_shows_the_input_image(show: Show) -> None:
    shown = show(run(halves().tolist(), flat((200, 200, 200), 120, 100), labels={"1": "cat", "2": "dog"}))
    shown.slide("Mask opacity", 1)
    shown.el.get_by_role("checkbox", name="cat").uncheck()
    shown.frame()
    assert near(shown.pixel(0.25, 0.5), (200, 200, 200))
    assert shown.pixel(0.75, 0.5) == draw.color(2)


def test_all_and_none_switch_every_class(show: Show) -> None:
    shown = show(run(class_map(120, 100, 4).tolist(), flat((200, 200, 200), 120, 100)))
    shown.slide("Mask opacity", 1)
    shown.el.get_by_role("button", name="none", exact=True).click()
    shown.frame()
    assert shown.count(draw.color(2)) == 0
    shown.el.get_by_role("button", name="all", exact=True).click()
    shown.frame()
    assert shown.count(draw.color(2)) > 1000


def test_hover_says_class_probability_and_pixel(show: Show) -> None:
    answer = [[[1, 0.25]] * 60 + [[2, 0.75]] * 60] * 100
    shown = show(run(answer, flat((200, 190, 180), 120, 100), labels={"1": "cat", "2": "dog"}))
    assert shown.hover(0.25, 0.5).startswith("1 · cat in index_to_name.json 0.25\nrgb 200 190 180")
    assert shown.hover(0.75, 0.5).startswith("2 · dog in index_to_name.json 0.75\n")


def test_a_box_s_label_on_the_canvas_is_short_and_its_class_says_what_was_added(show: Show) -> None:
    answer = [{"box": [10, 10, 50, 50], "label": 1, "score": 0.5}]
    shown = show(run(answer, flat((200, 190, 180), 120, 100), labels={"1": "a cat"}))
    assert shown.hover(0.25, 0.3).startswith("1 · a cat 0.50\n")
    assert shown.page.locator(".hk-classes .hk-name").inner_text() == "1 · a cat in index_to_name.json"


def test_a_sample_whose_name_would_turn_the_text_is_chosen(show: Show) -> None:
    asked = run([], flat((200, 190, 180), 120, 100))
    (one,) = asked.exchanges
    named = replace(asked, exchanges=(replace(one, request=replace(one.request, label="a\u202egpj.png")),))
    assert show(named).page.locator("select").input_value() == "a\\u202egpj.png"


def test_hover_says_a_heat_map_s_value(show: Show) -> None:
    heat = run([[0.0] * 7 + [1.0] * 7] * 14, flat((200, 200, 200), 120, 100))
    (one,) = heat.exchanges
    asked = replace(one, request=replace(one.request, path="/explanations/model"))
    shown = show(replace(heat, exchanges=(asked,)))
    assert shown.hover(0.9, 0.5).startswith("value 1.00\n")
    assert shown.hover(0.1, 0.5).startswith("value 0.00\n")


def test_zoom_shows_the_input_image_s_own_pixels(show: Show) -> None:
    pixels = np.zeros((1000, 2000, 3), np.uint8)
    pixels[500:, 1000:] = 255
    pixels[500, 1000] = (255, 0, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    shown = show(run(buffer.getvalue()))
    assert shown.count((255, 0, 0)) == 0  # a single pixel is lost at this size
    shown.canvas.focus()
    for _ in range(20):
        shown.page.keyboard.press("+")
    shown.frame()
    assert shown.count((255, 0, 0)) > 100


def test_dragging_moves_what_is_zoomed(show: Show) -> None:
    shown = show(run(halves().tolist(), flat((200, 200, 200), 120, 100)))
    shown.slide("Mask opacity", 1)
    shown.canvas.dblclick()
    box = shown.canvas.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown.page.mouse.move(*middle)
    shown.page.mouse.down()
    shown.page.mouse.move(middle[0] + 100, middle[1], steps=4)
    shown.page.mouse.up()
    shown.frame()
    assert shown.pixel(0.52, 0.5) == draw.color(1)
    shown.el.get_by_role("button", name="show all of it").click()
    shown.frame()
    assert shown.pixel(0.52, 0.5) == draw.color(2)


def test_wheel_scrolls_the_page_and_zooms_with_control(show: Show) -> None:
    shown = show(run(halves().tolist(), flat((200, 200, 200), 120, 100)))
    shown.slide("Mask opacity", 1)
    shown.hover(0.6, 0.5)
    shown.page.mouse.wheel(0, -300)
    shown.frame()
    assert shown.pixel(0.48, 0.5) == draw.color(1)
    shown.page.keyboard.down("Control")
    shown.page.mouse.wheel(0, -300)
    shown.page.keyboard.up("Control")
    shown.frame()
    assert shown.pixel(0.35, 0.5) == draw.color(2) or shown.pixel(0.1, 0.5) == draw.color(1)


def test_slider_shows_both_answers(show: Show) -> None:
    picture = flat((200, 200, 200), 120, 100)
    before, after = run(halves().tolist(), picture), run((3 - halves()).tolist(), picture)
    shown = show(before, again=after)
    shown.slide("Mask opacity", 1)
    shown.el.get_by_role("button", name="Before / after").click()
    shown.frame()
    assert shown.pixel(0.25, 0.5) == shown.pixel(0.75, 0.5) == draw.color(1)
    handle = shown.slider("before and after").bounding_box()
    shown.page.mouse.move(handle["x"] + 12, handle["y"] + 20)
    shown.page.mouse.down()
    shown.page.mouse.move(handle["x"] - 900, handle["y"] + 20, steps=3)
    shown.page.mouse.up()
    shown.frame()
    assert shown.pixel(0.25, 0.5) == draw.color(2)


def test_slider_shows_what_a_returned_picture_was_made_of(show: Show) -> None:
    shown = show(run(flat((0, 0, 200)), flat((200, 0, 0))))
    assert near(shown.pixel(0.25, 0.5), (0, 0, 200))
    shown.el.get_by_role("button", name="Sent / answered").click()
    shown.frame()
    assert near(shown.pixel(0.25, 0.5), (200, 0, 0))
    assert near(shown.pixel(0.75, 0.5), (0, 0, 200))


def test_masks_follow_the_score(show: Show) -> None:
    masks = np.zeros((2, 100, 120), int)
    masks[0], masks[1, 40:60, 40:80] = 1, 1
    answer = {"masks": masks.tolist(), "labels": ["1", "2"], "scores": [0.5, 0.9]}
    shown = show(run(answer, flat((200, 200, 200), 120, 100), labels={"1": "cat", "2": "dog"}))
    shown.slide("Mask opacity", 1)
    assert (shown.pixel(0.2, 0.5), shown.pixel(0.5, 0.5)) == (draw.color(1), draw.color(2))
    shown.slide("Score from", 0.7)
    assert near(shown.pixel(0.2, 0.5), (200, 200, 200))
    assert shown.pixel(0.5, 0.5) == draw.color(2)


def test_labels_can_be_hidden(show: Show) -> None:
    color = draw.color(1)
    answer = [{"label": "cat", "box": [20, 40, 100, 90], "score": 0.5}]
    shown = show(run(answer, flat((255, 255, 255)), labels={"1": "cat"}))
    labeled = shown.count(color)
    shown.el.get_by_label("Labels").uncheck()
    shown.frame()
    assert 0 < shown.count(color) < labeled


def test_label_buries_no_other_box(show: Show) -> None:
    cat = {"label": "cat", "box": [50, 50, 190, 95], "score": 0.9}
    dog = {"label": "dog", "box": [48, 46, 72, 49.6], "score": 0.5}  # where the cat's label is if there is no dog
    within = 50.5 / 200, 47.8 / 100
    assert show(run([cat], flat((255, 255, 255)))).pixel(*within) == draw.color(0)
    beside = show(run([cat, dog], flat((255, 255, 255))))
    assert beside.pixel(*within) == (255, 255, 255)
    assert beside.pixel(50.5 / 200, 51.5 / 100) == draw.color(0)  # it is inside the cat's box instead


def test_other_answer_moves_nothing_below(show: Show) -> None:
    shown = show(
        run(boxes(3, 320, 240), input_image(), label="a"),
        run(boxes(3, 240, 400), input_image(240, 400), label="tall"),
        run({"code": 503, "message": "Prediction failed"}, input_image(), status=503, label="failed"),
        run({"tabby": 0.9, "lynx": 0.1}, input_image(), label="classes"),
    )
    heights = set()
    for number, name in enumerate(("a", "tall", "failed", "classes"), start=1):
        shown.el.get_by_role("combobox", name="sample").select_option(name)
        shown.settle(number)
        heights.add(shown.el.bounding_box()["height"])
    assert len(heights) == 1


def test_each_time_of_a_call_is_on_one_line(show: Show) -> None:
    stages = MappingProxyType(dict.fromkeys(("preprocess", "inference"), 0.0123))
    timed = replace(run([score(0.5)], input_image()), calls=(Call((), Timings(0.1234, stages)),))
    items = show(timed).el.get_by_role("tabpanel", name="Look").locator(".hk-stages + .hk-items .hk-item")
    apart = "all => all.map(one => one.lastElementChild.offsetTop - one.offsetTop)"
    assert items.count() == 4
    assert max(items.evaluate_all(apart)) < 6


def test_typed_threshold_hides_boxes(show: Show) -> None:
    shown = show(run([score(0.5), score(0.9, (120, 10, 180, 60))], flat((255, 255, 255))))
    field = shown.el.get_by_label("Score from, as a number")
    field.fill("0.7")
    assert shown.el.get_by_text("1 of 2 shown").is_visible()
    assert shown.slider("Score from").input_value() == "0.7"
    shown.slide("Score from", 0)
    assert field.input_value() == "0.00"


def test_typed_opacity_is_a_percentage(show: Show) -> None:
    shown = show(run(halves().tolist(), flat((200, 200, 200), 120, 100)))
    shown.el.get_by_label("Mask opacity, as a number").fill("100")
    shown.frame()
    assert shown.pixel(0.25, 0.5) == draw.color(1)


def test_scores_are_bars_over_the_slider_cut_at_the_threshold(show: Show) -> None:
    shown = show(run([score(0.5), score(0.9), score(0.92)], flat((255, 255, 255))))
    bars = shown.el.locator(".hk-scores")
    assert bars.locator("path").first.get_attribute("d") == "M20 20v-10h0.85V20zM36 20v-20h0.85V20z"
    shown.slide("Score from", 0.75)
    assert bars.evaluate("it => it.style.getPropertyValue('--hk-from')") == "75%"


def test_what_changed_is_said_and_can_be_compared(show: Show) -> None:
    picture = flat((255, 255, 255))
    shown = show(run([score(0.5), score(0.9)], picture), again=run([score(0.5)], picture))
    assert shown.el.get_by_text("2 boxes → 1 box").is_visible()
    compare = shown.el.get_by_role("button", name="Before / after")
    compare.click()
    assert compare.get_attribute("aria-pressed") == "true"
    assert shown.slider("before and after").is_visible()


def test_nothing_found_shows_the_input_image(show: Show) -> None:
    shown = show(run([], flat((200, 190, 180))))
    assert shown.el.locator(".hk-sum").inner_text() == "0 boxes"
    assert near(shown.pixel(0.5, 0.5), (200, 190, 180))


def test_hint_is_there_until_the_picture_was_moved(show: Show) -> None:
    shown = show(run(flat((200, 200, 200))))
    assert "zoom" in shown.read()
    shown.hover(0.5, 0.5)
    assert shown.read().startswith("(")
    shown.canvas.dblclick()
    shown.page.mouse.move(2, 2)
    shown.frame()
    assert shown.read().strip() == ""


def test_what_was_read_goes_with_its_answer(show: Show) -> None:
    shown = show(run([score(0.5)], input_image(), label="a"), run([score(0.5)], input_image(240, 400), label="b"))
    shown.canvas.focus()
    shown.page.keyboard.press(".")
    assert shown.read().startswith("cat 0.50")
    shown.el.get_by_role("combobox", name="sample").select_option("b")
    shown.settle(2)
    assert "cat" not in shown.read()


def test_box_that_is_stepped_to_comes_into_view(show: Show) -> None:
    corners = [(0, 0, 12, 12), (188, 88, 200, 100)]
    shown = show(run([score(0.9, box) for box in corners], flat((255, 255, 255)), labels={"1": "cat"}))
    color = shown.el.locator(".hk-swatch").evaluate(
        "it => getComputedStyle(it).backgroundColor.match(/\\d+/g).map(Number)"
    )
    shown.el.get_by_label("Labels").uncheck()
    shown.canvas.focus()
    for _ in range(10):
        shown.page.keyboard.press("+")
    shown.frame()
    assert shown.count(tuple(color)) == 0
    for _ in range(2):
        shown.page.keyboard.press(".")
        shown.frame()
        assert shown.count(tuple(color)) > 100


def test_small_pictures_choose_samples(show: Show) -> None:
    shown = show(run(flat((0, 0, 200)), flat((9, 0, 0)), label="a"), run(flat((0, 200, 0)), flat((0, 9, 0)), label="b"))
    shown.page.wait_for_function("() => document.querySelectorAll('.hk-thumb img').length === 2")
    shown.el.get_by_role("button", name="b", exact=True).click()
    shown.settle(2)
    assert near(shown.pixel(0.5, 0.5), (0, 200, 0))
    assert shown.el.get_by_role("button", name="b", exact=True).get_attribute("aria-pressed") == "true"


def test_html_in_a_label_is_text(show: Show) -> None:
    answer = [{"label": "<img src=x onerror=window.bad=1>", "box": [10, 10, 100, 90], "score": 0.5}]
    shown = show(run(answer, flat((9, 9, 9))))
    assert shown.hover(0.2, 0.5).startswith("<img src=x")
    assert shown.page.evaluate("() => window.bad") is None


@pytest.mark.parametrize(
    "answer",
    [
        run({"boxes": [], "labels": [], "scores": []}, input_image(), label="no boxes"),
        run(boxes(500, 320, 240), input_image(), label="500 boxes"),
        run([{"label": "out", "box": [-900, -900, 5000, -20], "score": 0.5}], input_image(), label="a box outside"),
        run([{"label": "a", "box": [1, 2, 30, 40], "score": float("nan")}], input_image(), label="NaN"),
        run([{"label": "a", "box": [0, 0, 1, 1], "score": 0.5}], input_image(1, 1, "PNG"), label="one pixel"),
        run(class_map(40, 30, 3).tolist(), label="a map without an input image"),
        run(input_image(kind="WEBP"), label="WebP"),
        run(b"", label="an empty body"),
    ],
    ids=lambda answer: answer.request.label,
)
def test_odd_answer_is_shown_without_an_error(show: Show, answer: Run) -> None:
    shown = show(answer)
    assert shown.el.locator(".hk-stage").bounding_box()["height"] > 200
    shown.el.locator(".hk-stage").hover(position={"x": 300, "y": 150})
    shown.frame()
    assert shown.el.get_by_role("tab", name="Look").is_visible()


def test_large_input_image_is_shown_at_once_and_in_full(show: Show) -> None:
    classes = class_map(4000, 3000)
    shown = show(run(indexed_png(classes), input_image(4000, 3000)))
    said = shown.hover(0.5, 0.5)
    assert said.startswith(f"class {classes[1500, 2000]}\nrgb ")
    assert re.match(r"\((199|200)\d, (149|150)\d\)", shown.el.locator(".hk-read").inner_text())
