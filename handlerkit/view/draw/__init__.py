"""Arrays to pictures: boxes, masks, class maps, heat maps, bars, cut-outs.

- marks: boxes and instance masks. labels: their letters. maps: a value for each pixel. charts: numbers as bars.
- canvas: pictures of every kind as ones that can be drawn on. palette: colors.

Every function takes an image as PIL.Image or as an array (uint8, uint16, bool, or float from 0 to 1; [H, W], [H, W, 1],
[H, W, 3] or [H, W, 4]), leaves it as it is, and returns a new RGB PIL.Image. Odd data is drawn as far as it goes: what
cannot be drawn is left out and counted in the picture's `info["skipped"]`.

It imports numpy, PIL and formatting alone. Another way to draw is a function beside its like, named here.
"""

from handlerkit.view.draw.canvas import checkerboard, fit, is_transparent, rgb, shrink
from handlerkit.view.draw.charts import bars
from handlerkit.view.draw.maps import heat, highlight, overlay, palette_indexes
from handlerkit.view.draw.marks import boxes, mask_to_xyxy, masks
from handlerkit.view.draw.palette import Color, color, palette, text_color

__all__ = [
    "Color",
    "bars",
    "boxes",
    "checkerboard",
    "color",
    "fit",
    "heat",
    "highlight",
    "is_transparent",
    "mask_to_xyxy",
    "masks",
    "overlay",
    "palette",
    "palette_indexes",
    "rgb",
    "shrink",
    "text_color",
]
