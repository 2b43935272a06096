"""A preview on a phone, by keyboard alone, and as axe-core reads it; and the static display whose place it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from preview_answers import boxes, class_map, input_image, preview, run
from preview_page import Show, flat, score

from handlerkit.messages import Run
from handlerkit.view import draw

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def test_other_scores_and_samples_are_reached_by_keyboard(show: Show) -> None:
    shown = show(run([score(0.5), score(0.9)], input_image(), label="a"), run([], input_image(), label="b"))
    reached = []
    for _ in range(12):
        shown.page.keyboard.press("Tab")
        reached.append(
            shown.page.evaluate("() => document.activeElement.ariaLabel ?? document.activeElement.innerText")
        )
    canvas = "a: 2 boxes: cat 0.50 (20,40)-(100,90), cat 0.90 (20,40)-(100,90); cat 2"
    assert [name for name in reached if name][:5] == ["sample", canvas, "zoom out", "show all of it", "zoom in"]
    assert {"Look", "Score from, as a number", "Score from"} <= set(reached)


class TestPhone:
    @pytest.fixture
    def browser_options(self) -> dict[str, Any]:
        return PHONE

    def test_nothing_is_wider_than_the_page(self, show: Show) -> None:
        shown = show(run(boxes(9, 320, 240), input_image(), label="a" * 60), run([], input_image(), label="b"))
        assert shown.page.evaluate("document.documentElement.scrollWidth") == 390

    def test_tap_reads_a_point(self, show: Show) -> None:
        shown = show(run(flat((200, 190, 180))))
        assert "pinch" in shown.read()
        shown.touch("touchStart", (0.25, 0.5))
        shown.touch("touchEnd")
        assert shown.el.locator(".hk-tip").inner_text().startswith("rgb 200 190 180")
        assert shown.read().startswith("(50, ")

    def test_two_fingers_zoom_and_one_moves_both_ways(self, show: Show) -> None:
        quarters = np.ones((100, 100), int)
        quarters[:, 50:] += 1
        quarters[50:] += 2
        shown = show(run(quarters.tolist(), flat((200, 200, 200), 100, 100)))
        shown.el.get_by_label("Mask opacity, as a number").fill("100")
        shown.touch("touchStart", (0.45, 0.5), (0.55, 0.5))
        for apart in (0.1, 0.15, 0.2, 0.25):
            shown.touch("touchMove", (0.5 - apart, 0.5), (0.5 + apart, 0.5))
        shown.touch("touchEnd")
        assert [shown.pixel(x, 0.3) for x in (0.48, 0.52)] == [draw.color(1), draw.color(2)]
        shown.touch("touchStart", (0.5, 0.5))
        for by in (0.1, 0.2, 0.3):
            shown.touch("touchMove", (0.5 - by, 0.5 - by))
        shown.touch("touchEnd")
        assert shown.pixel(0.3, 0.3) == draw.color(4)
        assert shown.page.evaluate("scrollY") == 0


ANSWERS = {
    "boxes": run(boxes(24, 320, 240), input_image()),
    "classes": run({"tabby": 0.9, "lynx": 0.1}, input_image()),
    "map": run(class_map(320, 240, 6).tolist(), input_image()),
    "text": run(b"some words"),
    "failed": run({"code": 503, "message": "Prediction failed"}, input_image(), status=503),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_axe_core_finds_nothing(show: Show, answer: Run, scheme: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python", reason="axe-core is not installed: pip install axe-playwright-python"
    )
    shown = show(answer, run([], input_image(), label="b"))
    shown.page.emulate_media(color_scheme=scheme)
    shown.page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text("utf-8"))
    for tab in ("Look", "HTTP"):
        shown.el.get_by_role("tab", name=tab).click()
        found = shown.page.evaluate("async () => (await axe.run()).violations")
        assert found == [], json.dumps(
            [(one["id"], [node["html"] for node in one["nodes"]]) for one in found], indent=1
        )


@pytest.mark.parametrize("width", [390, 1000])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_static_display_is_as_high_as_the_live_one(show: Show, answer: Run, width: int) -> None:
    shown = show(answer, run([], input_image(), label="b"))
    shown.page.set_viewport_size({"width": width, "height": 800})
    shown.frame()
    live = shown.el.bounding_box()
    still = preview(answer, run([], input_image(), label="b"))
    still.ask("a.jpg")
    replace = "html => { document.querySelector('#preview').innerHTML = html; }"
    shown.page.evaluate(replace, still._anchored(still._still().html))
    assert shown.page.locator(".hk-answer").bounding_box() == live
