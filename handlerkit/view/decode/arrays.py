"""Numbers in an answer: heat maps, weights of words, tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from handlerkit.predictions import are_rows, bodies, is_number
from handlerkit.view.decode.contents import HeatMap, Tensors, TokenWeights
from handlerkit.view.decode.source import Source

if TYPE_CHECKING:
    import numpy.typing as npt

_WORDS = ("words", "tokens", "token", "word", "text")
_WEIGHTS = ("importances", "weights", "attributions", "importance", "weight", "attribution", "score", "scores")
#: A table this small is read faster as numbers than as a picture.
_MIN_SIDE = 8
#: A list of fewer numbers is read faster as it is.
_MIN_TENSOR = 17
#: numpy's names of the kservev2 datatypes (KServe's Open Inference Protocol, "Tensor Data Types").
_KSERVE = {"FP16": "float16", "FP32": "float32", "FP64": "float64", "BOOL": "bool"}


def heat_map(source: Source) -> HeatMap | None:
    """What a vision handler answers to /explanations: attributions, [C][H][W] or [H][W]."""
    return asked_heat_map(source) if source.is_explanation else None


def asked_heat_map(source: Source) -> HeatMap | None:
    """Any table of numbers as a heat map: the sizes of its channels' numbers added up, as captum shows attributions
    (visualize_image_attr, "absolute_value"); the strongest hundredth counts as 1."""
    import numpy as np

    found = table(source.array if source.array is not None else source.json)
    if found is None:
        return None
    values = np.nan_to_num(np.abs(found.astype(np.float64)).reshape(-1, *found.shape[-2:]).sum(axis=0))
    top = float(np.percentile(values, 99)) or float(values.max())
    said = f"{found.min():.3g} to {found.max():.3g}"
    return HeatMap((values / top if top else values).clip(0, 1).astype(np.float32), said)


def table(value: Any) -> npt.NDArray[Any] | None:
    """Numbers [H, W] or [C, H, W] with at most 4 channels, also inside lists of one; None where they are something
    else, or too few for a picture."""
    for body in bodies(value):
        found = _array(body)
        while found is not None and found.ndim > 3 and len(found) == 1:
            found = found[0]
        if found is None or found.ndim not in (2, 3) or min(found.shape[-2:]) < _MIN_SIDE:
            continue
        if found.ndim == 2 or len(found) <= 4:
            return found
    return None


def tokens(source: Source) -> TokenWeights | None:
    """Pieces of a text and their weights: `{"words": [...], "importances": [...]}` as TorchServe's text_classifier
    explains, or rows such as `{"token": "good", "weight": 0.5}`."""
    for body in bodies(source.json):
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if isinstance(body, dict):
            words, weights = _first(body, _WORDS), _first(body, _WEIGHTS)
        elif are_rows(body) and all(len(row) == 2 for row in body):
            words, weights = [_first(row, _WORDS) for row in body], [_first(row, _WEIGHTS) for row in body]
        else:
            continue
        if not (isinstance(words, list) and isinstance(weights, list) and 0 < len(words) <= len(weights)):
            continue
        if all(isinstance(word, str) for word in words) and all(map(is_number, weights)):
            # a text_classifier weighs pairs of words, too, after the words
            return TokenWeights(tuple(words), tuple(map(float, weights[: len(words)])))
    return None


def tensors(source: Source) -> Tensors | None:
    """Arrays: .npy, the outputs of the kservev2 envelope, nested lists of numbers."""
    found = _tensors(source)
    return found if found and sum(array.size for _, array in found.tensors) >= _MIN_TENSOR else None


def asked_tensors(source: Source) -> Tensors | None:
    """However few the numbers are."""
    return _tensors(source)


def _tensors(source: Source) -> Tensors | None:
    if source.array is not None:
        return Tensors((("", source.array),))
    value = source.json
    if isinstance(value, dict) and are_rows(value.get("outputs")):
        named = list(_outputs(value["outputs"]))
        return Tensors(tuple(named)) if len(named) == len(value["outputs"]) else None
    if isinstance(value, dict) and value and all(_array(each) is not None for each in value.values()):
        arrays = ((str(name), _array(each)) for name, each in value.items())
        return Tensors(tuple((name, array) for name, array in arrays if array is not None))
    if (array := _array(value)) is not None:
        return Tensors((("", array),))
    return None


def _outputs(outputs: list[dict[str, Any]]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Named arrays of a kservev2 answer, whose data is flat."""
    import numpy as np

    for output in outputs:
        data, shape, kind = output.get("data"), output.get("shape"), str(output.get("datatype", ""))
        if (flat := _array(data)) is not None and isinstance(shape, list) and all(map(is_number, shape)):
            array = flat.astype(_KSERVE.get(kind, kind.lower() if kind[:3] in ("INT", "UIN") else flat.dtype))
            if array.size == int(np.prod(shape)):
                yield str(output.get("name", "")), array.reshape([int(side) for side in shape])


def _array(value: Any) -> npt.NDArray[Any] | None:
    """Nested lists of numbers as an array; None where they are something else, or ragged."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "biuf" and value.size else None
    probe = value
    while isinstance(probe, list) and probe:
        probe = probe[0]
    if not isinstance(value, list) or not is_number(probe):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # ragged; too large a number
        return None
    return array if array.dtype.kind in "iuf" and array.size else None


def _first(row: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((row[key] for key in keys if key in row), None)
