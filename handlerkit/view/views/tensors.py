"""Arrays of numbers: .npy, the outputs of the kservev2 envelope, nested lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from handlerkit.predictions import are_rows, is_number
from handlerkit.view.contents.changes import Changes
from handlerkit.view.contents.drawings import MOST, Drawing
from handlerkit.view.decode.arrays import array_of
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import Source
from handlerkit.view.html import fragments
from handlerkit.view.views.spec import ViewSpec

if TYPE_CHECKING:
    import numpy.typing as npt

#: A list of fewer numbers is read faster as it is.
_FEWEST = 17
#: numpy's names of the kservev2 datatypes (KServe's Open Inference Protocol, "Tensor Data Types").
_KSERVE = {"FP16": "float16", "FP32": "float32", "FP64": "float64", "BOOL": "bool"}


@dataclass(frozen=True, eq=False)
class Tensors:
    """Arrays of numbers and their names, "" if there is only one without."""

    tensors: tuple[tuple[str, npt.NDArray[Any]], ...]


def _read(source: Source) -> Tensors | None:
    found = _asked(source)
    return found if found and sum(array.size for _, array in found.tensors) >= _FEWEST else None


def _asked(source: Source) -> Tensors | None:
    """However few the numbers are."""
    if source.array is not None:
        return Tensors((("", source.array),))
    value = source.json
    if isinstance(value, dict) and are_rows(value.get("outputs")):
        named = list(_outputs(value["outputs"]))
        return Tensors(tuple(named)) if len(named) == len(value["outputs"]) else None
    if isinstance(value, dict) and value and all(array_of(each) is not None for each in value.values()):
        arrays = ((str(name), array_of(each)) for name, each in value.items())
        return Tensors(tuple((name, array) for name, array in arrays if array is not None))
    if (array := array_of(value)) is not None:
        return Tensors((("", array),))
    return None


def _outputs(outputs: list[dict[str, Any]]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Named arrays of a kservev2 answer, whose data is flat."""
    import numpy as np

    for output in outputs:
        data, shape, kind = output.get("data"), output.get("shape"), str(output.get("datatype", ""))
        if (flat := array_of(data)) is not None and isinstance(shape, list) and all(map(is_number, shape)):
            array = flat.astype(_KSERVE.get(kind, kind.lower() if kind[:3] in ("INT", "UIN") else flat.dtype))
            if array.size == int(np.prod(shape)):
                yield str(output.get("name", "")), array.reshape([int(side) for side in shape])


def _draw(content: Tensors, answer: DecodedResponse) -> Drawing:
    shown = content.tensors[:MOST]
    facts = [fragments.tensor_fact(name, array) for name, array in shown]
    if len(content.tensors) > MOST:
        facts.append(f"and {len(content.tensors) - MOST} more")
    return Drawing(tuple(facts), html="".join(fragments.series(array) for _, array in shown))


@dataclass(frozen=True, eq=False)
class Histogram(Tensors):
    """Arrays of numbers of which one asks how often each value occurs."""


def _asked_distribution(source: Source) -> Histogram | None:
    found = _asked(source)
    return Histogram(found.tensors) if found is not None else None


def _draw_distribution(content: Histogram, answer: DecodedResponse) -> Drawing:
    drawn = _draw(content, answer)
    return replace(drawn, html="".join(fragments.histogram(array) for _, array in content.tensors[:MOST]))


def _changes(before: Tensors, after: Tensors, answer: DecodedResponse) -> Changes:
    import numpy as np

    lines = []
    there = dict(after.tensors)
    for name, array in before.tensors:
        label = name or "the tensor"
        if (other := there.get(name)) is None:
            lines.append(f"{label} is gone")
        elif other.shape != array.shape or other.dtype != array.dtype:
            lines.append(f"{label} was {array.dtype} {list(array.shape)}, is {other.dtype} {list(other.shape)}")
        elif (count := int((array != other).sum())) > 0:
            apart = np.nanmax(np.abs(array.astype(np.float64) - other.astype(np.float64)))
            lines.append(f"{label}: {count} of {array.size} numbers differ, by up to {apart:.4g}")
    lines += [f"{name or 'a tensor'} is new" for name in there if name not in dict(before.tensors)]
    return Changes(tuple(lines))


HISTOGRAM = ViewSpec(
    "histogram",
    lambda source: None,
    Histogram,
    _draw_distribution,
    asked=_asked_distribution,
    changes=_changes,
)
TENSORS = ViewSpec("tensor", _read, Tensors, _draw, asked=_asked, changes=_changes)
