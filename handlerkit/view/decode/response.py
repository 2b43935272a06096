"""One response as a view read it: the static pages, the comparison and the preview all draw this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handlerkit.predictions import Labels
from handlerkit.serving.torchserve_facts import LABELS
from handlerkit.view import draw
from handlerkit.view.decode.colors import ClassColors

if TYPE_CHECKING:
    from PIL import Image

    from handlerkit.view.decode.source import InputImage
    from handlerkit.view.views.spec import ViewSpec

Region = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in a response.

    Attributes:
        image: it, at least as large as it is drawn.
        said: what it is, such as "384x303 PNG".
        size: its own (width, height).
        file: what holds all of its pixels; b"" if `image` does.
    """

    image: Image.Image
    said: str
    size: tuple[int, int]
    file: bytes = b""


@dataclass(frozen=True, eq=False)
class Placed:
    """A content on the request's image.

    Attributes:
        content: what a view read; boxes in the input image's pixels if there is an input image.
        input_image: the picture in the request, or None.
        region: where a map's or mask's own pixels lie on the input image: (x1, y1, x2, y2) in its pixels; None if
            they have no place on one.
        notes: how it was placed, a line each, if that is not obvious.
    """

    content: Any
    input_image: InputImage | None = None
    region: Region | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class DecodedResponse(Placed):
    """One response, read.

    Attributes:
        notes: how it was placed and which views failed, a line each.
        view: the name of the view that read it.
        spec: the view that draws it, which is another one if several read the same type of content.
        body: the response's bytes.
        labels: index_to_name.json of the model, or None.
        colors: those of the classes in this display and in others that share it.
        labeled: whether names are written into the picture; they cannot be read in a small one.
    """

    view: str
    spec: ViewSpec
    body: bytes = b""
    labels: Labels = None
    colors: ClassColors = field(default_factory=ClassColors)
    labeled: bool = True

    def label(self, name: str) -> str | None:
        """The label that index_to_name.json holds for a class that the answer names by its index; None if there is
        none, or the answer's name is a label itself."""
        labels = self.labels or {}
        return None if name in labels.values() else labels.get(name)

    def named(self, name: str) -> str:
        """What a class is called in a display: `1 · dog in index_to_name.json` if the client got the index alone."""
        label = self.label(name)
        return name if label is None else f"{name} · {label} in {LABELS}"

    def short(self, name: str) -> str:
        """`1 · dog`, for where there is little room and the whole name is beside it."""
        label = self.label(name)
        return name if label is None else f"{name} · {label}"

    def color(self, name: str) -> draw.Color:
        """The color of a class by its name."""
        return self.colors.of(name, self.labels)
