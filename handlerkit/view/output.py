"""What a display consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handlerkit.formatting import visible

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class View:
    """A display: `text`, `html`, and the answer's picture (PIL) or None.

    Characters that would steer a terminal or turn the page's text are shown as their escapes.
    """

    text: str
    html: str
    image: Image.Image | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", visible(self.text))
        object.__setattr__(self, "html", visible(self.html))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": self.text, "text/html": self.html}
        wanted = set(include or bundle) - set(exclude or ())
        return {kind: data for kind, data in bundle.items() if kind in wanted}

    def __repr__(self) -> str:
        return self.text
