"""Colors: of classes, of letters on a ground, of heat."""

from __future__ import annotations

import functools

Color = tuple[int, int, int]

#: 256 colors: Okabe and Ito's seven (https://jfly.uni-koeln.de/color/), then each one as far as can be from all before
#: it, for readers of three cones and of two (tests/view/color_vision.py chooses them). The first twenty are told apart
#: by everyone: CIEDE2000 of 10 and more.
_COLORS = bytes.fromhex(
    "0072b2e69f00009e73cc79a756b4e9d55e00f0e442333311bbeedd775544771144ddddff6655778877ff0033774400ee"
    "99bb77ccaaaa33ffaabb2211cc00995577669977551155554455ffeeaacc999955880022556622eecc77aa77ccff5588"
    "88667755ddddaaccff7700aa669988bbbb99554433aa006644cc44bb11dd442255ff77dd7788229999bbccff88aaffcc"
    "330099aa556688bbbb118844224455cc5599cc99aa33775588ddbb553333dd8822dd99ff885599773388114400aaffff"
    "5522339988bb995533773344aa66884455bbff1144aa8877aa55ccaa88ff66aa880033cc774466555533bb7766336655"
    "ddff00ccbb66ffddaaee889999ccbb7777aa336688bbcc9977dd3377444477ee88cc55eedd006699aa553344220000cc"
    "88aa996688996644779966229944884433ff664455998844aa6644558877665500ffcccc881166dd99cc88ff66ffddee"
    "7799aa88bb88bb99dd885566aa88999922ccaaccaa33eedd443344aabbee772200eebbcc77aa66bbdd55dd22aa660088"
    "99ddaacc88cc55116677773388cc8888aabb4477775599668877bbaaddee005522ddaa4499aa77aa4455cc88448877dd"
    "66bb99ddddbb77ccdd77ffee66bb66991122ff22ddbbccee666600dd66999911aabbffbb99cc77bb11aabb77880044bb"
    "cc77eebbdd9999bb22dd44552277cc8800ee442299aa2244ffbb00ee663399ffdd224477ee8866229933770011bbddcc"
    "554466ffee774499bbeeee9966bbffaa442233ff33dd11ccaa771144ccaa6622dd44885577dd8899dd66887766bb4400"
    "9977779933ee11557744aa0022aa559922337711880011aa443399ee1177556699ff55aa2288bb88eebb66aa449955bb"
    "dd2288eeccee88339900ee779988dd8866881122bb6655dd88eeffaaaacc443322557799ee66ff99ddff880033aacc55"
    "ee88ee8855ffee55ccbb55337777ee117733993388bbbbffbb88003355440022ddaa9977ddccaa3355aa33aabb00aa99"
    "6666aa33999955117744008899eecc00bb552288dd771166aaaa44bbbb55661133662255cc9977bbff550055ccdd33dd"
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
