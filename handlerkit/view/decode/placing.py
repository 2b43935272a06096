"""Where boxes, maps and masks lie on the request's image."""

from __future__ import annotations

from dataclasses import replace

from handlerkit.messages import Geometry
from handlerkit.predictions import Detections
from handlerkit.view.decode.response import Region
from handlerkit.view.decode.source import InputImage, Source

Size = tuple[int, int]

#: What TorchServe's image handlers do to an input image (ts/torch_handler/image_segmenter.py, image_classifier.py).
_DEFAULT = Geometry(256, (224, 224))


def input_image_of(source: Source, size: Size | None = None) -> tuple[InputImage | None, tuple[str, ...]]:
    """The input image as the response speaks of it, and what is to be told of that.

    It is turned as EXIF asks if the response says the size that it then has, or holds a map of that (width,
    height); else it is drawn as it is stored, as most handlers read it.
    """
    image = source.input_image
    if image is None:
        return None, ()
    wide, high = image.upright_size
    said = source.json.get("size") if isinstance(source.json, dict) else None
    if (wide, high) != image.size and (said == [high, wide] or size == (wide, high)):
        image = image.upright()
    turned = f"EXIF rotates the input image by {image.rotated}°; drawn as PIL opens it, not rotated"
    return image, (turned,) if image.rotated else ()


def place_map(
    source: Source, size: Size, like_default_handler: bool = False
) -> tuple[InputImage | None, Region | None, tuple[str, ...]]:
    """The input image, where on it a map of that (width, height) lies, and how it was placed if that is not obvious.

    It lies on all of an input image of its size, else where the handler's geometry put the network's picture, else
    stretched.

    Args:
        like_default_handler: the map may come from one of TorchServe's image handlers, whose geometry is known.
    """
    image, notes = input_image_of(source, size)
    if image is None:
        return None, None, notes
    wide, high = image.size
    whole = (0.0, 0.0, float(wide), float(high))
    if size == image.size:
        return image, whole, notes
    geometry, whose = source.geometry, "the handler's"
    if geometry is None and like_default_handler and size == _DEFAULT.crop:
        geometry, whose = _DEFAULT, "the default handlers'"
    if geometry is not None and geometry != Geometry():
        return image, geometry.region(image.size), (*notes, f"placed as {whose} {geometry} puts it")
    return image, whole, (*notes, f"stretched to the input image's {wide}x{high}")


def place_boxes(
    found: Detections, image: InputImage | None, geometry: Geometry | None
) -> tuple[Detections, tuple[str, ...]]:
    """The same with the boxes in the input image's pixels, and how they were placed if that is not obvious.

    Boxes are in the input image's pixels; but if none goes beyond 1, they are fractions of its sides, and if a
    handler's geometry is known and none goes beyond the picture it made for its network, they are in that one's pixels.
    """
    import numpy as np

    finite = found.boxes[np.isfinite(found.boxes).all(axis=1)]
    if image is None or not len(finite):
        return found, ()
    wide, high = image.size
    region, size, note = (0.0, 0.0, float(wide), float(high)), (wide, high), ""
    if min(wide, high) > 8 and np.min(finite) >= 0 and np.max(finite) <= 1:
        size, note = (1, 1), "boxes are fractions of the input image's sides"
    elif geometry is not None and geometry != Geometry():
        width, height = geometry.network_size(image.size)
        if np.max(finite[:, 0::2]) <= width + 1 and np.max(finite[:, 1::2]) <= height + 1:
            region, size = geometry.region(image.size), (width, height)
            note = f"placed as the handler's {geometry} puts them"
    elif found.image_size is not None and sorted(found.image_size) != sorted(image.size):
        size, note = found.image_size, f"boxes lie on the answer's {found.image_size[0]}x{found.image_size[1]} picture"
    if not note:
        return replace(found, image_size=image.size), ()
    return replace(on_region(found, size, region), image_size=image.size), (note,)


def on_region(found: Detections, size: Size, region: Region) -> Detections:
    """What lies on a grid of that (width, height), which lies on the region."""
    x1, y1, x2, y2 = region
    return found.moved(((x2 - x1) / size[0], (y2 - y1) / size[1]), (x1, y1))
