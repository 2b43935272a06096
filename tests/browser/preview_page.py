"""What tests ask a preview on a page: its controls, and the pixels of its canvas."""

from __future__ import annotations

from typing import Any

Color = tuple[int, int, int]


class PreviewPage:
    """The preview on this page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.el = page.locator(".hk-preview")
        self.canvas = self.el.locator("canvas")

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
