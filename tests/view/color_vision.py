"""How colors look to color-blind readers, and how far apart two of them are.

python tests/view/color_vision.py       chooses the colors of handlerkit/view/draw/palette.py, in some minutes
"""

from __future__ import annotations

import functools
from itertools import product

import numpy as np

#: Linear RGB as dichromats see it (Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation
#: of Color Vision Deficiency", doi:10.1109/TVCG.2009.113, table of severity 1.0).
MACHADO = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
VISIONS = {"all three cones": np.eye(3).tolist(), **MACHADO}
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


def lab(colors, vision: str = "all three cones") -> np.ndarray:
    """sRGB [N, 3] of 0 to 255 as CIELAB [N, 3], as seen with that vision."""
    share = np.asarray(colors, float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.array(VISIONS[vision]).T).clip(0, 1)
    xyz = seen @ _TO_XYZ.T / _WHITE
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def ciede2000(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """CIEDE2000 between CIELAB [N, 3] and [M, 3], [N, M] (Sharma, Wu and Dalal 2005, doi:10.1002/col.20070)."""
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(lab, -1, 0) for lab in (one[:, None], other[None, :]))
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1 + (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7))) / 2
    c1, c2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a * stretch)) % 360 for a, b in ((a1, b1), (a2, b2)))
    gray = c1 * c2 == 0
    turn = np.where(gray, 0, (h2 - h1 + 180) % 360 - 180)
    lightness, chroma, hue = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    far = np.abs(h1 - h2) > 180
    mean_h = np.where(gray, h1 + h2, (h1 + h2 + np.where(far, np.where(h1 + h2 < 360, 360, -360), 0)) / 2)
    weight = (
        1
        - 0.17 * _cos(mean_h - 30)
        + 0.24 * _cos(2 * mean_h)
        + 0.32 * _cos(3 * mean_h + 6)
        - 0.20 * _cos(4 * mean_h - 63)
    )
    scale_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    scale_c, scale_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * weight
    twist = (
        -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2))))
    )
    parts = lightness / scale_l, chroma / scale_c, hue / scale_h
    return np.sqrt(parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2 + twist * parts[1] * parts[2])


def _cos(degrees):
    return np.cos(np.radians(degrees))


def apart(colors, vision: str = "all three cones") -> np.ndarray:
    """CIEDE2000 of each pair, [N, N], infinite on the diagonal."""
    seen = lab(colors, vision)
    between = ciede2000(seen, seen)
    np.fill_diagonal(between, np.inf)
    return between


# --- the choice ------------------------------------------------------------------------------------------------------

OKABE_ITO = [(0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (240, 228, 66)]
_NEARLY = 0.8
_WEIGHTS = {"all three cones": 1 / 1.6}  # most readers have them, so that their distances are to be larger


def choose(count: int = 256, near: int = 20) -> list[tuple[int, ...]]:
    """The first `near` as far from each other as can be, by exchange; each that follows is nearly as far from the
    `near` - 1 before it as can be, and of those as far from all others as can be, for most readers."""
    steps = np.array(list(product(range(0, 256, 17), repeat=3)))
    seen = lab(steps)
    steps = steps[(seen[:, 0] > 20) & (seen[:, 0] < 95) & (np.hypot(seen[:, 1], seen[:, 2]) > 12)]

    @functools.cache
    def far(color: tuple[int, ...]) -> np.ndarray:
        """Its distance to each step, for the eyes that tell them apart worst."""
        between = [_WEIGHTS.get(v, 1) * ciede2000(lab([color], v), lab(steps, v))[0] for v in VISIONS]
        return np.min(between, axis=0)

    def farthest(colors: list[tuple[int, ...]]) -> tuple[int, ...]:
        return tuple(map(int, steps[np.min([far(color) for color in colors], axis=0).argmax()]))

    chosen = list(OKABE_ITO)
    while len(chosen) < near:
        chosen.append(farthest(chosen))
    for place in [*range(len(OKABE_ITO), near)] * 6:
        chosen[place] = farthest([*chosen[:place], *chosen[place + 1 :]])
    rest, chosen = chosen[len(OKABE_ITO) :], chosen[: len(OKABE_ITO)]
    while rest:
        best = max(rest, key=lambda one: min(_between(one, other) for other in chosen))
        chosen.append(best)
        rest.remove(best)
    while len(chosen) < count:
        neighbors = np.min([far(color) for color in chosen[1 - near :]], axis=0)
        others = np.min([ciede2000(lab([color]), lab(steps))[0] for color in chosen], axis=0)
        chosen.append(tuple(map(int, steps[np.where(neighbors >= _NEARLY * neighbors.max(), others, -1).argmax()])))
    return chosen


def _between(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    return min(_WEIGHTS.get(v, 1) * float(ciede2000(lab([one], v), lab([other], v))[0, 0]) for v in VISIONS)


if __name__ == "__main__":
    written = "".join(f"{channel:02x}" for color in choose() for channel in color)
    print("\n".join(f'    "{written[i : i + 96]}"' for i in range(0, len(written), 96)))
