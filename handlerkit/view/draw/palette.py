"""Colors: of classes, of letters on a ground, of heat."""

from __future__ import annotations

import functools

Color = tuple[int, int, int]

#: 256 colors, Okabe and Ito's seven first (https://jfly.uni-koeln.de/color/), for readers of three cones and of two
#: (tests/view/color_vision.py chooses them). Each twenty neighbors are told apart by everyone: CIEDE2000 of 10 and more
#: among the first twenty, of 7.8 and more further on.
_COLORS = bytes.fromhex(
    "0072b2e69f00009e73cc79a756b4e9d55e00f0e442333311bbeedd775544771144ddddff6655778877ff0033774400ee"
    "99bb77ccaaaa33ffaabb2211bb11aa0055559988666688889999bbff8822ddff55770011ff88ff556644778833bbddee"
    "bb44552266ff552277ee1188ff222222ccbbffeeccccbb77553333224455bb88772277777777aaff889988ff55773300"
    "99aaff00aabb119922ffccee777755cc44ff7744bbaabb11776600006633ddeebbffbb88443322333355779977995577"
    "ff336688ccaa221199ff55aaccaaff7799ccaa880055ffffffdddd4444002255aaaa00ff557700aa0044ddee00bbffaa"
    "224433553355ff997744885577667700cc224400889966aa99bbbbff44ffaa889933ddffbbccaa5522005555995544ff"
    "996611665533884455ffdd88779900dd6677443344005544dd997799dd006600660088aa446677bb88ff66aa99ccbbdd"
    "66ffdd667755cc00888855ff662211ffbbbb885522eeee999999009977770033dd66445500cc88ee7766dd22447788aa"
    "006677cc88dd442255bbcceeaaffff77aaaa8811999955cc770022ffcc00994411eeeeccff99cc448877bb7700ccee88"
    "99aa88aa9955776655bb55992244449988cc44556699ccffffddee44bbbb6611aa6666cc55330077bb00883333aaffcc"
    "bb55336688770088ffeebb77ff5588ffee00bb8855884488007755aaccbb223344eeaaffaa77aa77bbcc0000cc3355dd"
    "443300bbaa00aa223399ffeedd3300bb44776688ff88dd77dd9999ffddbb669955664488446655bbff00662233bbbbff"
    "88779988aabb003355ee22cc334411aaaa337700dd00ffee776633aa66770088cc33dd77bb9988ffbbcc778855992288"
    "226655ffeebb552233ccbbff99ff00448800ff77aa667799004411ddaa006622ffaaeeff775500ff2244cc66ddbbcc77"
    "bbaa88eeccbb997766444477446666009988882244bbaadd9933aa777711cc99aacc6688552211ff99002244eebbeeee"
    "445500dd5544aa66ff33ff77aaaa77ffccbb9955553322776666886688bb00444400bbddaa0066229955227700bb8888"
)
#: Matplotlib's "inferno" at nine even steps (CC0): its lightness only grows, so every eye sees the same order.
_INFERNO: tuple[Color, ...] = (
    (0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51), (249, 140, 10),
    (249, 201, 50), (252, 255, 164),
)  # fmt: skip


#: Ends that every eye tells apart, of Okabe and Ito's colors.
_BELOW, _NEUTRAL, _ABOVE = (0, 114, 178), (247, 247, 247), (213, 94, 0)


def color(of: int) -> Color:
    """The color of a class's index, or of its place in the order of appearance: the same in every picture."""
    return palette()[of % 256]


def text_color(ground: Color) -> Color:
    """Black or white, whichever contrasts more with that ground (WCAG 2.2, relative luminance)."""
    red, green, blue = (
        value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in ground
    )
    return (0, 0, 0) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else (255, 255, 255)


@functools.cache
def palette() -> tuple[Color, ...]:
    """256 colors."""
    return tuple((_COLORS[i], _COLORS[i + 1], _COLORS[i + 2]) for i in range(0, len(_COLORS), 3))


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


@functools.cache
def diverging_palette() -> tuple[Color, ...]:
    """256 colors for values from -1 to 1: blue below 0, orange above, near white at 0, as far from white as the value
    is from 0."""
    colors = []
    for i in range(256):
        share = min(1.0, abs(i - 127.5) / 127.5)
        end = _BELOW if i < 127.5 else _ABOVE
        red, green, blue = (
            round(white + share * (channel - white)) for white, channel in zip(_NEUTRAL, end, strict=True)
        )
        colors.append((red, green, blue))
    return tuple(colors)


def flat(colors: tuple[Color, ...]) -> list[int]:
    """The colors as PIL's putpalette takes them."""
    return [channel for color in colors for channel in color]
