"""%preview: what goes over to the browser, how soon an answer is painted, and how smoothly the browser draws.

- The message of a new answer (its JSON and its buffers) beside the input image's JPEG and the mask's indexed PNG in it:
  a 1920×1080 input image with a 21-class mask.
- From a key press in JupyterLab to the painted picture of that answer, beside a `print(1)`: no handler is called,
  so what a call takes is not in it.
- Frames a second while a slider is dragged, beside those of the same page at rest: a 12-megapixel input image with 200
  boxes and a 21-class mask over it, in headless Chromium without a GPU. Each frame moves the slider and redraws.
- What the drag sent to the kernel meanwhile.

    python benchmarks/preview.py [--quick]
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

from table import Row, render

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "view"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))
from notebook_page import Book, serving
from preview_answers import boxes, class_map, indexed_png, input_image, preview, run

from handlerkit.view.preview.preview import Preview

LIMIT = 55  # frames a second
KEY_LIMIT = 40  # milliseconds from a key press to the picture, over a print
#: In a notebook: two answers that take turns.
_CELLS = [
    f"import sys\nsys.path.insert(0, {sys.path[1]!r})\n"
    "from preview_answers import *\npicture = input_image(1920, 1080)\n"
    "runs = [run(indexed_png(class_map(1920, 1080, classes)), picture) for classes in (21, 20)]\n"
    "shown = preview(runs[0])\nshown._predict = lambda request: runs.insert(0, runs.pop()) or runs[0]",
    "shown",
    "print(1)",
    "_ = shown.ask('a.jpg')",
]
#: Milliseconds from the next key to the first frame after the page shows what `changed` waits for.
_PAINTED = """changed => new Promise(done => {
  let pressed;
  addEventListener("keydown", () => { pressed ??= performance.now(); }, true);
  const seen = new MutationObserver((found) => {
    if (!pressed || !found.some(changed === "answer" ? (one) => one.attributeName === "data-answer"
      : (one) => [...one.addedNodes].some((node) => node.textContent?.trim() === "1"))) return;
    seen.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - pressed)));
  });
  seen.observe(document.body, { subtree: true, childList: true, attributes: true });
})"""
#: Counts what a drag of the slider named `name` sends, and when frames came while it lasted.
_DRAG = """async ([name, frames]) => {
  const slider = document.querySelector(`.hk-preview input[aria-label="${name}"]`);
  const times = [];
  const sent = window.sent;
  await new Promise((done) => {
    const frame = (time) => {
      times.push(time);
      if (times.length > frames) return done();
      if (slider) {
        slider.value = slider.max * (0.5 - 0.5 * Math.cos(times.length / 15));
        slider.dispatchEvent(new Event("input", { bubbles: true }));
      }
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  return { times, sent: window.sent - sent };
}"""
#: The page's answer through the door that a notebook uses: a model, which counts what is sent and set.
_MODEL = """
window.sent = 0;
const { answer, picture } = JSON.parse(document.getElementById("answers").textContent)[0];
const traits = { samples: [answer.sample], answer, picture: { data: picture }, problem: "" };
const count = () => { window.sent += 1; };
const model = { get: (name) => traits[name], on() {}, off() {}, send: count, set: count, save_changes: count };
const module = { render };
module.render({ model, el: document.getElementById("preview") });
"""


def measure(quick: bool = False) -> list[Row]:
    """The rows of the table."""
    return [message_row(), key_row(5 if quick else 20), *frame_rows(60 if quick else 300)]


def message_row() -> Row:
    """Bytes of the second answer to another sample: what the first one opens besides is the code, once."""
    import comm

    picture = input_image(1920, 1080)
    mask = indexed_png(class_map(1920, 1080))
    sent: list[tuple[dict[str, Any], list[Any]]] = []

    class Recorder(comm.base_comm.BaseComm):
        def publish_msg(
            self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any
        ) -> None:
            sent.append((data or {}, list(buffers or [])))

    first, second = run(mask, input_image(64, 64), label="first"), run(mask, picture, label="second")
    shown = preview(first)
    with mock.patch.object(comm, "create_comm", lambda **options: Recorder(**options)):
        shown._repr_mimebundle_()
    shown._samples["second"], shown._predict = second.request, lambda request: second
    sent.clear()
    shown.ask("second")
    shown.close()
    parts = shown.answers["second"]
    ours = sum(len(json.dumps(data)) + sum(len(bytes(one)) for one in buffers) for data, buffers in sent)
    least = len(parts.picture) + len(mask)
    ratio = ours / least
    return Row(
        "message of a new answer", ours / 1e3, least / 1e3, "KB", ratio, "at most 1.3 × JPEG and PNG", ratio <= 1.3
    )


def key_row(repeats: int) -> Row:
    """From the key to the picture: medians, print and answer in turns."""
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        serving("jupyterlab", Path(folder)) as at,
    ):
        browser = _launched(playwright)
        book = Book(browser, at, "keys.ipynb", _CELLS)
        book.run()
        book.page.wait_for_selector(".hk-preview[data-answer]", timeout=60_000)
        taken: dict[str, list[float]] = {"print": [], "answer": []}
        for _ in range(repeats + 2):
            for cell, changed in ((2, "print"), (3, "answer")):
                book.page.evaluate(f"() => {{ {Book.PANEL}.content.activeCellIndex = {cell} }}")
                book.page.evaluate(f"() => {{ {Book.PANEL}.content.mode = 'edit' }}")
                book.page.evaluate(f"changed => {{ window.painted = ({_PAINTED})(changed); }}", changed)
                book.page.keyboard.press("Control+Enter")
                taken[changed].append(book.page.evaluate("() => window.painted"))
                book.ready()
                book.page.wait_for_timeout(200)
        browser.close()
    answer, printed = (statistics.median(taken[name][2:]) for name in ("answer", "print"))
    over = answer - printed
    what = "from a key press to the picture, 1080p segmentation, beside a print"
    return Row(what, answer, printed, "ms", over, f"at most {KEY_LIMIT} ms over it", over <= KEY_LIMIT)


def _launched(playwright: Any) -> Any:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    arguments = ["--no-sandbox", "--disable-gpu"]
    return playwright.chromium.launch(executable_path=chromium, headless=True, args=arguments)


def frame_rows(frames: int) -> list[Row]:
    """Frames a second of each slider's drag."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = _page(Path(folder, "page.html"))
        browser = _launched(playwright)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(page_file.as_uri())
        page.wait_for_selector(".hk-preview[data-answer]", timeout=60_000)
        page.wait_for_timeout(1500)  # the bitmaps for zooming are made meanwhile
        rest = _rate(page.evaluate(_DRAG, ["nothing", frames])["times"])
        rows, sent = [], 0
        for name in ("Mask opacity", "Score from"):
            drag = page.evaluate(_DRAG, [name, frames])
            sent += drag["sent"]
            rate = _rate(drag["times"])
            what = f"frames while '{name}' is dragged: 12 MP, 200 boxes, 21 classes"
            rows.append(Row(what, rate, rest, "a second", rate / rest, f"at least {LIMIT} a second", rate >= LIMIT))
        browser.close()
    return [*rows, Row("messages to the kernel meanwhile", sent, 0, "", sent, "none", sent == 0)]


def _page(file: Path) -> Path:
    """A page with one answer that has boxes and a mask."""
    picture = input_image(4000, 3000)
    masked = preview(run(indexed_png(class_map(4000, 3000)), picture, label="mask"))
    boxed = preview(run(boxes(200, 4000, 3000), picture, label="boxes"))
    (of_mask,), (of_boxes,) = masked.answers.values(), boxed.answers.values()
    classes = of_mask.facts["classes"]
    rows = [[*row[:5], row[5] + len(classes)] for row in of_boxes.facts["boxes"]]
    both = {**of_mask.facts, "boxes": rows, "classes": [*classes, *of_boxes.facts["classes"]]}
    return _through_a_model(masked, replace(of_mask, facts=both), file)


def _through_a_model(shown: Preview, answer: Any, file: Path) -> Path:
    shown.answers["mask"] = answer
    shown.save(file)
    text = file.read_text("utf-8")
    start = text.rindex("showPage(")
    file.write_text(text[:start] + _MODEL + text[text.index("\n", start) :], "utf-8")
    return file


def _rate(times: list[float]) -> float:
    """Frames a second: of the mean, since a median would hide jerks."""
    return 1000 / statistics.mean(after - before for before, after in pairwise(times))


if __name__ == "__main__":
    print(render(measure("--quick" in sys.argv)))
