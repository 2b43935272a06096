"""%preview in a real JupyterLab: played with, run again, reloaded, saved."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from preview_page import PreviewPage

from handlerkit.view import draw

COIN = draw.color(1)  # index 1 of models/index_to_name.json
DETECTOR = '''%%handler detector.py
"""The coins in a photograph, as boxes."""
import io

import numpy as np
import torch
from PIL import Image
from ts.torch_handler.base_handler import BaseHandler

THRESHOLD = 0.5


class CoinDetector(BaseHandler):
    def preprocess(self, data):
        photographs = [Image.open(io.BytesIO(row.get("data") or row.get("body"))).convert("RGB") for row in data]
        return [torch.from_numpy(np.array(one)).permute(2, 0, 1) / 255 for one in photographs]

    def inference(self, arrays):
        with torch.inference_mode():
            return self.model(arrays)

    def postprocess(self, found):
        return [
            [
                {"label": self.mapping[str(label)], "box": box, "score": score}
                for box, label, score in zip(*(one[key].tolist() for key in ("boxes", "labels", "scores")))
                if score >= THRESHOLD
            ]
            for one in found
        ]
'''
CELLS = [
    "%load_ext handlerkit",
    "import skimage.data\nfrom PIL import Image\nImage.fromarray(skimage.data.coins()).save('coins.png')\n"
    "Image.fromarray(skimage.data.coins()[:, :200]).save('half.png')",
    "%model coins_detector --serialized-file models/coins_detector.pt --extra-files models/index_to_name.json",
    DETECTOR,
    "%preview coins.png half.png",
]
HANDLER = 3


@pytest.fixture(scope="module")
def book(open_book: Any) -> Iterator[Any]:
    """The notebook, open and run."""
    book = open_book("preview.ipynb", CELLS)
    book.run()
    yield book
    book.context.close()


@pytest.fixture
def preview(book: Any) -> PreviewPage:
    """Its preview, with everything as it is at first."""
    preview = PreviewPage(book.page)
    preview.settle()
    if preview.slider("Score from").input_value() != "0":
        preview.slide("Score from", 0)
    return preview


def shown(preview: PreviewPage) -> tuple[int, int]:
    """`18 of 24 shown`."""
    found = re.search(r"(\d+) of (\d+) shown", preview.el.inner_text())
    assert found
    return int(found[1]), int(found[2])


def test_answer_is_drawn(preview: PreviewPage) -> None:
    assert shown(preview) == (24, 24)
    assert preview.count(COIN) > 5000


def test_box_has_its_class_s_color_at_its_edge(preview: PreviewPage) -> None:
    preview.el.get_by_role("tab", name="HTTP").click()
    box = re.search(r'"box": \[([^\]]+)\]', preview.el.locator("[aria-label=Response] pre").inner_text())
    preview.el.get_by_role("tab", name="Look").click()
    assert box
    x1, y1, _, y2 = map(float, box[1].split(","))
    preview.el.get_by_label("Labels").uncheck()
    preview.frame()
    width, height = preview.canvas.evaluate("it => [it.width, it.height]")
    edge = preview.pixel((x1 * width / 384 + 1) / width, ((y1 + y2) / 2) / 303)
    preview.el.get_by_label("Labels").check()
    assert edge == COIN
    assert height == pytest.approx(width * 303 / 384, abs=2)


def test_slider_hides_boxes_without_a_message_to_the_kernel(book: Any, preview: PreviewPage) -> None:
    before, messages = preview.count(COIN), len(book.sent)
    preview.slide("Score from", 0.93)
    few = preview.count(COIN)
    preview.slide("Score from", 1)
    assert 0 < few < before
    assert preview.count(COIN) == 0
    assert shown(preview) == (0, 24)
    assert len(book.sent) == messages


def test_arrow_keys_move_the_slider(preview: PreviewPage) -> None:
    preview.slider("Score from").focus()
    for _ in range(3):
        preview.page.keyboard.press("ArrowRight")
    assert preview.slider("Score from").input_value() == "0.03"


def test_hover_names_the_box_and_the_pixel(preview: PreviewPage) -> None:
    said = preview.hover(40 / 384, 60 / 303)
    assert re.fullmatch(r"coin 0\.9\d\nrgb (\d+) \1 \1", said)


def test_hover_beside_a_box_names_the_pixel_alone(preview: PreviewPage) -> None:
    assert re.fullmatch(r"rgb \d+ \d+ \d+", preview.hover(0.005, 0.01))


def test_class_that_is_switched_off_is_not_drawn(book: Any, preview: PreviewPage) -> None:
    messages = len(book.sent)
    preview.el.get_by_role("checkbox", name="coin").uncheck()
    preview.frame()
    assert preview.count(COIN) == 0
    preview.el.get_by_role("checkbox", name="coin").check()
    preview.frame()
    assert preview.count(COIN) > 5000
    assert len(book.sent) == messages


def test_keys_step_through_the_boxes(preview: PreviewPage) -> None:
    preview.canvas.focus()
    preview.page.keyboard.press(".")
    assert re.match(r"coin 0\.9\d  \(\d+, \d+\) - ", preview.el.locator(".hk-read").inner_text())
    preview.page.keyboard.press("Escape")


def test_keys_zoom_and_do_not_reach_the_notebook(book: Any, preview: PreviewPage) -> None:
    cells = book.page.locator(".jp-Cell").count()
    preview.canvas.focus()
    first = preview.pixel(0.1, 0.1)
    for key in ("+", "+", "a", "b", "d", "d"):
        preview.page.keyboard.press(key)
    preview.frame()
    assert preview.pixel(0.1, 0.1) != first
    preview.page.keyboard.press("0")
    preview.frame()
    assert preview.pixel(0.1, 0.1) == first
    assert book.page.locator(".jp-Cell").count() == cells


def test_focus_is_seen(preview: PreviewPage) -> None:
    preview.slider("Score from").focus()
    preview.page.keyboard.press("Shift+Tab")
    outline = preview.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_wire_can_be_copied_as_curl(book: Any, preview: PreviewPage) -> None:
    book.context.grant_permissions(["clipboard-read", "clipboard-write"])
    preview.el.get_by_role("tab", name="HTTP").click()
    preview.el.get_by_role("button", name="Copy as curl").click()
    preview.page.wait_for_function("() => document.querySelector('.hk-preview').innerText.includes('Copied')")
    copied = preview.page.evaluate("() => navigator.clipboard.readText()")
    preview.el.get_by_role("tab", name="Look").click()
    assert copied == (
        "curl -X POST -H 'Content-Type: image/png' --data-binary @coins.png "
        "http://127.0.0.1:8080/predictions/coins_detector"
    )


def test_another_sample_is_sent_when_it_is_chosen(preview: PreviewPage) -> None:
    number = int(preview.el.get_attribute("data-answer"))
    preview.el.get_by_role("combobox", name="sample").select_option("half.png")
    preview.settle(number + 1)
    assert shown(preview)[1] < 24
    preview.el.get_by_role("combobox", name="sample").select_option("coins.png")
    preview.settle(number + 2)
    assert shown(preview) == (24, 24)


def test_uploaded_file_is_sent(book: Any, preview: PreviewPage) -> None:
    number = int(preview.el.get_attribute("data-answer"))
    preview.el.locator("input[type=file]").set_input_files(book.file.parent / "half.png")
    preview.settle(number + 1)
    choice = preview.el.get_by_role("combobox", name="sample")
    assert choice.input_value() == "half.png (2)"
    choice.select_option("coins.png")
    preview.settle(number + 2)


def hand_over(preview: PreviewPage, data: bytes, name: str, events: str) -> None:
    """Drop or paste a file, as the page's script sees it."""
    preview.el.evaluate(
        """(it, [data, name, events]) => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          transfer.items.add(new File([bytes], name, { type: "image/png" }));
          const target = it.querySelector("canvas");
          const about = { dataTransfer: transfer, clipboardData: transfer, bubbles: true, cancelable: true };
          const kind = events === "paste" ? ClipboardEvent : DragEvent;
          for (const type of events.split(" ")) target.dispatchEvent(new kind(type, about)); }""",
        [base64.b64encode(data).decode(), name, events],
    )


@pytest.mark.parametrize("events", ["dragover drop", "paste"])
def test_file_that_is_dropped_or_pasted_is_sent(book: Any, preview: PreviewPage, events: str) -> None:
    number = int(preview.el.get_attribute("data-answer"))
    name = f"{events.split()[-1]}.png"
    hand_over(preview, (book.file.parent / "half.png").read_bytes(), name, events)
    preview.settle(number + 1)
    choice = preview.el.get_by_role("combobox", name="sample")
    assert choice.input_value() == name
    choice.select_option("coins.png")
    preview.settle(number + 2)


def test_handler_that_is_run_again_changes_the_preview(book: Any, preview: PreviewPage) -> None:
    number = int(preview.el.get_attribute("data-answer"))
    before, height = preview.count(COIN), preview.el.bounding_box()["height"]
    book.write(HANDLER, DETECTOR.replace("THRESHOLD = 0.5", "THRESHOLD = 0.93"))
    book.run(HANDLER)
    preview.settle(number + 1)
    assert 0 < preview.count(COIN) < before
    assert preview.el.bounding_box()["height"] == height


def test_slider_shows_the_answer_before_beside_it(preview: PreviewPage) -> None:
    alone = preview.count(COIN)
    preview.el.get_by_role("button", name="Before / after").click()
    handle = preview.slider("before and after")
    handle.focus()
    preview.page.keyboard.press("End")
    preview.frame()
    assert preview.count(COIN) > alone
    preview.page.keyboard.press("Home")
    preview.frame()
    assert preview.count(COIN) == alone
    preview.el.get_by_role("button", name="Before / after").click()


def test_handler_that_fails_is_told_in_the_preview(book: Any, preview: PreviewPage) -> None:
    number = int(preview.el.get_attribute("data-answer"))
    height = preview.el.bounding_box()["height"]
    book.write(HANDLER, DETECTOR.replace("return self.model(arrays)", "return self.modle(arrays)"))
    book.run(HANDLER)
    preview.settle(number + 1)
    assert "AttributeError" in preview.el.locator(".hk-told").inner_text()
    assert preview.el.bounding_box()["height"] == height
    book.write(HANDLER, DETECTOR)
    book.run(HANDLER)
    preview.settle(number + 2)
    assert shown(preview) == (24, 24)
    assert preview.el.get_by_role("button", name="Before / after").is_enabled()


def test_page_reloaded_with_its_kernel_is_live(book: Any, preview: PreviewPage) -> None:
    book.reload(kernel=True)
    preview.settle()
    preview.slide("Score from", 1)
    assert preview.count(COIN) == 0


def test_dark_theme(book: Any, preview: PreviewPage) -> None:
    theme = "async name => { await jupyterapp.commands.execute('apputils:change-theme', { theme: name }) }"
    book.page.evaluate(theme, "JupyterLab Dark")
    book.page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
    numbers = "it => getComputedStyle(it).{}.match(/[\\d.]+/g).map(Number)"
    color = preview.el.get_by_role("tab", name="Look").evaluate(numbers.format("color"))
    ground = preview.el.locator("select").evaluate(numbers.format("backgroundColor"))
    if folder := os.environ.get("HANDLERKIT_SCREENSHOTS"):
        preview.el.screenshot(path=f"{folder}/preview-dark.png")
    book.page.evaluate(theme, "JupyterLab Light")
    assert min(color[:3]) > 180
    assert max(ground[:3]) < 80


def test_console_has_no_error(book: Any) -> None:
    assert book.errors == []


def test_kernel_that_is_gone_is_told(book: Any, preview: PreviewPage) -> None:
    book.page.evaluate(f"async () => {{ await {book.PANEL}.sessionContext.session.kernel.restart() }}")
    book.ready()
    preview.el.get_by_role("combobox", name="sample").select_option("half.png")
    told = preview.el.locator(".hk-said", has_text="gone")
    told.wait_for()
    assert "run the cell again" in told.inner_text()
    preview.slide("Score from", 1)
    assert preview.count(COIN) == 0  # what was answered can still be played with


def test_static_picture_stays_without_the_kernel(book: Any, preview: PreviewPage) -> None:
    book.reload(kernel=False)
    picture = book.page.locator(".hk-still img.hk-picture")
    picture.wait_for(timeout=30_000)
    assert picture.bounding_box()["width"] > 300
    assert book.page.locator(".hk-preview").count() == 0
    assert "model not found" not in book.page.locator(".jp-Notebook").inner_text()
