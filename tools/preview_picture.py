"""The README's first picture: the live display of the quickstart's detector, played with.

The detector answers twice, before and after its handler changed. A page with both is saved, as `%preview --save` does,
and Chromium shows it step by step: the threshold is dragged, a coin is read, zoomed, and both answers are compared.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import skimage.data
from PIL import Image

from handlerkit.notebook.session import Session

SIZE = {"width": 1000, "height": 648}  # CSS pixels of the page
SHARP = 1.5  # pixels of the picture each
MOST_BYTES = 2_000_000
SHORT, LONG = 70, 1400  # milliseconds that a step of a movement, and a result, are shown
#: A page has no pointer of its own.
POINTER = """() => {
  const at = document.body.appendChild(document.createElement("div"));
  at.style = "position:fixed;z-index:9;pointer-events:none;width:18px;height:18px;margin:-9px 0 0 -9px;" +
    "border-radius:50%;background:rgba(0,0,0,.35);border:2px solid #fff;box-shadow:0 0 3px #000";
  document.addEventListener("pointermove", ({ clientX, clientY }) => {
    at.style.left = `${clientX}px`;
    at.style.top = `${clientY}px`;
  }, true);
}"""


def saved_page(notebooks: Path, folder: Path) -> Path:
    """The page with the detector's answers to the coins: those that it is sure of, then all that it found."""
    cells = nbformat.read(notebooks / "quickstart.ipynb", 4).cells
    handler = next(cell.source for cell in cells if cell.source.startswith("%%handler detector.py"))
    source = handler.partition("\n")[2]
    picture, file = folder / "coins.png", folder / "detector.py"
    Image.fromarray(skimage.data.coins()).save(picture)
    session = Session()
    models = notebooks / "models"
    session.model(
        "coins_detector",
        serialized_file=os.fspath(models / "coins_detector.pt"),
        extra_files=[os.fspath(models / "index_to_name.json")],
    )
    file.write_text(source.replace("THRESHOLD = 0.5", "THRESHOLD = 0.935"))
    session.use(os.fspath(file))
    preview = session.preview(picture)
    file.write_text(source)
    session.use(os.fspath(file))
    preview.ask(preview.samples[0])
    page = preview.save(folder / "page.html")
    session.close()
    return page


def steps(page: Any) -> Iterator[int]:
    """Plays with the page; yields how long each moment is shown, in milliseconds."""
    box = page.locator("canvas").bounding_box()
    slider = page.get_by_role("slider", name="Score from").bounding_box()
    middle = slider["y"] + slider["height"] / 2

    def move(x: float, y: float, count: int) -> Iterator[int]:
        nonlocal at
        for step in range(1, count + 1):
            share = step / count
            page.mouse.move(at[0] + share * (x - at[0]), at[1] + share * (y - at[1]))
            yield SHORT
        at = (x, y)

    at = (slider["x"] + 8, middle)
    page.mouse.move(*at)
    yield LONG
    page.mouse.down()
    yield from move(slider["x"] + 0.91 * slider["width"], middle, 18)
    page.mouse.up()
    yield LONG
    coin = (box["x"] + 0.66 * box["width"], box["y"] + 0.6 * box["height"])
    yield from move(*coin, 8)
    yield LONG
    page.keyboard.down("Control")
    for _ in range(7):
        page.mouse.wheel(0, -40)
        yield SHORT
    page.keyboard.up("Control")
    yield LONG
    page.get_by_role("button", name="show all of it").click()
    page.get_by_role("slider", name="Score from").fill("0")
    page.get_by_role("button", name="Before / after").click()
    handle = page.get_by_role("slider", name="before and after").bounding_box()
    at = (handle["x"] + 12, handle["y"] + handle["height"] / 3)
    page.mouse.move(*at)
    yield LONG
    page.mouse.down()
    yield from move(box["x"] + 0.15 * box["width"], at[1], 10)
    yield from move(box["x"] + 0.85 * box["width"], at[1], 16)
    page.mouse.up()
    yield LONG


def make(browser: Any, notebooks: Path, file: Path) -> int:
    """Write the picture, as an animated WebP; its bytes."""
    context = browser.new_context(viewport=SIZE, device_scale_factor=SHARP, offline=True)
    page = context.new_page()
    with tempfile.TemporaryDirectory() as folder:
        page.goto(saved_page(notebooks, Path(folder)).as_uri())
    page.wait_for_selector(".hk-preview[data-answer]")
    page.evaluate("document.querySelector('h1').remove()")
    page.evaluate(POINTER)
    frames, durations = [], []
    for duration in steps(page):
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        durations.append(duration)
    context.close()
    more = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0, "minimize_size": True}
    frames[0].save(file, quality=80, method=4, **more)
    return file.stat().st_size
