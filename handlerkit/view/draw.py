"""Arrays to pictures: boxes, class maps, bars, cut-outs. numpy and PIL only.

Every function takes an image as PIL.Image or as an array (uint8, uint16, bool, or float from 0 to 1; [H, W], [H, W, 1],
[H, W, 3] or [H, W, 4]), leaves it as it is, and returns a new RGB PIL.Image. Odd data is drawn as far as it goes: what
cannot be drawn is left out and counted in the picture's `info["skipped"]`.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image, ImageDraw, ImageFont

    ImageLike = Image.Image | npt.NDArray[Any]

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

#: Okabe and Ito's colours that colour-blind readers tell apart (https://jfly.uni-koeln.de/color/), without black.
_OKABE_ITO: tuple[Colour, ...] = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (240, 228, 66),
)  # fmt: skip
_NAMED = 32  # names without an index share the first colours: further ones are hard to tell apart
_LABELLED = 100  # boxes that get a label; more would hide the picture


def colour(of: int | str) -> Colour:
    """A class's colour, by its index or else its name alone: the same in every picture."""
    if isinstance(of, str):
        of = int(of) if of.isdecimal() and len(of) < 9 else zlib.crc32(of.encode()) % _NAMED
    return _palette()[of % 256]


def boxes(
    image: ImageLike,
    boxes: npt.ArrayLike,
    labels: Sequence[str] | None = None,
    scores: npt.ArrayLike | None = None,
    *,
    colours: Sequence[Colour] | None = None,
    width: int | None = None,
    font_size: int | None = None,
) -> Image.Image:
    """Boxes with their label and score, the largest first so that small ones stay visible.

    Args:
        boxes: float [N, 4], (x1, y1, x2, y2) in pixels, x2 and y2 exclusive.
        labels: N names. scores: float [N].
        colours: N colours; by default each label's own.
        width, font_size: of the lines and the letters in pixels; by default they follow the picture's size.

    Boxes that lie outside, and those with a coordinate or score that is not finite, are skipped.
    """
    import numpy as np
    from PIL import ImageDraw

    canvas = rgb(image).copy()
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    shown = np.isfinite(corners).all(axis=1)
    marks = np.full(len(corners), np.nan) if scores is None else np.resize(np.asarray(scores, np.float64), len(corners))
    if scores is not None:
        shown &= np.isfinite(marks)
    side = min(canvas.size)
    width = width or max(2, round(side / 300))
    x1, x2 = np.sort(np.nan_to_num(corners[:, 0::2]), axis=1).clip(-2 * width, canvas.width + 2 * width).T
    y1, y2 = np.sort(np.nan_to_num(corners[:, 1::2]), axis=1).clip(-2 * width, canvas.height + 2 * width).T
    shown &= (x2 > 0) & (y2 > 0) & (x1 < canvas.width) & (y1 < canvas.height)
    order = [i for i in np.argsort((x1 - x2) * (y2 - y1), kind="stable").tolist() if shown[i]]
    places = np.stack([x1, y1, np.maximum(x1, x2 - 1), np.maximum(y1, y2 - 1)], axis=1).round().astype(int).tolist()

    names = [str(labels[i]) if labels is not None and i < len(labels) else "" for i in range(len(corners))]
    inks = [colours[i] if colours is not None and i < len(colours) else colour(names[i]) for i in range(len(corners))]
    draw = ImageDraw.Draw(canvas)
    for i in order:
        draw.rectangle(places[i], outline=inks[i], width=width)
    font = _font(font_size or max(11, min(30, round(side / 40))))
    taken: list[Box] = []
    # the best first, since a label that finds no free place is left out
    for i in sorted(order, key=lambda i: -marks[i] if scores is not None else 0)[:_LABELLED]:
        if text := _line(f"{names[i]} {marks[i]:.2f}" if scores is not None else names[i]):
            _label(draw, font, text, places[i], inks[i], taken, canvas.size)
    canvas.info["skipped"] = len(corners) - len(order)
    return canvas


def overlay(
    image: ImageLike,
    classes: npt.NDArray[Any],
    names: Mapping[int, str] | None = None,
    opacity: float = 0.5,
    *,
    background: int | None = 0,
) -> Image.Image:
    """A class map laid over an image, each class in its index's colour.

    Args:
        classes: int or bool [H, W], class indexes; stretched to the image's size, without blending, where it differs.
        names: class index to name; drawn as a legend in the corner.
        opacity: 0 shows the image alone, 1 the map alone.
        background: the class that leaves the image as it is; None for no such class.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    photograph = rgb(image)
    indexes = np.asarray(classes)
    if indexes.dtype != np.uint8:
        # a palette holds 256 colours: higher classes share them, but never become the background
        indexes = np.where(indexes > 255, indexes % 255 + 1, indexes.clip(0)).astype(np.uint8)
    layer = Image.fromarray(np.ascontiguousarray(indexes))
    if layer.size != photograph.size:
        layer = layer.resize(photograph.size, Image.Resampling.NEAREST)
    # blending all of it and putting the background back is twice as fast as blending through a mask
    untouched = None if background is None else layer.point([255 * (i == background) for i in range(256)], "1")
    layer.putpalette([channel for entry in _palette() for channel in entry])
    canvas = Image.blend(photograph, layer.convert("RGB"), min(1.0, max(0.0, opacity)))
    if untouched is not None:
        canvas.paste(photograph, mask=untouched)
    if names:
        draw, font = ImageDraw.Draw(canvas), _font(max(11, min(30, round(min(canvas.size) / 40))))
        taken: list[Box] = []
        line, top = sum(font.getmetrics()) + 4, 4
        for index in (index for index in np.unique(indexes).tolist() if index in names and index != background):
            _label(draw, font, _line(names[index]), (4, top + line, 4, top + line), colour(index), taken, canvas.size)
            top += line + 2
    return canvas


def bars(names: Sequence[str], values: Sequence[float], *, width: int = 480) -> Image.Image:
    """Horizontal bars, one a name; the longest reaches the end, or 1 does where every value lies from 0 to 1.

    Negative values and such as are not finite get no bar and are counted.
    """
    from PIL import Image, ImageDraw

    font = _font(14)
    line = sum(font.getmetrics()) + 8
    pairs = [(_line(name), float(value)) for name, value in zip(names, values, strict=False)]
    drawn = [value for _, value in pairs if math.isfinite(value) and value >= 0]
    share = all(value <= 1 for value in drawn)
    end = 1.0 if share else max(drawn)
    left = min(width // 2, round(max((font.getlength(name) for name, _ in pairs), default=0)) + 14)
    room = max(1, width - left - 60)
    picture = Image.new("RGB", (width, max(1, line * len(pairs))), "white")
    draw = ImageDraw.Draw(picture)
    for row, (name, value) in enumerate(pairs):
        top = row * line
        draw.text((6, top + 4), name, fill=(34, 34, 34), font=font)
        draw.rectangle((left, top + 3, width, top + line), fill="white")  # cuts a name that is too long
        good = math.isfinite(value) and value >= 0
        length = round(room * value / end) if good else 0
        if length:
            draw.rectangle((left, top + 5, left + length - 1, top + line - 6), fill=_palette()[0])
        text = f"{100 * value:.1f} %" if share and good else f"{value:.4g}"
        draw.text((left + length + 6, top + 4), text, fill=(34, 34, 34), font=font)
    picture.info["skipped"] = len(pairs) - len(drawn)
    return picture


def checkerboard(rgba: ImageLike, *, square: int = 8) -> Image.Image:
    """A cut-out on a board of light grey squares of that many pixels, which shows where it is transparent."""
    import numpy as np
    from PIL import Image

    picture = _open(rgba).convert("RGBA")
    rows, columns = np.arange(picture.height) // square, np.arange(picture.width) // square
    board = np.where((rows[:, None] + columns[None, :]) % 2, 255, 216).astype(np.uint8)
    canvas = Image.fromarray(board).convert("RGB")
    canvas.paste(picture, mask=picture.getchannel("A"))
    return canvas


def fit(image: ImageLike, max_width: int = 1600, max_height: int = 1600) -> Image.Image:
    """The image, made smaller where it is wider or higher than that; its proportions and mode stay."""
    from PIL import Image

    picture = _open(image)
    scale = min(1.0, max_width / picture.width, max_height / picture.height)
    if scale == 1:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    # blending would make up colours that an indexed picture's palette lacks
    method = Image.Resampling.NEAREST if picture.mode in ("1", "P") else Image.Resampling.LANCZOS
    return picture.resize(size, method, reducing_gap=2)


def rgb(image: ImageLike) -> Image.Image:
    """The image in RGB: 16 bits scaled to 8, transparency on white. Orientation tags are left to the caller."""
    from PIL import Image

    picture = _open(image)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _open(image: ImageLike) -> Image.Image:
    """An array as a PIL image of 8 bits; a PIL image of 16 or 32 bits scaled to 8."""
    import numpy as np
    from PIL import Image

    if isinstance(image, Image.Image):
        if not image.mode.startswith(("I", "F")):
            return image
        image = np.asarray(image)
        if image.dtype.kind == "i":  # PIL opens 16-bit pictures as int32, too
            image = image.clip(0, 65535).astype(np.uint16)
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise ValueError(f"an image is [H, W], [H, W, 3] or [H, W, 4], not {list(pixels.shape)}")
    if pixels.dtype.kind == "f":
        top = 255 if np.nanmax(pixels) <= 1 else 1
        pixels = (np.nan_to_num(pixels) * top).round().clip(0, 255)
    elif pixels.dtype == np.uint16:
        pixels = pixels >> 8
    elif pixels.dtype == bool:
        pixels = pixels * 255
    return Image.fromarray(np.ascontiguousarray(pixels.clip(0, 255).astype(np.uint8)))


def text_colour(ground: Colour) -> Colour:
    """Black or white, whichever contrasts more with that ground (WCAG 2.2, relative luminance)."""
    red, green, blue = (
        value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in ground
    )
    return (0, 0, 0) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else (255, 255, 255)


def _label(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont,
    text: str,
    box: Sequence[int],
    ink: Colour,
    taken: list[Box],
    size: tuple[int, int],
) -> None:
    """Draw a filled label above the box, else inside it, below it, or at its lower edge: where nothing is taken yet."""
    wide, high = round(font.getlength(text)) + 6, sum(font.getmetrics()) + 2
    x = max(0, min(box[0], size[0] - wide))
    for y in (box[1] - high, box[1], box[3] + 1, box[3] + 1 - high):
        y = max(0, min(y, size[1] - high))
        place = (x, y, x + wide, y + high)
        if all(x >= right or place[2] <= left or y >= low or place[3] <= top for left, top, right, low in taken):
            taken.append(place)
            draw.rectangle((x, y, x + wide - 1, y + high - 1), fill=ink)
            draw.text((x + 3, y + 1), text, fill=text_colour(ink), font=font)
            return


def _line(text: str) -> str:
    """At most 40 letters on one line."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())
    return text if len(text) <= 40 else text[:39] + "…"


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)  # type: ignore[return-value]  # a bitmap only where PIL lacks FreeType


@functools.cache
def _palette() -> tuple[Colour, ...]:
    """256 colours: Okabe and Ito's, then hues a golden angle apart in OKLCH, in three steps of lightness."""
    more = [_oklch((0.72, 0.58, 0.84)[i % 3], 0.14, 30 + i * 137.508) for i in range(256 - len(_OKABE_ITO))]
    return (*_OKABE_ITO, *more)


def _oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """OKLCH to sRGB (https://bottosson.github.io/posts/oklab/), clipped."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    red, green, blue = (
        round(255 * (12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055))
        for v in (min(1.0, max(0.0, value)) for value in linear)
    )
    return red, green, blue
