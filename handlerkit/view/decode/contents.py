"""What a view reads out of an exchange, as plain data: the static pages and the preview both draw this.

Detections, SegmentationMap and Classes stand in `handlerkit.predictions`; the other contents stand here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from handlerkit.messages import Geometry
from handlerkit.predictions import Classifications, Detections, Labels, SegmentationMap
from handlerkit.view import draw
from handlerkit.view.decode.source import InputImage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

Frame = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that came back. `said` tells what it is, such as "384x303 PNG"."""

    image: Image.Image
    said: str


@dataclass(frozen=True, eq=False)
class InstanceMasks:
    """N masks on a picture. `masks`: N bool [H, W], of one size; `found`: their boxes, scores and labels."""

    masks: Sequence[npt.NDArray[np.bool_]]
    found: Detections


@dataclass(frozen=True, eq=False)
class HeatMap:
    """How much each pixel counted. `values`: float32 [H, W] from 0 to 1; `said` tells what the numbers were."""

    values: npt.NDArray[np.float32]
    said: str


@dataclass(frozen=True)
class TokenWeights:
    """How much each piece of a text counted, for (above 0) or against."""

    tokens: tuple[str, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Tensors:
    """Arrays of numbers and their names, "" where there is only one without."""

    tensors: tuple[tuple[str, npt.NDArray[Any]], ...]


@dataclass(frozen=True)
class Document:
    """JSON (`value`, read from `text`) or text (`value` None)."""

    text: str
    value: Any = None


@dataclass(frozen=True)
class StreamChunks:
    """A streamed answer, piece by piece. `arrivals`: seconds from the request to each, where that is known."""

    chunks: tuple[bytes, ...]
    arrivals: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Unread:
    """Bytes that are nothing else."""

    data: bytes


Content: TypeAlias = (
    Picture
    | Detections
    | InstanceMasks
    | SegmentationMap
    | HeatMap
    | Classifications
    | TokenWeights
    | Tensors
    | Document
    | StreamChunks
    | Unread
)


@dataclass(frozen=True, eq=False)
class DecodedResponse:
    """One answer, read.

    Attributes:
        view: the name of the view that read it.
        content: what it says; boxes in the input image's pixels where there is an input image.
        body: the answer's bytes.
        input_image: the picture in the request, or None.
        frame: where a map's or mask's own pixels lie on the input image: (x1, y1, x2, y2) in its pixels; None where
            they have no place on one.
        notes: what is to be told of it, a line each: how it was placed, which views failed.
        labels: index_to_name.json of the model, or None.
        labeled: whether names are written into the picture; they cannot be read in a small one.
    """

    view: str
    content: Content
    body: bytes = b""
    input_image: InputImage | None = None
    frame: Frame | None = None
    notes: tuple[str, ...] = ()
    labels: Labels = None
    labeled: bool = True

    def color(self, name: str) -> draw.Color:
        """The color of a class by its name: an index keeps one model's classes apart, a name alone may share its
        color with another."""
        index = {label: int(number) for number, label in (self.labels or {}).items() if number.isdecimal()}
        return draw.color(index.get(name, name))


def place_map(
    size: tuple[int, int], input_image: InputImage | None, geometry: Geometry | None, whose: str = "the handler's"
) -> tuple[Frame | None, tuple[str, ...]]:
    """Where a map of that (width, height) lies, and how it was placed where that is not plain: on all of an input image
    of its size, else where the handler's geometry put the network's picture, else stretched."""
    if input_image is None:
        return None, ()
    wide, high = input_image.size
    whole = (0.0, 0.0, float(wide), float(high))
    if size == input_image.size:
        return whole, ()
    if geometry is not None and geometry != Geometry():
        return geometry.frame(input_image.size), (f"placed as {whose} {geometry} puts it",)
    return whole, (f"stretched to the input image's {wide}x{high}",)


def place_boxes(
    found: Detections, input_image: InputImage | None, geometry: Geometry | None
) -> tuple[Detections, tuple[str, ...]]:
    """The same with the boxes in the input image's pixels, and how they were placed where that is not plain.

    Boxes are in the input image's pixels; but where none goes beyond 1, in shares of it, and where a handler's geometry
    is known and none goes beyond the picture it made for its network, in that one's pixels.
    """
    import numpy as np

    finite = found.boxes[np.isfinite(found.boxes).all(axis=1)]
    if input_image is None or not len(finite):
        return found, ()
    wide, high = input_image.size
    frame, size, note = (0.0, 0.0, float(wide), float(high)), (wide, high), ""
    if min(wide, high) > 8 and np.min(finite) >= 0 and np.max(finite) <= 1:
        size, note = (1, 1), "boxes in shares of the input image's sides"
    elif geometry is not None and geometry != Geometry():
        width, height = geometry.network_size(input_image.size)
        if np.max(finite[:, 0::2]) <= width + 1 and np.max(finite[:, 1::2]) <= height + 1:
            frame, size = geometry.frame(input_image.size), (width, height)
            note = f"placed as the handler's {geometry} puts them"
    if not note:
        return replace(found, image_size=input_image.size), ()
    return replace(found, boxes=_on_frame(found.boxes, size, frame), image_size=input_image.size), (note,)


def place_masks(found: InstanceMasks, input_image: InputImage | None, frame: Frame | None) -> InstanceMasks:
    """The same with the boxes, which are measured on the masks' own grid, in the input image's pixels."""
    if input_image is None or frame is None:
        return found
    height, width = found.masks[0].shape
    boxes = _on_frame(found.found.boxes, (width, height), frame)
    return replace(found, found=replace(found.found, boxes=boxes, image_size=input_image.size))


def _on_frame(boxes: npt.NDArray[np.float32], size: tuple[int, int], frame: Frame) -> npt.NDArray[np.float32]:
    """Boxes on a grid of that (width, height), which lies on the frame."""
    import numpy as np

    x1, y1, x2, y2 = frame
    scale = np.array([(x2 - x1) / size[0], (y2 - y1) / size[1]] * 2)
    return np.asarray(boxes * scale + np.array([x1, y1] * 2), np.float32)
