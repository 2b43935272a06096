"""What drawing an answer costs, at 1920x1080, beside the libraries that people draw with.

    python benchmarks/drawing.py [--quick]

- 20 boxes with labels, beside the same rectangles and texts through PIL's own ImageDraw;
- 20 instance masks, beside supervision's MaskAnnotator, and one map of 21 classes, beside the faster of blending a
  palette picture with PIL and cv2's LUT and addWeighted, from a PIL picture to a PIL picture as ours goes; what cv2
  takes from an array to an array, which leaves out both conversions, is a row of its own. supervision and cv2 lie in an
  environment of their own (peers.py), and are left out where that cannot be made;
- the whole static display of a segmentation's Run: its answer, an indexed PNG, read, drawn on the JPEG of the request,
  encoded, and put into html;
- that of a picture that came back, as PNG and as JPEG, beside decoding it.

Each pair takes turns in one process.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from peers import SkippedError, environment
from table import Row, render

SIZE = (1920, 1080)


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` takes fewer rounds."""
    rounds = 15 if quick else 40
    return [_boxes(rounds), *_peers(rounds), _display(rounds), *_pictures(rounds)]


def alternate(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of each way: the fastest of `rounds`, taken in turn; one more warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, call in ways.items():
            begun = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begun)
    return {name: min(taken[1:]) for name, taken in seconds.items()}


def photograph() -> Any:
    """A picture with as much in it as a photograph has."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 255, (SIZE[1] // 8, SIZE[0] // 8, 3), np.uint8)
    return Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)


def class_map() -> Any:
    """uint8 [1080, 1920], 21 classes in patches."""
    import numpy as np
    from PIL import Image

    patches = np.random.default_rng(1).integers(0, 21, (27, 48), np.uint8)
    return np.asarray(Image.fromarray(patches).resize(SIZE, Image.Resampling.NEAREST))


def ellipses() -> Any:
    """bool [20, 1080, 1920]."""
    import numpy as np

    down, across = np.mgrid[: SIZE[1], : SIZE[0]]
    places = [(200 + 220 * (i // 5), 200 + 370 * (i % 5)) for i in range(20)]
    return np.stack([((down - y) / 100) ** 2 + ((across - x) / 160) ** 2 < 1 for y, x in places])


def _boxes(rounds: int) -> Row:
    from PIL import ImageDraw, ImageFont

    from handlerkit.view import draw

    image = photograph()
    corners = [[90 * i + 10, 40 * i + 60, 90 * i + 110, 40 * i + 160] for i in range(20)]
    font = ImageFont.load_default(27)

    def primitives() -> None:
        pen = ImageDraw.Draw(image.copy())
        for box in corners:
            pen.rectangle(box, outline="red", width=4)
            pen.rectangle(pen.textbbox((box[0], box[1] - 30), "coin 0.50", font=font), fill="red")
            pen.text((box[0], box[1] - 30), "coin 0.50", fill="white", font=font)

    def ours() -> None:
        draw.boxes(image, corners, ["coin"] * 20, [0.5] * 20, width=4, font_size=27)

    taken = alternate({"ours": ours, "pil": primitives}, rounds)
    return Row.dearer(
        "20 boxes with labels, beside PIL's own primitives", taken["ours"] * 1e3, taken["pil"] * 1e3, "ms", 1.2
    )


def _peers(rounds: int) -> list[Row]:
    """The rows that need supervision and cv2."""
    import handlerkit

    try:
        python = environment("drawing", "supervision", "opencv-python-headless")
    except SkippedError as problem:
        print(f"supervision and cv2 are left out: {problem}", flush=True)
        return []
    command = [python, __file__, "--peers", str(rounds)]
    path = {**os.environ, "PYTHONPATH": str(Path(handlerkit.__file__).parents[1])}
    done = subprocess.run(command, env=path, stdout=subprocess.PIPE, text=True, check=True)
    taken = {name: seconds * 1e3 for name, seconds in json.loads(done.stdout.splitlines()[-1]).items()}
    blend = min(taken["pil blend"], taken["cv2 blend"])
    name = "PIL's palette blend" if blend == taken["pil blend"] else "cv2's LUT and addWeighted"
    arrays = taken["cv2 arrays"]
    note = (
        f"unpacking the PIL picture into an array takes {taken['to array']:.2f} ms, packing the result "
        f"{taken['from array']:.2f} ms"
    )
    return [
        Row.dearer("20 instance masks, beside supervision", taken["masks"], taken["supervision"], "ms", 0.5),
        Row.dearer(f"a map of 21 classes, beside {name}", taken["map"], blend, "ms", 1.2),
        Row(
            "the same with class 0 left as it is, which the other does not do", taken["map on its background"], blend,
            "ms", taken["map on its background"] / blend, "", True,
        ),
        Row(
            "a map of 21 classes, beside cv2's LUT and addWeighted from an array to an array", taken["map"], arrays,
            "ms", taken["map"] / arrays, "", True, note,
        ),
    ]  # fmt: skip


def peers(rounds: int) -> dict[str, float]:
    """Seconds of our masks and map and of theirs, in the environment that has them. Raises where the two overlays of
    the map differ by more than their rounding."""
    import cv2
    import numpy as np
    import supervision
    from PIL import Image

    from handlerkit.view import draw

    image, classes, masks = photograph(), class_map(), ellipses()
    pixels = np.asarray(image)
    flat = [channel for color in draw.palette() for channel in color]
    table = np.array(draw.palette(), np.uint8)[None]
    corners = np.array([draw.mask_to_xyxy(mask) for mask in masks], np.float32)
    found = supervision.Detections(xyxy=corners, mask=masks, class_id=np.arange(20))
    annotator = supervision.MaskAnnotator(opacity=0.5)

    def pil_blend() -> Any:
        layer = Image.fromarray(classes)
        layer.putpalette(flat)
        return Image.blend(image, layer.convert("RGB"), 0.5)

    def cv2_arrays(ground: Any = pixels) -> Any:
        layer = cv2.LUT(cv2.merge([classes] * 3), table)
        return cv2.addWeighted(ground, 0.5, layer, 0.5, 0)

    def cv2_blend() -> Any:
        return Image.fromarray(cv2_arrays(np.asarray(image)))

    ours = np.asarray(draw.overlay(image, classes, background=None), int)
    if max(np.abs(ours - theirs).max() for theirs in (np.asarray(pil_blend(), int), np.asarray(cv2_blend(), int))) > 1:
        raise AssertionError("the overlays of a class map differ")
    return alternate(
        {
            "masks": lambda: draw.masks(image, masks, ["a"] * 20),
            "supervision": lambda: annotator.annotate(pixels.copy(), found),
            "map": lambda: draw.overlay(image, classes, background=None),
            "map on its background": lambda: draw.overlay(image, classes),
            "pil blend": pil_blend,
            "cv2 blend": cv2_blend,
            "cv2 arrays": cv2_arrays,
            "to array": lambda: np.asarray(image),
            "from array": lambda: Image.fromarray(pixels),
        },
        rounds,
    )


def _display(rounds: int) -> Row:
    from handlerkit import view
    from handlerkit.messages import Exchange, Request, Response, Run

    sent, answered = io.BytesIO(), io.BytesIO()
    photograph().save(sent, "JPEG", quality=90)
    import numpy as np
    from PIL import Image

    Image.fromarray(class_map()).save(answered, "PNG")
    request = Request(body=sent.getvalue(), headers=(("Content-Type", "image/jpeg"),))
    response = Response(200, "", (("content-type", "image/png"),), answered.getvalue())
    run = Run((Exchange(request, response),), model="segmenter", labels={str(i): f"class {i}" for i in range(21)})
    shown = view(run)
    if "class map 1920x1080" not in shown.text or "<img" not in shown.html:
        raise AssertionError(f"the answer was not drawn as a class map: {shown.text}")

    def decode() -> None:
        np.asarray(Image.open(io.BytesIO(sent.getvalue())).convert("RGB"))

    taken = alternate({"ours": lambda: view(run), "decode": decode}, rounds)
    seconds = taken["ours"]
    return Row(
        "the static display of a segmentation's Run, beside decoding its photograph", seconds * 1e3,
        taken["decode"] * 1e3, "ms", seconds / taken["decode"], "at most 30 ms", seconds <= 0.030,
    )  # fmt: skip


def _pictures(rounds: int) -> list[Row]:
    from PIL import Image

    from handlerkit import view
    from handlerkit.messages import Exchange, Request, Response, Run

    rows = []
    for kind in ("PNG", "JPEG"):
        file = io.BytesIO()
        photograph().save(file, kind)
        data = file.getvalue()
        response = Response(200, "", (("content-type", f"image/{kind.lower()}"),), data)
        run = Run((Exchange(Request(body=data), response),), model="upscaler")
        if f"image 1920x1080 {kind}" not in view(run).text:
            raise AssertionError("the answer was not drawn as a picture")
        ways = {"ours": lambda run=run: view(run), "decode": lambda data=data: Image.open(io.BytesIO(data)).load()}
        taken = alternate(ways, rounds)
        ours, decode = taken["ours"], taken["decode"]
        limit = 0.060 if kind == "PNG" else 2 * decode
        rows.append(
            Row(
                f"the static display of a {kind} answer, beside decoding it", ours * 1e3, decode * 1e3, "ms",
                ours / decode, "at most 60 ms" if kind == "PNG" else "less than twice", ours <= limit,
            )
        )  # fmt: skip
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--peers", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peers:
        print(json.dumps(peers(options.peers)))
        return 0
    rows = measure(options.quick)
    print(render(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
