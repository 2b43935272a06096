"""Pictures in the sizes that models see."""

from __future__ import annotations

from typing import Any

from PIL import Image
from torch import Tensor
from torch.nn import functional as F


def resized(image: Image.Image, size: Any) -> Image.Image:
    """The image in a size: None as it is, (height, width), or the shorter side in pixels."""
    if size is None:
        return image
    if isinstance(size, int):
        scale = size / min(image.size)
        width, height = (min(round(side * scale), 4 * size) for side in image.size)  # a very long one is squeezed
    else:
        height, width = size
    return scaled(image, (width, height))


Box = tuple[float, float, float, float]  # left, top, right, bottom


def scaled(
    image: Image.Image,
    size: tuple[int, int],
    resample: Image.Resampling = Image.Resampling.BILINEAR,
    box: Box | None = None,
) -> Image.Image:
    """The image, or what a box holds of it, in a size (width, height).

    Across first and then down: Pillow's releases begin with one or the other, and their pixels differ.
    """
    left, top, right, bottom = box or (0, 0, *image.size)
    across = image.resize((size[0], image.height), resample, box=(left, 0, right, image.height))
    return across.resize(size, resample, box=(0, top, size[0], bottom))


def middle(image: Image.Image, width: float, height: float) -> Box:
    """The box of that size in the middle of the image."""
    left, top = max(0, (image.width - width) / 2), max(0, (image.height - height) / 2)
    return left, top, min(image.width, left + width), min(image.height, top + height)


def fitted_box(image_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of an image (width, height) that lies as a whole in the middle of (width, height).

    Rounded as Ultralytics' LetterBox does it.
    """
    scale = min(size[0] / image_size[0], size[1] / image_size[1])
    width, height = (max(1, round(side * scale)) for side in image_size)
    left, top = round((size[0] - width) / 2 - 0.1), round((size[1] - height) / 2 - 0.1)
    return left, top, left + width, top + height


def letterboxed(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The whole image in a size (width, height), with gray beside it."""
    left, top, right, bottom = fitted_box(image.size, size)
    whole = Image.new("RGB", size, (114, 114, 114))
    whole.paste(scaled(image, (right - left, bottom - top)), (left, top))
    return whole


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [C, H', W'] in a size (height, width)."""
    return F.interpolate(maps[None], size, mode="bilinear")[0] if len(maps) else maps.new_zeros((0, *size))
