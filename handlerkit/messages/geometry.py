"""Where on the input image the picture lay that a handler gave to its network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Size = tuple[int, int]

#: torchvision's transforms that leave every pixel where it is.
_IN_PLACE = {"ToTensor", "PILToTensor", "ToImage", "ToDtype", "ConvertImageDtype", "Normalize", "Grayscale", "Lambda"}


@dataclass(frozen=True)
class Geometry:
    """torchvision's Resize and then CenterCrop, as TorchServe's vision handlers use them; neither: the input image is
    stretched to whatever the network takes.

    Attributes:
        resize: the shorter side, or (height, width), in pixels; None keeps the size.
        crop: (height, width) cut out of the middle; None keeps all.
    """

    resize: int | Size | None = None
    crop: Size | None = None

    @classmethod
    def parse(cls, text: str) -> Geometry:
        """`stretch`, or `resize 256 crop 224`; two numbers are height x width: `resize 256x512`.

        Raises ValueError for anything else.
        """
        found = re.fullmatch(r"(?:resize (\d+(?:x\d+)?))? ?,? ?(?:crop (\d+(?:x\d+)?))?", text.strip())
        if text.strip() == "stretch":
            return cls()
        if found is None or not text.strip():
            raise ValueError(f"{text!r} is no geometry: write 'stretch', or for example 'resize 256 crop 224'")
        resize, crop = (_numbers(size) if size else None for size in found.groups())
        return cls(resize[0] if resize and len(resize) == 1 else resize, crop and (crop[0], crop[-1]))  # type: ignore[arg-type]

    @classmethod
    def of(cls, transform: Any) -> Geometry | None:
        """The geometry of a torchvision transform, such as a handler's `image_processing`; None if it holds steps
        that are not known here, or in another order."""
        resize = crop = None
        for step in getattr(transform, "transforms", [transform]):
            name, size = type(step).__name__, getattr(step, "size", None)
            size = (size,) if isinstance(size, int) else tuple(size or ())
            if name == "Resize" and size and resize is None and crop is None and not getattr(step, "max_size", None):
                resize = size[0] if len(size) == 1 else (size[0], size[1])
            elif name == "CenterCrop" and size and crop is None:
                crop = (size[0], size[-1])
            elif name not in _IN_PLACE:
                return None
        return cls(resize, crop)

    def region(self, size: Size) -> tuple[float, float, float, float]:
        """Where the network's picture lies on an input image of that (width, height): (x1, y1, x2, y2) in its pixels.

        The roundings are those of torchvision's functional.resize and functional.center_crop.
        """
        wide, high = size
        height, width = self._resized(size)
        if self.crop is None:
            return 0.0, 0.0, float(wide), float(high)
        top, left = round((height - self.crop[0]) / 2), round((width - self.crop[1]) / 2)
        across, down = wide / width, high / height
        return left * across, top * down, (left + self.crop[1]) * across, (top + self.crop[0]) * down

    def network_size(self, size: Size) -> Size:
        """(width, height) of the network's picture, made of an input image of that (width, height)."""
        height, width = self.crop or self._resized(size)
        return width, height

    def _resized(self, size: Size) -> Size:
        """(height, width) after Resize."""
        wide, high = size
        if self.resize is None:
            return high, wide
        if not isinstance(self.resize, int):
            return self.resize
        short, long = sorted(size)
        longer = max(1, int(self.resize * long / short))
        return (self.resize, longer) if wide >= high else (longer, self.resize)

    def __str__(self) -> str:
        steps = [f"resize {_written(self.resize)}"] * (self.resize is not None)
        steps += [f"crop {_written(self.crop)}"] * (self.crop is not None)
        return ", ".join(steps) or "stretch"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))


def _written(size: int | Size | None) -> str:
    """`224`, or `224x320` where the sides differ."""
    if isinstance(size, tuple) and size[0] != size[1]:
        return f"{size[0]}x{size[1]}"
    return str(size[0] if isinstance(size, tuple) else size)
