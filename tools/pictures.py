"""Makes the pictures of the README and of the gallery, all in notebooks/pictures/.

    python tools/pictures.py                 # all of them
    python tools/pictures.py gallery 02      # those whose names begin so

- preview.webp: the live display, played with: tools/preview_picture.py runs the quickstart's detector for it.
- views.webp: the gallery's first picture, of some of its outputs.
- <notebook>.webp: one saved output of each notebook, twice as wide as the README's table shows it, for sharp screens.

But for the first, nothing is run: nbconvert writes the output as html, and Chromium draws it. A picture that no longer
finds its cell, or grows too large, is an error.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import preview_picture
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from PIL import Image, ImageOps
from playwright.sync_api import sync_playwright

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
PICTURES = NOTEBOOKS / "pictures"

WIDTH = 400  # pixels; the README shows half of it
FLATTEST, STEEPEST = 0.2, 0.75  # height by width
MARGIN = 5  # CSS pixels of paper around an output
MOST_BYTES = 30_000

PAPER = f"""
body {{ box-sizing: border-box; margin: 0; padding: {MARGIN}px !important; width: 100vw }}
.jp-OutputArea-output {{ display: block !important; margin: 0 !important; padding: 0 !important }}
"""


class Shot(NamedTuple):
    """Which output stands for a notebook."""

    cell: str  #: what the source of its cell begins with; of several, the first with such an output is taken
    element: str  #: a CSS selector within the output; what it finds first is drawn
    page: int = 400  #: how many CSS pixels wide the output is laid out: the narrower, the larger its letters
    bare: bool = False  #: a picture without a margin around it
    style: str = ""  #: CSS for what a small picture has to leave out


#: Of a long text what is at its end.
LAST_LINES = "pre { display: flex; flex-direction: column; height: 170px; justify-content: flex-end; overflow: hidden }"

#: Two cards beside each other: shorter bars, and no word of the answer's size.
TWO_CARDS = """
.hk-grid { grid-template-columns: 1fr 1fr !important }
.hk-card .hk-bars { gap: 3px 6px !important; grid-template-columns: 1fr 22px max-content !important }
.hk-card .hk-soft { display: none }
"""
#: A table without its fourth column, each row in one line.
NO_NOTES = "td, th { white-space: nowrap !important } td:nth-child(4), th:nth-child(4) { display: none }"
#: A table's columns as its rows, each in one line.
TURNED = """
table { display: flex !important }
tr { display: flex !important; flex-direction: column }
td, th { height: 22px; white-space: nowrap !important }
"""

SHOTS = {
    "quickstart": Shot("%request coins.png", "img.hk-picture", bare=True),
    "gallery": Shot("before = hk.session.request(", ".hk-slider", 440, bare=True),
    "where_time_goes": Shot("lists = %bench", ".hk-finding table", 305, style=NO_NOTES),
    "01_digits_classifier": Shot("%model digits\n", ".hk-grid", 310, style=TWO_CARDS),
    "02_sequences": Shot("import handlerkit as hk\n\n%model languages", ".hk-grid", 250),
    "03_errors": Shot('hk.session.request("bug")', ".hk-finding", 280, style="dd { overflow-wrap: anywhere }"),
    "04_background_removal": Shot("server.register(", "img", bare=True),
    "05_entry_points": Shot("%%handler digits_two_classes.py", "pre", 260, style=LAST_LINES),
    "06_ways_to_load": Shot('(ways / "export.yaml")', ".hk-view", 300),
    "07_default_handlers": Shot("%request coins", "img.hk-picture", bare=True),
    "08_text": Shot('files = "models', ".hk-grid", 250),
    "09_explanations": Shot("def signed(run)", "img"),
    "10_envelopes": Shot("%model digits_enveloped\n", "table", 230, style=TURNED),
    "11_batches_and_streams": Shot("def part(", ".hk-grid", 320, style=TWO_CARDS),
    "12_metrics": Shot("import time", "pre", 250, style="pre { overflow: hidden; white-space: pre !important }"),
    "13_pretrained": Shot("%request built/surfaces/", ".hk-grid", 350, style=TWO_CARDS),
    "14_contributing": Shot("import numpy", "img"),
    "15_serve_anywhere": Shot("%verify --endpoint replicas", ".hk-view", 400, bare=True),
    "16_answers_become_tests": Shot("%test --cases built/cases/coins.har", ".hk-compare", bare=True),
}

#: The gallery's outputs in its first picture, row by row.
VIEWS = (
    Shot("%request coins -H 'X-Form: boxes'", "img.hk-picture", bare=True),
    Shot("%request coins -H 'X-Form: masks'", "img.hk-picture", bare=True),
    Shot("%request coins -H 'X-Form: indexed'", "img.hk-picture", bare=True),
    Shot("%request coins -H 'X-Form: attributions'", "img.hk-picture", bare=True),
    Shot("%request coins -H 'X-Form: cutout'", "img.hk-picture", bare=True),
    Shot("before = hk.session.request(", ".hk-slider", 440, bare=True),
)
COLUMNS, TILE, GAP = 3, (400, 300), 8
MOST_BYTES_OF_VIEWS = 150_000


def output_of(notebook: NotebookNode, start: str) -> NotebookNode:
    """The notebook with one cell, the first that begins so and has an output."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith(start) and cell.outputs:
            return new_notebook(cells=[cell], metadata=notebook.metadata)
    raise SystemExit(f"no cell with an output begins with {start!r}")


def drawn(page: Any, notebook: NotebookNode, shot: Shot) -> Image.Image:
    """The element as Chromium draws it, cut to the proportions of the table."""
    html, _ = HTMLExporter(exclude_input=True).from_notebook_node(output_of(notebook, shot.cell))
    page.set_viewport_size({"width": shot.page, "height": 1200})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "output.html")
        file.write_text(html, encoding="utf-8")
        page.goto(file.as_uri())
    # without the notebook around it, which leaves room for prompts
    page.evaluate("document.body.replaceChildren(...document.querySelectorAll('.jp-OutputArea-output'))")
    page.add_style_tag(content=f"{PAPER}{shot.style}")
    box = page.locator(f".jp-OutputArea-output {shot.element}").first.bounding_box()
    margin = 0 if shot.bare else MARGIN
    clip = {
        "x": box["x"] - margin,
        "y": box["y"] - margin,
        "width": min(box["width"] + 2 * margin, shot.page),
        "height": box["height"] + 2 * margin,
    }
    clip["height"] = max(min(clip["height"], STEEPEST * clip["width"]), FLATTEST * clip["width"])
    return Image.open(io.BytesIO(page.screenshot(clip=clip, full_page=True))).convert("RGB")


def saved(picture: Image.Image, name: str) -> int:
    """Write the picture, no wider than the table needs it; its bytes."""
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    file = PICTURES / f"{name}.webp"
    picture.save(file, quality=82, method=6)
    return file.stat().st_size


def sheet(page: Any, notebook: NotebookNode) -> Image.Image:
    """Views beside each other, on white."""
    across, down = (size + GAP for size in TILE)
    whole = Image.new("RGB", (COLUMNS * across - GAP, len(VIEWS) // COLUMNS * down - GAP), "white")
    for number, shot in enumerate(VIEWS):
        tile = ImageOps.fit(drawn(page, notebook, shot), TILE, Image.Resampling.LANCZOS)
        whole.paste(tile, (number % COLUMNS * across, number // COLUMNS * down))
    return whole


def checked(name: str, size: int, most: int) -> None:
    """Say how large a picture is; raises SystemExit if it is too large."""
    print(f"{name:24}{size / 1000:6.1f} kB")
    if size > most:
        raise SystemExit(f"{name} is larger than {most / 1000:.0f} kB")


def main(*wanted: str) -> None:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise SystemExit("Chromium is not installed (on Debian: apt install chromium)")
    missing = {file.stem for file in NOTEBOOKS.glob("*.ipynb")} ^ set(SHOTS)
    if missing:
        raise SystemExit(f"notebooks without a picture, or pictures without a notebook: {', '.join(sorted(missing))}")
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]
        browser = playwright.chromium.launch(executable_path=found, headless=True, args=arguments)
        page = browser.new_context(device_scale_factor=2, offline=True).new_page()
        for name, shot in SHOTS.items():
            if not wanted or name.startswith(wanted):
                notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4)
                checked(name, saved(drawn(page, notebook, shot), name), MOST_BYTES)
        if not wanted or "views".startswith(wanted):
            file = PICTURES / "views.webp"
            sheet(page, nbformat.read(NOTEBOOKS / "gallery.ipynb", 4)).save(file, quality=82, method=6)
            checked("views", file.stat().st_size, MOST_BYTES_OF_VIEWS)
        if not wanted or "preview".startswith(wanted):
            size = preview_picture.make(browser, NOTEBOOKS, PICTURES / "preview.webp")
            checked("preview", size, preview_picture.MOST_BYTES)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
