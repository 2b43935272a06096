"""The coins photograph of scikit-image: its labels, its two parts, and pictures made from them.

Labels come from a classical watershed. The lower two rows of coins are for training, the upper two are held out, for
judging. Random numbers are torch's own, so torch.manual_seed makes the training pictures the same each time.
"""

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage import data, filters, segmentation, transform
from torch import Tensor
from torch.nn import functional as F

SPLIT_ROW = 150  # no coin lies across this row: twelve above (held out), twelve below (for training)
CROP = 128  # the side of a training picture, pixels

Grey = NDArray[np.float32]  # [H, W] in 0..1
Labels = NDArray[np.int32]  # [H, W]: 0 background, 1..n one number a coin
Batch = tuple[Tensor, Tensor]  # pictures float [N, 3, H, W] in 0..1, coins int64 [N, H, W] numbered as Labels


# ---- The photograph and its labels


def photograph() -> Grey:
    """The photograph of 24 Greek coins, [303, 384]."""
    grey: Grey = data.coins().astype(np.float32) / 255
    return grey


def save_photograph(path: str | Path) -> Path:
    """Writes the photograph as a grey 8-bit picture, 384 wide and 303 high, in the format of the path's suffix."""
    Image.fromarray(data.coins()).save(path)
    return Path(path)


def label_coins(grey: Grey) -> Labels:
    """Numbers the coins: a watershed on the gradient, grown from pixels that are surely dark or surely bright."""
    markers = np.zeros(grey.shape, np.int32)
    markers[grey < 30 / 255] = 1
    markers[grey > 150 / 255] = 2
    coins = segmentation.watershed(filters.sobel(grey), markers) == 2
    # The opening drops specks of dust, and whiskers at the rims.
    coins = ndimage.binary_opening(ndimage.binary_fill_holes(coins), iterations=3)
    labels: Labels = ndimage.label(coins)[0].astype(np.int32)
    return labels


def held_out() -> tuple[Grey, Labels]:
    """The part of the photograph for judging, with its labels."""
    grey = photograph()
    return grey[:SPLIT_ROW], label_coins(grey)[:SPLIT_ROW]


def boxes_of(labels: Labels) -> NDArray[np.float32]:
    """The coins' boxes, float [K, 4]: x1, y1, x2, y2 in pixels, x2 and y2 past the last pixel."""
    slices = [s for s in ndimage.find_objects(labels) if s is not None]
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in slices]
    return np.array(boxes, np.float32).reshape(-1, 4)


# ---- Training pictures: the lower half of the photograph in other shapes and lights


def smooth_noise(cells: int) -> Tensor:
    """Float [CROP, CROP] in 0..1: clouds of about CROP / cells pixels."""
    clouds: Tensor = F.interpolate(torch.rand(1, 1, cells, cells), (CROP, CROP), mode="bicubic")
    return clouds[0, 0].clamp(0, 1)


def slope() -> Tensor:
    """Float [CROP, CROP] in -1..1: light that falls off in one direction."""
    x, y = torch.meshgrid(torch.linspace(-1, 1, CROP), torch.linspace(-1, 1, CROP), indexing="xy")
    angle = uniform(0, 2 * math.pi)
    return (x * math.cos(angle) + y * math.sin(angle)) / 2**0.5


def uniform(low: float, high: float) -> float:
    return float(torch.rand(()) * (high - low) + low)


def chance(probability: float) -> bool:
    return uniform(0, 1) < probability


def blurred(grey: Tensor, sigma: float) -> Tensor:
    return torch.from_numpy(ndimage.gaussian_filter(grey.numpy(), sigma))


def other_surfaces(grey: Tensor, coins: Tensor) -> Tensor:
    """Other ground between the coins, with oblong things lying on it, and at times plain or cloudy coins."""
    ground = uniform(0, 0.7) + uniform(0, 0.3) * slope() + uniform(0, 0.15) * smooth_noise(8)
    for _ in range(int(uniform(0, 4))):
        (top, left), (height, width) = torch.randint(0, CROP, (2,)).tolist(), torch.randint(4, 48, (2,)).tolist()
        ground[top : top + height, left : left + width] = uniform(0, 1)
    if chance(0.4):
        grey = uniform(0.4, 1) + uniform(0, 0.2) * slope() + uniform(0, 0.4) * (smooth_noise(int(uniform(4, 40))) - 0.5)
    opacity = blurred((coins > 0).float(), uniform(0.4, 1.2))
    return opacity * grey + (1 - opacity) * ground


def other_light(grey: Tensor) -> Tensor:
    grey = grey.clamp(0, 1) ** uniform(0.6, 1.6)
    grey = grey * uniform(0.4, 1.3) + uniform(-0.15, 0.25) + uniform(0, 0.2) * slope()
    if chance(0.5):
        grey = blurred(grey, uniform(0.3, 1.2))
    if chance(0.5):
        grey = grey + uniform(0, 0.08) * torch.randn(CROP, CROP)
    if chance(0.1):
        grey = 1 - grey
    return grey.clamp(0, 1)


class TrainingPictures:
    """Draws batches of CROP x CROP pictures out of a photograph, from torch's own random numbers."""

    def __init__(self, grey: Grey, labels: Labels) -> None:
        height, width = grey.shape
        around = ((height, height), (width, width))  # mirrored on every side, so that a crop is never empty-handed
        labels = ndimage.label(np.pad(labels, around, mode="symmetric"))[0].astype(np.int32)
        self.areas = torch.from_numpy(np.bincount(labels.ravel()))  # pixels, by number
        self.layers = torch.from_numpy(np.stack([np.pad(grey, around, mode="symmetric"), labels]).astype(np.float32))
        self.height, self.width = height, width

    def draw(self, count: int) -> Batch:
        pictures, coins = zip(*(self.draw_one() for _ in range(count)), strict=True)
        return torch.stack(pictures)[:, None].expand(-1, 3, -1, -1), torch.stack(coins)

    def draw_one(self) -> Batch:
        zoom, angle = float(np.exp(uniform(np.log(0.5), np.log(1.9)))), uniform(0, 2 * np.pi)
        turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=torch.float32)
        stretch = torch.tensor([uniform(0.92, 1.08), uniform(0.92, 1.08) * (1 if chance(0.5) else -1)])
        size = torch.tensor([3 * self.width, 3 * self.height])
        centre = torch.tensor([uniform(-1, 1), uniform(-1, 1)]) / 3  # anywhere in the photograph itself
        affine = torch.cat([turn * stretch * CROP / zoom / size[:, None], centre[:, None]], dim=1)
        grid = F.affine_grid(affine[None], [1, 1, CROP, CROP], align_corners=False)
        grey = F.grid_sample(self.layers[None, :1], grid, mode="bilinear", align_corners=False)[0, 0]
        coins = F.grid_sample(self.layers[None, 1:], grid, mode="nearest", align_corners=False)[0, 0].long()
        if chance(0.06):
            coins = torch.zeros_like(coins)  # a picture of nothing, for the next line
            grey = other_surfaces(grey, coins)
        elif chance(0.45):
            grey = other_surfaces(grey, coins)
        if chance(0.4):
            beyond = (slope() > uniform(0, 0.9)) | (slope() > uniform(0.2, 1))  # a turned picture's filled corners
            shade = min(max(uniform(-0.5, 1.5), 0), 1)  # mostly black or white
            grey, coins = grey.masked_fill(beyond, shade), coins.masked_fill(beyond, 0)
        seen = torch.bincount(coins.flatten(), minlength=len(self.areas)) / (self.areas * zoom**2)
        return other_light(grey), torch.where(seen[coins] < 0.3, -coins, coins)  # less than 0.3 in sight: negative


# ---- Judging pictures: the held-out part, as others may send it


def variants() -> dict[str, tuple[Grey, Labels]]:
    """The held-out part in other shapes and lights, by what was done to it; the labels follow."""
    grey, labels = held_out()
    noise = np.random.default_rng(0).normal(0, 0.06, grey.shape).astype(np.float32)
    across = np.linspace(-0.25, 0.25, grey.shape[1], dtype=np.float32)
    pictures = {
        "as it is": (grey, labels),
        "darker": (grey * 0.5, labels),
        "brighter": ((grey + 0.3).clip(0, 1), labels),
        "less contrast": (grey * 0.4 + 0.3, labels),
        "gamma 1.6": (grey**1.6, labels),
        "noise 0.06": ((grey + noise).clip(0, 1), labels),
        "blur 1.5 px": (ndimage.gaussian_filter(grey, 1.5), labels),
        "light from the right": ((grey + across).clip(0, 1), labels),
        "upside down": (grey[::-1].copy(), labels[::-1].copy()),
        "quarter turn": (np.rot90(grey).copy(), np.rot90(labels).copy()),
    }
    exact = {"order": 0, "preserve_range": True}  # labels are numbers, not shades
    for scale in (0.7, 1.4):
        resized = transform.rescale(grey, scale, anti_aliasing=scale < 1)
        numbers = transform.rescale(labels, scale, anti_aliasing=False, **exact)
        pictures[f"scaled by {scale}"] = (resized.astype(np.float32), numbers.astype(np.int32))
    for angle in (20, -35):
        turned = transform.rotate(grey, angle, resize=True, cval=0.2)
        numbers = transform.rotate(labels, angle, resize=True, **exact)
        pictures[f"turned by {angle} degrees"] = (turned.astype(np.float32), numbers.astype(np.int32))
    return pictures
