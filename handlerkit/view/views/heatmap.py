"""How much each pixel counted: what a vision handler answers to /explanations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handlerkit.view import draw
from handlerkit.view.decode.arrays import table
from handlerkit.view.decode.placing import place_map
from handlerkit.view.decode.response import DecodedResponse, Placed
from handlerkit.view.decode.source import Source
from handlerkit.view.diff.changes import Changes, highlighted, written_size
from handlerkit.view.draw.palette import heat_palette
from handlerkit.view.drawings import Drawing, under
from handlerkit.view.preview.marks import Marks, levels, lut, packed, region_of
from handlerkit.view.views.spec import ViewSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class HeatMap:
    """How much each pixel counted. `values`: float32 [H, W] from 0 to 1; `said` tells what the numbers were."""

    values: npt.NDArray[np.float32]
    said: str

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        height, width = self.values.shape
        return width, height


def _read(source: Source) -> HeatMap | None:
    """Attributions, [C][H][W] or [H][W]."""
    return _asked(source) if source.is_explanation else None


def _asked(source: Source) -> HeatMap | None:
    """Any table of numbers as a heat map: the sizes of its channels' numbers added up, as captum shows attributions
    (visualize_image_attr, "absolute_value"); the strongest hundredth counts as 1."""
    import numpy as np

    found = table(source.array if source.array is not None else source.json)
    if found is None:
        return None
    values = np.nan_to_num(np.abs(found.astype(np.float64)).reshape(-1, *found.shape[-2:]).sum(axis=0))
    top = float(np.percentile(values, 99)) or float(values.max())
    said = f"{found.min():.3g} to {found.max():.3g}"
    return HeatMap((values / top if top else values).clip(0, 1).astype(np.float32), said)


def _place(content: HeatMap, source: Source) -> Placed:
    return Placed(content, *place_map(source, content.size, like_default_handler=True))


def _draw(content: HeatMap, answer: DecodedResponse) -> Drawing:
    import numpy as np
    from PIL import Image

    width, height = content.size
    fact = f"heat map {width}x{height}, values {content.said}"
    row, column = np.unravel_index(int(np.argmax(content.values)), content.values.shape)
    shades = (content.values * 255).astype(np.uint8)
    if answer.input_image is None or answer.region is None:
        grown = max(1, 320 // max(width, height))
        blank = Image.new("RGB", (width * grown, height * grown))
        return Drawing((f"{fact}, strongest at ({column},{row})",), image=draw.heat(blank, content.values, 1))
    ground, layer = under(shades, answer.input_image, answer.region, Image.Resampling.BILINEAR)
    x1, y1, x2, y2 = answer.region
    x, y = x1 + (column + 0.5) * (x2 - x1) / width, y1 + (row + 0.5) * (y2 - y1) / height
    return Drawing((f"{fact}, strongest at ({x:.0f},{y:.0f})",), image=draw.heat(ground, layer / 255))


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
    colors = [(*color, round(255 * (i / 255) ** 0.5)) for i, color in enumerate(heat_palette())]
    region = region_of(answer, content.size)
    layer = {"map": packed(levels(content.values)), "region": region, "lut": lut(colors), "smooth": True}
    return Marks({"layers": [layer], "gray": True, "opacity": 0.8}, content.size)


HEAT_MAP = ViewSpec("heatmap", _read, HeatMap, _draw, asked=_asked, place=_place, changes=_changes, marks=_marks)
