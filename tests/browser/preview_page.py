"""What tests ask a preview on a page: its controls, and the pixels of its canvas; and answers to show there."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

Color = tuple[int, int, int]


def flat(color: tuple[int, int, int], width: int = 200, height: int = 100) -> bytes:
    """An input image of one color, as PNG, small enough to go over as one."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


def halves(width: int = 120, height: int = 100) -> Any:
    """A class map: 1 on the left, 2 on the right."""
    return np.where(np.arange(width) < width // 2, 1, 2) * np.ones((height, 1), int)


def near(one: Any, other: Any, by: int = 2) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


def score(value: float, box: tuple[int, ...] = (20, 40, 100, 90)) -> dict[str, Any]:
    return {"label": "cat", "box": list(box), "score": value}


class PreviewPage:
    """The preview on this page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.el = page.locator(".hk-preview")
        self.canvas = self.el.locator("canvas")

    @cached_property
    def _session(self) -> Any:
        return self.page.context.new_cdp_session(self.page)

    def settle(self, answer: int | None = None) -> None:
        """Wait until this answer, or any, is drawn."""
        wanted = f'data-answer="{answer}"' if answer else "data-answer"
        self.page.wait_for_selector(f".hk-preview[{wanted}]", timeout=60_000)
        self.frame()

    def slider(self, name: str) -> Any:
        return self.el.get_by_role("slider", name=name)

    def slide(self, name: str, value: float, steps: int = 10) -> None:
        """Drag a slider from where it is to a value, as a hand does."""
        slider = self.slider(name)
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        top = float(slider.get_attribute("max"))
        thumb = 16
        at = lambda share: box["x"] + thumb / 2 + share * (box["width"] - thumb)  # noqa: E731
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(at(float(slider.input_value()) / top), middle)
        self.page.mouse.down()
        self.page.mouse.move(at(value / top), middle, steps=steps)
        self.page.mouse.up()
        self.frame()

    def frame(self) -> None:
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def pixel(self, x: float, y: float) -> Color:
        """The canvas's pixel at these shares of its width and height."""
        red, green, blue, _ = self.canvas.evaluate(
            "(it, [x, y]) => [...it.getContext('2d').getImageData(x * it.width, y * it.height, 1, 1).data]", [x, y]
        )
        return red, green, blue

    def count(self, color: Color) -> int:
        """How many pixels of the canvas have exactly this color."""
        return int(
            self.canvas.evaluate(
                """(it, [r, g, b]) => {
                  const { data } = it.getContext('2d').getImageData(0, 0, it.width, it.height);
                  let n = 0;
                  for (let i = 0; i < data.length; i += 4) n += data[i] === r && data[i+1] === g && data[i+2] === b;
                  return n; }""",
                list(color),
            )
        )

    def hover(self, x: float, y: float) -> str:
        """What the tip says at these shares of the canvas's width and height."""
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        self.frame()
        return str(self.el.locator(".hk-tip").inner_text())

    def read(self) -> str:
        """What the line below the canvas says: the point that is read, or else what can be done."""
        return str(self.el.locator(".hk-read").inner_text())

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        """Fingers at these shares of the canvas's width and height: "touchStart", "touchMove" or "touchEnd"."""
        box = self.canvas.bounding_box()
        at = [
            {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "id": i}
            for i, (x, y) in enumerate(points)
        ]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
        self.frame()


Show = Callable[..., PreviewPage]
