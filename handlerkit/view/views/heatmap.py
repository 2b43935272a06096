"""How much each pixel counted: what a vision handler answers to /explanations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handlerkit.view import draw
from handlerkit.view.contents.changes import Changes, highlighted, written_size
from handlerkit.view.contents.drawings import Drawing, under
from handlerkit.view.contents.marks import Marks, levels, lut, packed, region_of
from handlerkit.view.decode.arrays import table
from handlerkit.view.decode.placing import place_map
from handlerkit.view.decode.response import DecodedResponse, Placed
from handlerkit.view.decode.source import Source
from handlerkit.view.draw.maps import heat_alpha
from handlerkit.view.draw.palette import diverging_palette, heat_palette
from handlerkit.view.html import elements
from handlerkit.view.views.spec import ViewSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


_LEAST = 16  # rows and columns of a map of the input image: fewer are too often something else


@dataclass(frozen=True, eq=False)
class HeatMap:
    """How much each pixel counted.

    Attributes:
        values: float32 [H, W] from 0 to 1, or from -1 to 1 if some counted against.
        said: what the numbers were: "values 0 to 3.1".
        top: the number that 1 stands for.
    """

    values: npt.NDArray[np.float32]
    said: str
    top: float = 1.0

    @property
    def signed(self) -> bool:
        """Whether both signs occur."""
        return bool((self.values < 0).any())

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        height, width = self.values.shape
        return width, height


def _read(source: Source) -> HeatMap | None:
    """Attributions, [C][H][W] or [H][W], and what has one number for each place of the input image, such as depth."""
    return _asked(source) if source.is_explanation else _of_image(source)


def _of_image(source: Source) -> HeatMap | None:
    """A table of fractions, alone or the only one of an object's values, that has the input image's shape."""
    value = source.array if source.array is not None else source.json
    found = {"": value}
    if isinstance(value, dict):
        found = {name: one for name, one in value.items() if isinstance(one, list)}
    if len(found) != 1 or source.input_image is None or (numbers := table(*found.values())) is None:
        return None
    height, width = numbers.shape[-2:]
    image_width, image_height = source.input_image.size
    alike = abs(height * image_width - width * image_height) < max(image_width, image_height)
    if numbers.dtype.kind != "f" or not alike or numbers.size != height * width or min(height, width) < _LEAST:
        return None
    return _heat(numbers, *found)


def _asked(source: Source) -> HeatMap | None:
    """Any table of numbers."""
    found = table(source.array if source.array is not None else source.json)
    return None if found is None else _heat(found)


def _heat(found: npt.NDArray[Any], name: str = "") -> HeatMap:
    """Numbers as a heat map: their channels added up, with their signs if both occur, as captum shows attributions
    (visualize_image_attr, "all" and "absolute_value"); the strongest hundredth counts as 1."""
    import numpy as np

    numbers = np.nan_to_num(found.astype(np.float64), posinf=0, neginf=0).reshape(-1, *found.shape[-2:])
    signed = np.min(numbers) < 0 < np.max(numbers)
    values = (numbers if signed else np.abs(numbers)).sum(axis=0)
    top = float(np.percentile(np.abs(values), 99)) or float(np.abs(values).max())
    said = f"{name or 'values'} {np.nanmin(found):.3g} to {np.nanmax(found):.3g}"
    return HeatMap((values / top if top else values).clip(-1, 1).astype(np.float32), said, top or 1.0)


def _place(content: HeatMap, source: Source) -> Placed:
    return Placed(content, *place_map(source, content.size, like_default_handler=True))


def _draw(content: HeatMap, answer: DecodedResponse) -> Drawing:
    import numpy as np
    from PIL import Image

    width, height = content.size
    fact = f"heat map {width}x{height}, {content.said}"
    row, column = np.unravel_index(int(np.argmax(np.abs(content.values))), content.values.shape)
    shades = levels(content.values)
    if answer.input_image is None or answer.region is None:
        grown = max(1, 320 // max(width, height))
        blank = Image.new("RGB", (width * grown, height * grown))
        alone = draw.heat(blank, content.values, 1)
        return Drawing((f"{fact}, strongest at ({column},{row})",), image=alone, html=_scale(content))
    ground, layer = under(shades, answer.input_image, answer.region, Image.Resampling.BILINEAR, 128 * content.signed)
    x1, y1, x2, y2 = answer.region
    x, y = x1 + (column + 0.5) * (x2 - x1) / width, y1 + (row + 0.5) * (y2 - y1) / height
    heat = draw.heat(ground, _values(layer, content.signed))
    return Drawing((f"{fact}, strongest at ({x:.0f},{y:.0f})",), image=heat, html=_scale(content))


def _values(shades: npt.NDArray[np.uint8], signed: bool) -> npt.NDArray[np.float32]:
    """Levels as the values that they stand for."""
    import numpy as np

    found: npt.NDArray[np.float32] = np.asarray(shades, np.float32) / (127.5 if signed else 255) - signed
    return found


def _scale(content: HeatMap) -> str:
    """What the colors stand for."""
    top = f"{content.top:.3g}"
    if content.signed:
        return elements.scale(diverging_palette(), (f"-{top}", "0", top), "against and for")
    return elements.scale(heat_palette(), ("0", top), "how much it counted")


def _changes(before: HeatMap, after: HeatMap, answer: DecodedResponse) -> Changes:
    import numpy as np

    if before.size != after.size:
        return Changes((f"the heat map was {written_size(before.size)}, is {written_size(after.size)}",))
    apart = np.abs(before.values - after.values)
    if not apart.any():
        return Changes()
    line = f"heat differs by {apart.mean():.2g} on average, by up to {apart.max():.2g}"
    return Changes((line,), highlighted(apart > 0.1, answer))


def _marks(content: HeatMap, answer: DecodedResponse) -> Marks:
    palette = diverging_palette() if content.signed else heat_palette()
    colors = [(*color, alpha) for color, alpha in zip(palette, heat_alpha(content.signed), strict=True)]
    region = region_of(answer, content.size)
    layer = {"map": packed(levels(content.values)), "region": region, "lut": lut(colors), "smooth": True}
    layer["ends"] = [-content.top if content.signed else 0.0, content.top]
    return Marks({"layers": [layer], "gray": True, "opacity": 0.8, "html": _scale(content)}, content.size)


HEAT_MAP = ViewSpec("heatmap", _read, HeatMap, _draw, asked=_asked, place=_place, changes=_changes, marks=_marks)
