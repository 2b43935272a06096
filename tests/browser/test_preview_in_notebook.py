"""%preview in a real Notebook 7: mounted, played with, reloaded without its kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from preview_page import PreviewPage

from handlerkit.view import draw

GRAY = (200, 200, 200)
CELLS = [
    "%load_ext handlerkit",
    f"from PIL import Image\nImage.new('RGB', (120, 100), {GRAY}).save('gray.png')",
    "%model halves",
    "%%handler halves.py\ndef handle(data, context):\n"
    "    return data and [[[1] * 60 + [2] * 60] * 100 for _ in data]  # a class map: 1 on the left, 2 on the right",
    *["pass"] * 40,  # so that the preview is out of sight when the notebook is opened
    "%preview gray.png",
]
# Notebook 7.6 logs it on every page, also without the kit: https://github.com/jupyter/notebook/issues/7862
ITS_OWN = "Cannot read properties of undefined (reading 'schema')"


@pytest.fixture(scope="module")
def book(open_book: Any) -> Iterator[Any]:
    """The notebook, open and run."""
    book = open_book("preview.ipynb", CELLS, "notebook")
    book.run()
    yield book
    book.context.close()


def test_slider_blends_the_mask_without_a_message_to_the_kernel(book: Any) -> None:
    preview = PreviewPage(book.page)
    preview.settle()
    messages = len(book.sent)
    half = preview.pixel(0.25, 0.5)
    preview.slide("Mask opacity", 1)
    whole = preview.pixel(0.25, 0.5)
    preview.slide("Mask opacity", 0)
    assert half == pytest.approx([(200 + each) / 2 for each in draw.color(1)], abs=2)
    assert (whole, preview.pixel(0.25, 0.5)) == (draw.color(1), GRAY)
    assert len(book.sent) == messages > 0


def test_preview_that_comes_to_the_page_late_is_live(book: Any) -> None:
    book.reload(kernel=True, scroll=False)
    book.page.wait_for_selector(".hk-preview[data-answer]", state="attached", timeout=20_000)
    preview = PreviewPage(book.page)
    preview.slide("Mask opacity", 1)
    assert preview.pixel(0.25, 0.5) == draw.color(1)


def test_console_has_no_error(book: Any) -> None:
    assert [one for one in book.errors if one != ITS_OWN] == []


def test_static_picture_stays_without_the_kernel(book: Any) -> None:
    book.reload(kernel=False)
    picture = book.page.locator(".hk-still img.hk-picture")
    picture.wait_for(timeout=30_000)
    assert picture.bounding_box()["width"] > 100
    assert book.page.locator(".hk-preview").count() == 0
    assert "model not found" not in book.page.locator(".jp-Notebook").inner_text()
