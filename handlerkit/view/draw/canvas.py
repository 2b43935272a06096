"""Pictures of every kind as ones that can be drawn on, and at the size they are shown at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    ImageLike = Image.Image | npt.NDArray[Any]


def checkerboard(rgba: ImageLike, *, square: int = 8) -> Image.Image:
    """A cut-out on a board of light gray squares of that many pixels, which shows where it is transparent."""
    import numpy as np
    from PIL import Image

    picture = opened(rgba).convert("RGBA")
    rows, columns = np.arange(picture.height) // square, np.arange(picture.width) // square
    board = np.where((rows[:, None] + columns[None, :]) % 2, 255, 216).astype(np.uint8)
    canvas = Image.fromarray(board).convert("RGB")
    canvas.paste(picture, mask=picture.getchannel("A"))
    return canvas


def fit(image: ImageLike, max_width: int = 1600, max_height: int = 1600) -> Image.Image:
    """The image, made smaller if it is wider or higher than that; its proportions and mode stay."""
    from PIL import Image

    picture = opened(image)
    scale = min(1.0, max_width / picture.width, max_height / picture.height)
    if scale == 1:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    # blending would make up colors that an indexed picture's palette lacks
    method = Image.Resampling.NEAREST if picture.mode in ("1", "P") else Image.Resampling.HAMMING
    return picture.resize(size, method, reducing_gap=2)


def shrink(image: ImageLike, side: int = 1600) -> Image.Image:
    """The image, made smaller by a whole number if it is wider or higher than that, which takes a tenth of the time of
    `fit`; its mode stays."""
    picture = opened(image)
    if (factor := -(-max(picture.size) // side)) == 1:
        return picture
    if picture.mode in ("1", "P"):
        return fit(picture, side, side)
    return picture.reduce(factor)


def rgb(image: ImageLike) -> Image.Image:
    """The image in RGB: 16 bits scaled to 8, transparency on white. Orientation tags are left to the caller."""
    from PIL import Image

    picture = opened(image)
    if is_transparent(picture):
        picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def is_transparent(picture: Image.Image) -> bool:
    """Whether its mode or its palette has transparency."""
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info


def opened(image: ImageLike) -> Image.Image:
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
        pixels = np.nan_to_num(pixels)
        pixels = (pixels * (255 if pixels.max() <= 1 else 1)).round().clip(0, 255)
    elif pixels.dtype == np.uint16:
        pixels = pixels >> 8
    elif pixels.dtype == bool:
        pixels = pixels * 255
    return Image.fromarray(np.ascontiguousarray(pixels.clip(0, 255).astype(np.uint8)))
