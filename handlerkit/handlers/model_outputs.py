"""What models take and return, whatever their kind: the tensors of each image, by name.

A model is a module, a TorchScript or an ONNX session. It takes a batch [N, C, H, W], or a list of images as
torchvision's detection models do, and returns a tensor, or a dict, tuple or list of such, nested or not; transformers'
ModelOutput is a dict, and Detectron2's Instances and MMDetection's samples are read as dicts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# The tensor that counts, in models that name theirs: torchvision's segmentation models and transformers'.
_MAIN = ("out", "logits")
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_WHOLE = {"tensor(uint8)": np.uint8, "tensor(int32)": np.int32, "tensor(int64)": np.int64}
_NUMPY: dict[str, Any] = {**_FLOATS, **_WHOLE, "tensor(bool)": np.bool_}
_ROUNDING = 1e-3  # of float16


class OnnxModel:
    """An onnxruntime.InferenceSession called as a module is: tensors in, a dict of tensors out, named by the file.

    Attributes:
        size: (height, width) of the images that it takes; None where it takes any.
        takes_pixels: whether it takes whole numbers from 0 to 255, which it normalizes itself.

    Images are [N, C, H, W] whether the file takes those or [N, H, W, C]. A file that was exported for a batch of a
    fixed size is called as often as it takes. What else a detector's file may take, and gets: `orig_target_sizes`
    [N, 2], the width and height that boxes are told in, and `pixel_mask` [N, H, W], 1 where an image is. Raises
    RuntimeError for other inputs.
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        self.names = [output.name for output in session.get_outputs()]
        inputs = session.get_inputs()
        images = [one for one in inputs if one.name not in _BESIDE]
        if len(images) != 1:
            raise RuntimeError(
                f"the ONNX model has the inputs {', '.join(one.name for one in inputs)}, not one of images"
            )
        self.input = images[0]
        if self.input.type not in _NUMPY or len(self.input.shape) not in (3, 4):
            raise RuntimeError(f"the ONNX model takes {self.input.type} {self.input.shape}, which are no images")
        self.beside = [one for one in inputs if one.name in _BESIDE]
        self.takes_pixels = self.input.type in _WHOLE
        *before, channels, height, width = self.input.shape
        self.channels_last = width in (1, 3) and channels not in (1, 3)
        if self.channels_last:
            height, width = channels, height
        self.batched = len(before) == 1
        self.batch = before[0] if self.batched and isinstance(before[0], int) else None
        self.size = (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def __call__(self, images: Tensor) -> Any:
        if not self.batched:  # as torchvision's detection models are exported
            return [self.run(one) for one in images]
        size = self.batch or len(images)
        found = [self.run(filled(piece, size)) for piece in images.split(size)]
        return {name: torch.cat([one[name] for one in found])[: len(images)] for name in self.names}

    def run(self, given: Tensor) -> dict[str, Tensor]:
        beside = {one.name: _BESIDE[one.name](given, one.shape).astype(_NUMPY[one.type]) for one in self.beside}
        images = given.movedim(-3, -1) if self.channels_last else given
        array = np.ascontiguousarray(images.cpu().numpy()).astype(_NUMPY[self.input.type], copy=False)
        found = self.session.run(self.names, {self.input.name: array, **beside})
        return {name: torch.from_numpy(values) for name, values in zip(self.names, found)}


def _sides(images: Tensor, shape: Sequence[Any]) -> NDArray[Any]:
    return np.tile([images.shape[-1], images.shape[-2]], (len(images), 1))


def _ones(images: Tensor, shape: Sequence[Any]) -> NDArray[Any]:
    """[N, H, W], in the images' size where the file names no other."""
    height, width = (one if isinstance(one, int) else side for one, side in zip(shape[1:], images.shape[-2:]))
    return np.ones((len(images), height, width))


# What else RT-DETR's, D-FINE's and DETR's own exports take, made from images [N, C, H, W].
_BESIDE: dict[str, Callable[[Tensor, Sequence[Any]], NDArray[Any]]] = {
    "orig_target_sizes": _sides,
    "pixel_mask": _ones,
}


def filled(images: Tensor, size: int) -> Tensor:
    """Images [N, ...] as `size` of them; the last one again where there are fewer."""
    return torch.cat([images, images[-1:].expand(size - len(images), *images.shape[1:])])


def takes_list(model: Any) -> bool:
    """Whether the model wants a list of images, as torchvision's do, and not a batch; its forward says so."""
    forward = getattr(getattr(model, "_orig_mod", model), "forward", model.__call__)  # beneath torch.compile
    if hasattr(forward, "schema"):  # TorchScript's; the first argument is self
        return "List" in str(forward.schema.arguments[1].type)
    first = next(iter(inspect.signature(forward).parameters.values()))
    return "list" in str(first.annotation).lower()


def class_names(model: Any) -> set[str]:
    """The names of the classes that a network is made of, those before TorchScript too; none of an ONNX session's."""
    modules = model.modules() if isinstance(model, torch.nn.Module) else ()
    return {getattr(module, "original_name", type(module).__name__) for module in modules}


def by_image(returned: Any, count: int) -> list[dict[str, Tensor]]:
    """What a model returned for `count` images, as the tensors of each, without the batch's dimension.

    Names are those of dicts; in tuples and lists numbers: "0", "1.boxes"; of a dict that is alone in another, its own.
    Panoptic segments become labels [N], scores [N] and masks [N, H, W]. Raises ValueError where there is no tensor, and
    where the first one, or a list of what each image got, is not for as many images; others that are not are left out.
    """
    if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], dict) and _are_dicts(returned[1]):
        returned = returned[1]  # a scripted detection model of torchvision answers (losses, detections)
    if _segments(returned):
        returned = [returned]
    if _are_dicts(returned) or _are_of_each(returned, count):
        found = [_of_segments(*pair) if (pair := _segments(one)) else _by_name(one) for one in returned]
    else:
        tensors = _by_name(returned)
        first = next((len(values) for values in tensors.values() if values.ndim), 0)
        alike = {name: values for name, values in tensors.items() if values.ndim and len(values) == first}
        found = [{name: values[row] for name, values in alike.items()} for row in range(first)]
    if len(found) != count:
        raise ValueError(f"{len(found)} outputs for {count} inputs")
    if not all(found):
        raise ValueError(f"the model returns a {type(returned).__name__} without tensors")
    return found


def main_output(tensors: dict[str, Tensor]) -> Tensor:
    """The tensor that counts: "out" or "logits" where a model names one so, else the first."""
    return next((tensors[name] for name in _MAIN if name in tensors), next(iter(tensors.values())))


def above_half(masks: Tensor) -> Tensor:
    """Masks, above 0.5 where an object is: probabilities as they are, and logits and half more.

    Logits are told by values outside 0 to 1. Enlarged so, they end where they are 0.
    """
    masks = masks if masks.is_floating_point() else masks.float()
    are_logits = masks.numel() > 0 and bool((masks.min() < -_ROUNDING) | (masks.max() > 1 + _ROUNDING))
    return masks + 0.5 if are_logits else masks


def _are_dicts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(_fields(one) is not None for one in value)


def _fields(value: Any) -> dict[str, Any] | None:
    """A dict, and what is like one: Detectron2's Instances, MMDetection's samples; None for anything else."""
    if isinstance(value, dict):
        return value
    items = getattr(value, "get_fields", None) or getattr(value, "items", None)
    return None if isinstance(value, Tensor) or not callable(items) else dict(items())


def _are_of_each(value: Any, count: int) -> bool:
    """Whether a list holds segments or a class map [H, W] of each image, as transformers' post-processing returns."""
    if not isinstance(value, (list, tuple)) or len(value) != count:
        return False
    maps = (isinstance(one, Tensor) and one.ndim == 2 and len(one) != count for one in value)
    return all(maps) or all(map(_segments, value))


def _segments(value: Any) -> tuple[Tensor, list[dict[str, Any]]] | None:
    """What a panoptic model answers an image: a map [H, W] of segments' numbers, or [N, H, W] of which is where, and
    what each is. transformers calls them segmentation and segments_info, Detectron2's are a pair in a dict."""
    if isinstance(value, dict):
        pairs = (_segments(one) for one in value.values() if isinstance(one, tuple))
        return _segments(tuple(value.values())[:2]) or next(filter(None, pairs), None)
    if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[1], list):
        return None
    numbers, records = value
    if not isinstance(numbers, Tensor) or numbers.ndim not in (2, 3):
        return None
    if not records:  # the map then holds nothing: 0 or -1
        return value if numbers.ndim == 2 and bool((numbers <= 0).all()) else None
    return value if all(isinstance(one, dict) and "id" in one for one in records) else None


def _of_segments(numbers: Tensor, records: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Labels, scores and masks. What has no score, as Detectron2's walls and skies, is sure."""
    best: dict[Any, dict[str, Any]] = {}  # parts that were fused have one number
    for one in sorted(records, key=lambda one: -one.get("score", 1)):
        best.setdefault(one["id"], one)
    labels = torch.tensor([int(one["label_id" if "label_id" in one else "category_id"]) for one in best.values()])
    scores = torch.tensor([float(one.get("score", 1)) for one in best.values()])
    ids = torch.tensor([*best], device=numbers.device)
    masks = numbers == ids[:, None, None] if numbers.ndim == 2 else numbers[ids]
    return {"labels": labels.to(numbers.device), "scores": scores.to(numbers.device), "masks": masks}


def _named(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors in a value with their names, depth first."""
    if isinstance(value, Tensor):
        yield name or "0", value
        return
    inner: Iterable[tuple[Any, Any]] = ()
    if (fields := _fields(value)) is not None:
        inner = fields.items()
    elif isinstance(value, (list, tuple)):
        inner = enumerate(value)
    elif isinstance(getattr(value, "tensor", None), Tensor):  # Detectron2's boxes and masks
        yield name or "0", value.tensor
    for key, one in inner:
        yield from _named(one, f"{name}.{key}" if name else str(key))


def _by_name(value: Any) -> dict[str, Tensor]:
    """The tensors in a value with their names, in the dict that is alone in it."""
    fields = _fields(value) or {}
    inner = [one for one in fields.values() if not isinstance(one, Tensor)]
    if len(fields) == 1 and inner and _fields(inner[0]) is not None:
        return _by_name(inner[0])
    return dict(_named(value))
