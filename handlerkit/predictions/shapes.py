"""What JSON holds, and how its rows name a class and its score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

#: index_to_name.json: a class's index, as text, to its name.
Labels = Mapping[str, str] | None

#: Keys that hold what was found.
WRAPPERS = (
    *("predictions", "explanations", "detections", "objects", "annotations", "result", "results"),
    *("instances", "pred_instances", "faces", "images"),
)
#: Keys of a row, as `plain_key` writes them: what holds the class, the score.
LABEL_KEYS = (
    *("label", "class", "category", "classname", "classlabel", "tagname", "predictedclass", "prediction"),
    *("categoryid", "classid", "name"),
)
SCORE_KEYS = ("score", "confidence", "probability", "prob", "conf")


def bodies(answer: Any) -> Iterator[Any]:
    """The answer, and what is in it where it is only a wrapper, as the json and kserve envelopes make it, or rows
    with some words about them, as Roboflow answers; also a wrapper in a list of one, as its workflows answer."""
    yield answer
    if (
        isinstance(answer, list)
        and len(answer) == 1
        and is_object(answer[0])
        and not answer[0].keys().isdisjoint(WRAPPERS)
    ):
        yield from bodies(answer[0])
    wrappers = [key for key in WRAPPERS if key in answer] if is_object(answer) else []
    if len(wrappers) == 1 and (len(answer) == 1 or are_rows(answer[wrappers[0]])):
        inner = answer[wrappers[0]]
        if isinstance(inner, list) and len(inner) == 1 and len(answer) == 1:
            yield inner[0]
        yield from bodies(inner)


def is_number(value: Any) -> bool:
    """Whether it is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def are_rows(value: Any) -> bool:
    """Whether it is a list of objects, one at least."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def first(row: Mapping[str, Any], keys: Sequence[str], default: Any = None) -> Any:
    """The value of the first of these keys that there is."""
    return next((row[key] for key in keys if key in row), default)


def plain_key(name: str) -> str:
    """A key of JSON as it is compared: "category_id" and "categoryId" are one."""
    return name.lower().replace("_", "")


def label_of(row: Mapping[str, Any], default: Any = "") -> Any:
    """What a row calls its class: its name if there is one beside the index."""
    named = [row[key] for key in LABEL_KEYS if key in row]
    return next((label for label in named if isinstance(label, str)), named[0] if named else default)


def name_of(label: Any) -> str | None:
    """A class's name, or its index in digits, also of 3.0; None if this is neither."""
    if is_number(label) and label == label // 1:
        return str(int(label))
    return label if isinstance(label, str) else None


def table_of(value: Any, dimensions: int) -> Any:
    """Nested lists of numbers, or an array, as an array of that many dimensions; None if they are not."""
    import numpy as np

    probe = value
    for _ in range(0 if isinstance(value, np.ndarray) else dimensions):
        if not isinstance(probe, list) or not probe:
            return None
        probe = probe[0]
    if not isinstance(value, np.ndarray) and not is_number(probe):
        return None
    try:
        table = np.asarray(value)
    except (ValueError, OverflowError):  # ragged; too large a number
        return None
    return table if table.ndim == dimensions and table.dtype.kind in "iuf" and table.size else None
