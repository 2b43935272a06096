"""Pictures in answers: their bytes, and base64 in JSON."""

from __future__ import annotations

import base64
import binascii
import warnings
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

#: Formats that PIL reads by itself; EPS, for one, would start Ghostscript on bytes that came over the network. Its
#: names are those of PIL's openers: a name that has none would end the search.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


def open_picture(data: bytes, side: int = 0) -> Image.Image | None:
    """The picture in these bytes, unpacked; None if there is none, or it is broken.

    Args:
        side: pixels that are enough of its longer side: where a JPEG has twice as many or more, it is unpacked at a
            half, a quarter or an eighth of its size, in a fraction of the time.
    """
    if (image := picture_head(data)) is None:
        return None
    try:
        if side and (factor := -(-max(image.size) // side)) > 1:
            image.draft("RGB", (max(1, image.width // factor), max(1, image.height // factor)))
        image.load()
    except Exception:  # plugins raise whatever the broken data leads them to
        return None
    return image


def picture_head(data: bytes) -> Image.Image | None:
    """The picture's head; None if there is none, or the picture is too large to unpack without worry."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(BytesIO(data), formats=_FORMATS)
    except Exception:
        return None


def from_base64(text: str) -> bytes | None:
    """What a text holds in base64, also as a data URI; None if it is no base64."""
    try:
        return base64.b64decode(text.partition("base64,")[2] or text, validate=True)
    except (binascii.Error, ValueError):
        return None
