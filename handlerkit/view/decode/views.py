"""Which view fits an answer, and what it reads there: `read` is the one place where that is decided.

Each view reads its content out of a Source, or returns None where the answer is not of its kind. The answer on the wire
decides, and the request beside it; never what the handler computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from handlerkit.formatting import plain
from handlerkit.messages import Exchange, Geometry
from handlerkit.predictions import Classifications, Detections, Labels, SegmentationMap
from handlerkit.view.decode import arrays, masks
from handlerkit.view.decode.contents import (
    Content,
    DecodedResponse,
    Document,
    HeatMap,
    InstanceMasks,
    Picture,
    StreamChunks,
    Unread,
    place_boxes,
    place_map,
    place_masks,
)
from handlerkit.view.decode.source import InputImage, Source

if TYPE_CHECKING:
    from PIL import Image

Reader = Callable[[Source], "Content | Image.Image | None"]
R = TypeVar("R", bound=Callable[[Source], Any])
_MODES = {4: "RGBA", 3: "RGB", 1: "L"}
#: What TorchServe's image handlers do to an input image (ts/torch_handler/image_segmenter.py, image_classifier.py).
_DEFAULT = Geometry(256, (224, 224))


@dataclass(frozen=True)
class ViewSpec:
    """A view: its name, and what it reads. `asked` is used instead where the user asks for this view by name: it may
    take what could as well be something else. Views that `errors` is not set for are not tried on errors."""

    name: str
    read: Reader
    asked: Reader | None = None
    errors: bool = False


@dataclass
class Views:
    """The views there are, in the order in which they are asked."""

    kinds: list[ViewSpec] = field(default_factory=list)

    def register(self, name: str) -> Callable[[R], R]:
        """Add a view, asked before those that are there; one of the same name takes its place::

            @hk.view.register("spectrum")
            def spectrum(source):                  # a handlerkit.view.Source
                if source.response.content_type == "audio/x-spectrum":
                    return a_pil_image             # or Detections, Classes, ... of handlerkit.predictions

        It returns None for answers that are not of its kind. `--as NAME` asks for it alone.
        """

        def add(reader: R) -> R:
            self.kinds[:] = [ViewSpec(name, reader), *(kind for kind in self.kinds if kind.name != name)]
            return reader

        return add

    def names(self) -> list[str]:
        """The names that `--as` takes."""
        return [kind.name for kind in self.kinds]


def read(
    exchange: Exchange, labels: Labels = None, geometry: Geometry | None = None, shown_as: str = ""
) -> DecodedResponse:
    """What the answer of an exchange says.

    Args:
        labels: index_to_name.json of the model.
        geometry: what the handler did to the input image, where that is known.
        shown_as: the name of the view to read it with; "" for the first that it fits.

    A view that fails, or that is asked for and does not fit, leaves a note, and the next has its turn.
    Raises ValueError where there is no view of that name.
    """
    source = Source(exchange, labels, geometry)
    notes: tuple[str, ...] = ()
    kinds = [kind for kind in VIEWS.kinds if exchange.response.ok or kind.errors]
    if shown_as:
        if (chosen := next((kind for kind in VIEWS.kinds if kind.name == shown_as), None)) is None:
            raise ValueError(f"there is no view {shown_as!r}: choose one of {', '.join(VIEWS.names())}")
        kinds = [replace(chosen, read=chosen.asked or chosen.read), *kinds]
    for kind in kinds:
        try:
            content = kind.read(source)
        except Exception as problem:
            notes += (f"not drawn as {kind.name}: {type(problem).__name__}: {plain(str(problem))}",)
        else:
            if content is not None:
                return _placed(source, kind.name, content, notes)
            if shown_as and kind is kinds[0]:
                notes += (f"this answer is no {shown_as}",)
    return DecodedResponse("bytes", Unread(exchange.response.body), exchange.response.body, notes=notes)


def _placed(source: Source, name: str, content: Any, notes: tuple[str, ...]) -> DecodedResponse:
    """The content on its input image."""
    if not isinstance(content, Content.__args__):
        content = Picture(content, f"{content.width}x{content.height}")
    input_image, frame = None, None
    if isinstance(content, Detections | SegmentationMap | InstanceMasks | HeatMap | Classifications):
        input_image = source.input_image
    if input_image and _is_upright(source, content, input_image):
        input_image = input_image.upright()
    if input_image and input_image.rotated and not isinstance(content, Classifications):
        notes += (f"EXIF turns the input image by {input_image.rotated}°; drawn as PIL opens it, unturned",)
    if isinstance(content, Detections):
        content, told = place_boxes(content, input_image, source.geometry)
        notes += told
    elif isinstance(content, SegmentationMap | HeatMap | InstanceMasks) and (shape := _shape(content)):
        geometry, whose = source.geometry, "the handler's"
        if geometry is None and shape == (224, 224) and (isinstance(content, HeatMap) or _may_be_segmenter(content)):
            geometry, whose = _DEFAULT, "the default handlers'"
        frame, told = place_map((shape[1], shape[0]), input_image, geometry, whose)
        notes += told
        if isinstance(content, InstanceMasks):
            content = place_masks(content, input_image, frame)
    return DecodedResponse(name, content, source.response.body, input_image, frame, notes, source.labels)


def _may_be_segmenter(content: Content) -> bool:
    """Whether it may be the answer of TorchServe's image_segmenter: it alone answers [class, probability] pairs."""
    return isinstance(content, SegmentationMap) and content.probabilities is not None


def _is_upright(source: Source, content: Any, input_image: InputImage) -> bool:
    """Whether the answer speaks of the input image as EXIF turns it: it says that size, or has a map of it."""
    wide, high = input_image.upright_size
    if (wide, high) == input_image.size:
        return False
    said = source.json.get("size") if isinstance(source.json, dict) else None
    mapped = _shape(content) if isinstance(content, SegmentationMap | HeatMap | InstanceMasks) else None
    return said == [high, wide] or mapped == (high, wide)


def _shape(content: SegmentationMap | HeatMap | InstanceMasks) -> tuple[int, ...]:
    """[H, W] of a map."""
    if isinstance(content, InstanceMasks):
        return tuple(content.masks[0].shape) if len(content.masks) else ()
    return tuple((content.classes if isinstance(content, SegmentationMap) else content.values).shape)


# --- the views ------------------------------------------------------------------------------------------------------


def stream(source: Source) -> Content | None:
    """An answer that came in more than one piece."""
    chunks = source.response.chunks
    return StreamChunks(chunks, source.response.arrivals) if chunks is not None and len(chunks) > 1 else None


def segmentation(source: Source) -> Content | None:
    """A class for each pixel: as JSON, as a .npy array, or as a PNG of class indexes (mode 1, L or P, fewer than 32 of
    them) as large as the request's input image."""
    import numpy as np

    input_image = source.input_image if source.picture is not None else None
    found = _indexed(source)
    if found is not None:
        largest = int(np.max(found.classes))
        return found if input_image and input_image.size == found.classes.shape[::-1] and 0 < largest < 32 else None
    return SegmentationMap.read(_value(source), source.labels)


def asked_segmentation(source: Source) -> Content | None:
    """Any picture of one channel, and any table of numbers from 0 to 1, of which those above a half are class 1."""
    import numpy as np

    if (found := _indexed(source) or SegmentationMap.read(_value(source), source.labels)) is not None:
        return found
    if (table := arrays.table(_value(source))) is None:
        return None
    values = table.reshape(-1, *table.shape[-2:])[0]
    if not (np.nanmin(values) >= 0 and np.nanmax(values) <= 1):
        return None
    names = {int(index): name for index, name in (source.labels or {}).items() if index.isdecimal()}
    return SegmentationMap((values > 0.5).astype(np.uint8), names, values.astype(np.float32))


def picture(source: Source) -> Content | None:
    """An image that came back, of any kind."""
    from PIL import ImageOps

    if (image := source.picture) is None:
        return None
    said = f"{image.width}x{image.height} {image.format}"
    said += f", {image.mode}" if image.mode not in ("RGB", "L", "P", "1") else ""
    if (frames := getattr(image, "n_frames", 1)) > 1:
        said += f", the first of {frames} frames"
    return Picture(ImageOps.exif_transpose(image), said)


def pixels(source: Source) -> Content | None:
    """Bare RGBA or RGB bytes, where a header or the request's query says the size, or it is the input image's."""
    return _pixels(source, (4, 3))


def asked_pixels(source: Source) -> Content | None:
    """Also gray bytes, and a square of pixels where nothing says the size."""
    return _pixels(source, (4, 3, 1)) or _square(source.response.body)


def boxes(source: Source) -> Content | None:
    """Boxes, as JSON."""
    return Detections.read(source.json, source.labels)


def asked_boxes(source: Source) -> Content | None:
    """Also an empty list, which says of itself only that there is none of anything."""
    import numpy as np

    return boxes(source) or (Detections(np.zeros((0, 4), np.float32), None, []) if source.json == [] else None)


def classes(source: Source) -> Content | None:
    """Names and their probabilities, as JSON."""
    return Classifications.read(source.json, source.labels)


def tree(source: Source) -> Content | None:
    """JSON as it is."""
    return Document(source.response.text, source.json) if source.json is not None else None


def text(source: Source) -> Content | None:
    """Text as it is."""
    return Document(source.text) if source.text is not None else None


def raw(source: Source) -> Content | None:
    """Bytes that are nothing of the above."""
    return Unread(source.response.body)


def _value(source: Source) -> Any:
    return source.array if source.array is not None else source.json


def _indexed(source: Source) -> SegmentationMap | None:
    """The answer's PNG as class indexes."""
    import numpy as np

    image = source.picture
    if image is None or image.format != "PNG" or image.mode not in ("1", "L", "P"):
        return None
    names = {int(index): name for index, name in (source.labels or {}).items() if index.isdecimal()}
    return SegmentationMap(np.asarray(image).astype(np.uint8, copy=False), names)


def _pixels(source: Source, channels: tuple[int, ...]) -> Picture | None:
    body = source.response.body
    if len(body) < 16 or source.picture is not None or body[:1] in b"[{":
        return None
    sizes = [source.said_size, _size(source.input_image)]
    for size in filter(None, sizes):
        for channel in channels:
            if len(body) == size[0] * size[1] * channel:
                return _bare(body, size, channel)
    return None


def _square(body: bytes) -> Picture | None:
    from math import isqrt

    for channel in _MODES:
        side = isqrt(len(body) // channel)
        if side and side * side * channel == len(body):
            return _bare(body, (side, side), channel)
    return None


def _bare(body: bytes, size: tuple[int, int], channel: int) -> Picture:
    from PIL import Image

    mode = _MODES[channel]
    return Picture(Image.frombytes(mode, size, body), f"{size[0]}x{size[1]} bare {mode} bytes")


def _size(input_image: InputImage | None) -> tuple[int, int] | None:
    return input_image.size if input_image else None


#: In the order in which they are asked.
VIEWS = Views(
    [
        ViewSpec("stream", stream),
        ViewSpec("segmentation", segmentation, asked_segmentation),
        ViewSpec("picture", picture),
        ViewSpec("tokens", arrays.tokens),
        ViewSpec("heatmap", arrays.heat_map, arrays.asked_heat_map),
        ViewSpec("masks", masks.read),
        ViewSpec("boxes", boxes, asked_boxes),
        ViewSpec("classes", classes),
        ViewSpec("tensor", arrays.tensors, arrays.asked_tensors),
        ViewSpec("json", tree, errors=True),
        ViewSpec("pixels", pixels, asked_pixels),
        ViewSpec("text", text, errors=True),
        ViewSpec("bytes", raw, errors=True),
    ]
)
