"""Colors: of classes, of letters on a ground, of heat."""

from __future__ import annotations

import functools
import math
import zlib

Color = tuple[int, int, int]

#: Okabe and Ito's colors that color-blind readers tell apart (https://jfly.uni-koeln.de/color/), without black.
_OKABE_ITO: tuple[Color, ...] = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (240, 228, 66),
)  # fmt: skip
_NAMED = 32  # names without an index share the first colors: further ones are hard to tell apart
#: Matplotlib's "inferno" at nine even steps (CC0): its lightness only grows, so every eye sees the same order.
_INFERNO: tuple[Color, ...] = (
    (0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51), (249, 140, 10),
    (249, 201, 50), (252, 255, 164),
)  # fmt: skip


def color(of: int | str) -> Color:
    """A class's color, by its index or else its name alone: the same in every picture."""
    if isinstance(of, str):
        of = int(of) if of.isdecimal() and len(of) < 9 else zlib.crc32(of.encode()) % _NAMED
    return palette()[of % 256]


def text_color(ground: Color) -> Color:
    """Black or white, whichever contrasts more with that ground (WCAG 2.2, relative luminance)."""
    red, green, blue = (
        value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in ground
    )
    return (0, 0, 0) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else (255, 255, 255)


@functools.cache
def palette() -> tuple[Color, ...]:
    """256 colors: Okabe and Ito's, then hues a golden angle apart in OKLCH, in three steps of lightness."""
    more = [_oklch((0.72, 0.58, 0.84)[i % 3], 0.14, 30 + i * 137.508) for i in range(256 - len(_OKABE_ITO))]
    return (*_OKABE_ITO, *more)


@functools.cache
def heat_palette() -> tuple[Color, ...]:
    """256 colors from dark to bright, for values from low to high."""
    colors = []
    for i in range(256):
        step, share = divmod(i / 255 * (len(_INFERNO) - 1), 1)
        low, high = _INFERNO[int(step)], _INFERNO[min(int(step) + 1, len(_INFERNO) - 1)]
        red, green, blue = (round(a + share * (b - a)) for a, b in zip(low, high, strict=True))
        colors.append((red, green, blue))
    return tuple(colors)


def flat(colors: tuple[Color, ...]) -> list[int]:
    """The colors as PIL's putpalette takes them."""
    return [channel for color in colors for channel in color]


def _oklch(lightness: float, chroma: float, hue: float) -> Color:
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
