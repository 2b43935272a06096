"""A value for each pixel, laid over a picture: classes, heat, and what changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from handlerkit.view.draw.canvas import rgb
from handlerkit.view.draw.labels import LabelPainter, line
from handlerkit.view.draw.palette import Color, color, diverging_palette, flat, heat_palette, palette

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from handlerkit.view.draw.canvas import ImageLike

#: Rows blended at a time: what lies between fits into the processor's cache, which halves the time of a large picture.
_ROWS = 32


def overlay(
    image: ImageLike,
    classes: npt.NDArray[Any],
    names: Mapping[int, str] | None = None,
    opacity: float = 0.5,
    *,
    background: int | None = 0,
) -> Image.Image:
    """A class map laid over an image, each class in its index's color.

    Args:
        classes: int or bool [H, W], class indexes; stretched to the image's size, without blending, if it differs.
        names: class index to name; drawn as a legend in the corner.
        opacity: 0 shows the image alone, 1 the map alone.
        background: the class that leaves the image as it is; None for no such class.
    """
    import numpy as np
    from PIL import Image

    ground = rgb(image)
    indexes = palette_indexes(classes)
    layer = Image.fromarray(indexes)
    if layer.size != ground.size:
        layer = layer.resize(ground.size, Image.Resampling.NEAREST)
    layer.putpalette(flat(palette()))
    opacity = min(1.0, max(0.0, opacity))
    if background is None:
        canvas = Image.blend(ground, layer.convert("RGB"), opacity)
    else:
        canvas = ground.copy()
        painted = [255 * (i != background) for i in range(256)]
        for top in range(0, canvas.height, _ROWS):
            box = (0, top, canvas.width, min(canvas.height, top + _ROWS))
            strip = layer.crop(box)
            canvas.paste(Image.blend(ground.crop(box), strip.convert("RGB"), opacity), box, strip.point(painted, "1"))
    if names:
        labels, top = LabelPainter(canvas), 4
        for index in (index for index in np.unique(indexes).tolist() if index in names and index != background):
            top += labels.height
            labels.add(line(names[index]), (4, top, 4, top), color(index))
            top += 4
    return canvas


def heat(image: ImageLike, values: npt.NDArray[Any], opacity: float = 0.8) -> Image.Image:
    """Values from 0 to 1, or from -1 to 1, laid over the image in gray: nothing at 0, dark red to bright yellow towards
    1; if some are below 0, blue towards -1 and orange towards 1.

    Args:
        values: float [H, W]; stretched to the image's size, with blending, if it differs. Such as are not finite
            count as 0.
        opacity: of the values 1 and -1; others are as much weaker.
    """
    import numpy as np
    from PIL import Image

    finite = np.nan_to_num(np.asarray(values, np.float32), posinf=1, neginf=-1).clip(-1, 1)
    signed = bool((finite < 0).any())
    levels = (finite * 127.5 + 127.5 if signed else finite * 255).round().astype(np.uint8)
    ground = rgb(image)
    layer = Image.fromarray(np.ascontiguousarray(levels))
    if layer.size != ground.size:
        layer = layer.resize(ground.size, Image.Resampling.BILINEAR)
    canvas = ground.convert("L").convert("RGB")
    alpha = layer.point([round(min(1.0, max(0.0, opacity)) * one) for one in heat_alpha(signed)])
    layer.putpalette(flat(diverging_palette() if signed else heat_palette()))
    canvas.paste(layer.convert("RGB"), mask=alpha)
    return canvas


def heat_alpha(signed: bool) -> list[int]:
    """The opacity of each level of a heat map, 0 to 255: it grows with the distance from 0."""
    sizes = ((abs(i - 127.5) - 0.5) / 127 if signed else i / 255 for i in range(256))
    return [round(255 * size**0.5) for size in sizes]


def highlight(image: ImageLike, where: npt.NDArray[np.bool_], color: Color = (213, 94, 0)) -> Image.Image:
    """The image pale and gray, except for the pixels of the bool [H, W] `where`, which have the color."""
    import numpy as np
    from PIL import Image

    gray = rgb(image).convert("L")
    canvas = gray.point([178 + i * 77 // 255 for i in range(256)]).convert("RGB")
    mask = Image.fromarray(np.asarray(where, bool))
    if mask.size != canvas.size:
        # a single pixel stays visible in a picture that is smaller
        mask = mask.convert("L").resize(canvas.size, Image.Resampling.BOX).point([255 * (i > 0) for i in range(256)])
    canvas.paste(color, (0, 0), mask)
    return canvas


def palette_indexes(classes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Class indexes as the palette's: it holds 256 colors, so higher classes share them, but never become class 0."""
    import numpy as np

    indexes = np.asarray(classes)
    if indexes.dtype != np.uint8:
        indexes = np.where(indexes > 255, indexes % 255 + 1, indexes.clip(0)).astype(np.uint8)
    return np.ascontiguousarray(indexes)
