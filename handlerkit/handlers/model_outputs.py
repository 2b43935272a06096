"""What models take and return, whatever their kind: the tensors of each image, by name.

A model is a module, a TorchScript or an ONNX session. It takes a batch [N, C, H, W], or a list of images as
torchvision's detection models do, and returns a tensor, or a dict, tuple or list of such, nested or not; transformers'
ModelOutput is a dict.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

# The tensor that counts, in models that name theirs: torchvision's segmentation models and transformers'.
_MAIN = ("out", "logits")
_NUMPY = {"tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(uint8)": np.uint8}


class OnnxModel:
    """An onnxruntime.InferenceSession called as a module is: tensors in, a dict of tensors out, named by the file.

    Attributes:
        size: (height, width) of the images that it takes; None where it takes any.

    A file that was exported for a batch of a fixed size is called as often as it takes. Raises RuntimeError for one
    with several inputs.
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        self.names = [output.name for output in session.get_outputs()]
        if len(inputs := session.get_inputs()) != 1:
            raise RuntimeError(
                f"the ONNX model has the inputs {', '.join(one.name for one in inputs)}, not one of images"
            )
        self.input = inputs[0]
        *before, height, width = self.input.shape
        self.batched = len(before) == 2
        self.batch = before[0] if self.batched and isinstance(before[0], int) else None
        self.size = (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def __call__(self, images: Tensor) -> Any:
        if not self.batched:  # as torchvision's detection models are exported
            return [self.run(one) for one in images]
        size = self.batch or len(images)
        found = [self.run(filled(piece, size)) for piece in images.split(size)]
        return {name: torch.cat([one[name] for one in found])[: len(images)] for name in self.names}

    def run(self, given: Tensor) -> dict[str, Tensor]:
        array = given.cpu().numpy().astype(_NUMPY.get(self.input.type, np.float32), copy=False)
        found = self.session.run(self.names, {self.input.name: array})
        return {name: torch.from_numpy(values) for name, values in zip(self.names, found)}


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

    Names are those of dicts; in tuples and lists numbers: "0", "1.boxes". Raises ValueError where the first tensor, or
    a list of dicts, is not for as many images; others that are not are left out.
    """
    if isinstance(returned, tuple) and len(returned) == 2 and _are_dicts(returned[1]):
        returned = returned[1]  # a scripted detection model of torchvision answers (losses, detections)
    if _are_dicts(returned):
        found = [dict(_named(one)) for one in returned]
    else:
        tensors = dict(_named(returned))
        first = next((len(values) for values in tensors.values() if values.ndim), 0)
        alike = {name: values for name, values in tensors.items() if values.ndim and len(values) == first}
        found = [{name: values[row] for name, values in alike.items()} for row in range(first)]
    if len(found) != count:
        raise ValueError(f"{len(found)} outputs for {count} inputs")
    return found


def main_output(tensors: dict[str, Tensor]) -> Tensor:
    """The tensor that counts: "out" or "logits" where a model names one so, else the first."""
    return next((tensors[name] for name in _MAIN if name in tensors), next(iter(tensors.values())))


def _are_dicts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(one, dict) for one in value)


def _named(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors in a value with their names, depth first."""
    if isinstance(value, Tensor):
        yield name or "0", value
        return
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, (list, tuple)):
        inner = enumerate(value)
    for key, one in inner:
        yield from _named(one, f"{name}.{key}" if name else str(key))
