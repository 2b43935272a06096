"""A class for each pixel of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from handlerkit.predictions.pictures import from_base64, open_picture
from handlerkit.predictions.rle import unpack_rle
from handlerkit.predictions.shapes import LABEL_KEYS, are_rows, bodies, first, table_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

#: A bare table of integers counts as a class map from this many rows and columns on.
_MIN_SIDE = 8
#: A gray picture whose lightest shade is below holds class indexes; a picture of as many colors at most, a class each.
_INDEXES = 32
_MASKS = ("mask", "segmentation", "segmentation_mask")


@dataclass(frozen=True, eq=False)
class SegmentationMap:
    """A class for each pixel.

    Attributes:
        classes: uint8 or uint16 [H, W], class indexes.
        names: class index to name, as the answer holds them; an index may be missing.
        probabilities: float32 [H, W], of the class at each pixel; None if the answer holds none.
    """

    classes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    names: Mapping[int, str] = field(default_factory=dict)
    probabilities: npt.NDArray[np.float32] | None = None

    def name(self, index: int) -> str:
        """The class's name; "class 7" if it has none."""
        return self.names.get(index, f"class {index}")

    def pixels(self) -> dict[int, int]:
        """Pixels per class that occurs, most first."""
        return dict(self._pixels)

    @cached_property
    def _pixels(self) -> dict[int, int]:
        import numpy as np
        from PIL import Image

        if self.classes.dtype == np.uint8:  # PIL counts bytes four times as fast as numpy
            counts = np.array(Image.fromarray(np.ascontiguousarray(self.classes)).histogram())
        else:
            counts = np.bincount(self.classes.ravel())
        return {int(index): int(counts[index]) for index in np.argsort(-counts, kind="stable") if counts[index]}

    @classmethod
    def read(cls, answer: Any) -> SegmentationMap | None:
        """The map in a JSON answer; None if it holds none in a shape known here."""
        for body in bodies(answer):
            for constructor in (
                cls.from_image_segmenter,
                cls.from_rle,
                cls.from_mask,
                cls.from_classes,
                cls.from_lists,
                cls.from_probabilities,
            ):
                if (found := constructor(body)) is not None:
                    return found
        return None

    @classmethod
    def from_image_segmenter(cls, answer: Any) -> SegmentationMap | None:
        """TorchServe's image_segmenter: H rows of W pairs [class index, probability]."""
        import numpy as np

        table = table_of(answer, 3)
        if table is None or table.shape[2] != 2:
            return None
        probabilities = table[:, :, 1]
        if not ((probabilities >= 0) & (probabilities <= 1.0001)).all():
            return None
        found = cls._of(table[:, :, 0])
        return found and replace(found, probabilities=probabilities.astype(np.float32))

    @classmethod
    def from_probabilities(cls, answer: Any) -> SegmentationMap | None:
        """A softmax over the classes at each pixel: [C][H][W], at least two classes and 8 rows and columns."""
        import numpy as np

        table = table_of(answer, 3)
        if table is None or len(table) < 2 or min(table.shape[1:]) < _MIN_SIDE or table.min() < 0:
            return None
        if not np.allclose(table.sum(axis=0), 1, atol=0.01):
            return None
        found = cls._of(table.argmax(axis=0))
        return found and replace(found, probabilities=table.max(axis=0).astype(np.float32))

    @classmethod
    def from_lists(cls, answer: Any) -> SegmentationMap | None:
        """H rows of W class indexes, both at least 8: smaller tables of integers are too often something else."""
        table = table_of(answer, 2)
        if table is None or table.dtype.kind == "f" or min(table.shape) < _MIN_SIDE:
            return None
        return cls._of(table)

    @classmethod
    def from_rle(cls, answer: Any) -> SegmentationMap | None:
        """COCO's run-length mask, `{"size": [height, width], "counts": [...]}` or with compressed counts.

        What is in the mask has class 1, the rest 0.
        """
        if not isinstance(answer, dict) or (mask := unpack_rle(answer.get("size"), answer.get("counts"))) is None:
            return None
        return cls(mask, {0: "background", 1: "object"} | _mask_names(answer))

    @classmethod
    def from_mask(cls, answer: Any) -> SegmentationMap | None:
        """`{"mask": ..., "size": [height, width], "classes": ...}`, the last two optional.

        The mask is a COCO run-length mask, its bare counts (then with a size), H rows of W class indexes, or a PNG in
        base64, as in Roboflow's "segmentation_mask"; "classes" (or "pixels", "class_map") says the names: a list of
        them, an index to a name, or a name to its number of pixels.
        """
        if not isinstance(answer, dict) or (mask := first(answer, _MASKS)) is None:
            return None
        if isinstance(mask, str):
            shown = cls.from_png(mask)
            return shown and replace(shown, names=_mask_names(answer))
        if isinstance(mask, dict) or table_of(mask, 2) is None:
            rle = mask if isinstance(mask, dict) else {"counts": mask}
            return cls.from_rle({"label": "", **answer, "size": rle.get("size", answer.get("size")), **rle})
        found = cls._of(table_of(mask, 2))
        return found and cls(found.classes, _mask_names(answer))

    @classmethod
    def from_png(cls, text: str) -> SegmentationMap | None:
        """A PNG in base64. Of one channel: class indexes below 32, or else a mask, white where it is. Of colors: a
        class for each, black first, if they are few; gray ones are one channel, and alpha is one of a single color.

        Shades between are how sure it is.
        """
        import numpy as np

        image = open_picture(from_base64(text) or b"")
        if image is None or image.format != "PNG":
            return None
        if image.mode in ("LA", "RGB", "RGBA"):
            image = _one_channel(image)
        if image is None or image.mode not in ("1", "L", "P"):
            return None
        indexes = np.asarray(image).astype(np.uint8)
        if image.mode != "L" or int(np.max(indexes)) < _INDEXES:
            return cls(indexes)
        found = cls((indexes > 127).astype(np.uint8))
        between = ((indexes > 0) & (indexes < 255)).any()
        sure = np.where(found.classes == 1, indexes, 255 - indexes) / 255
        return replace(found, probabilities=sure.astype(np.float32)) if between else found

    @classmethod
    def from_classes(cls, answer: Any) -> SegmentationMap | None:
        """`{"classes": [{"index": 1, "label": "coin", "mask": ...}, ...]}`, of handlerkit/handlers/.

        Each mask is COCO's run-length; where they overlap, the last one counts.
        """
        import numpy as np

        rows: Any = answer.get("classes") if isinstance(answer, dict) else None
        if not are_rows(rows) or not all(isinstance(row.get("mask"), dict) for row in rows):
            return None
        masks = [unpack_rle(row["mask"].get("size"), row["mask"].get("counts")) for row in rows]
        sizes = {None if mask is None else mask.shape for mask in masks}
        if len(sizes) > 1 or (size := sizes.pop()) is None:
            return None
        indexes, names = [row.get("index") for row in rows], [row.get("label") for row in rows]
        if not all(isinstance(index, int) and 0 <= index <= 65535 for index in indexes):
            return None
        table = np.zeros(size, np.uint8 if max(indexes) < 256 else np.uint16)
        for index, mask in zip(indexes, masks, strict=True):
            table[mask == 1] = index
        named = {index: name for index, name in zip(indexes, names, strict=True) if isinstance(name, str)}
        return cls(table, named)

    @classmethod
    def _of(cls, table: Any) -> SegmentationMap | None:
        import numpy as np

        if not ((table >= 0) & (table <= 65535) & (table == np.floor(table))).all():
            return None
        return cls(table.astype(np.uint8 if table.max() < 256 else np.uint16))


def _one_channel(image: Image.Image) -> Image.Image | None:
    """A picture of colors as one of a single channel; None if it has more colors than a mask."""
    import numpy as np
    from PIL import Image

    *colors, alpha = image.convert("RGBA").split()
    extrema = [channel.getextrema() for channel in colors]
    if alpha.getextrema() != (255, 255) and all(low == high for low, high in extrema):
        return alpha
    if colors[0].tobytes() == colors[1].tobytes() == colors[2].tobytes():
        return colors[0]
    red, green, blue = (np.asarray(channel, np.uint32) for channel in colors)
    found, indexes = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
    if len(found) > _INDEXES:
        return None
    return Image.fromarray((indexes.reshape(image.height, image.width) + (found[0] != 0)).astype(np.uint8), "L")


def _mask_names(answer: Mapping[str, Any]) -> dict[int, str]:
    """The names beside a mask."""
    names = first(answer, ("classes", "pixels", "class_map"))
    if isinstance(names, dict) and names and all(str(index).isdecimal() for index in names):
        return {int(index): str(name) for index, name in names.items()}
    if isinstance(names, dict):
        names = ["background", *(name for name in names if name != "background")]
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return dict(enumerate(names, start=1 if len(names) == 1 else 0))
    label = first(answer, LABEL_KEYS)
    return {1: label} if isinstance(label, str) and label else {}
