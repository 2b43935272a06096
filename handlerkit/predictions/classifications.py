"""Classes and their probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from handlerkit.predictions.shapes import (
    LABEL_KEYS,
    SCORE_KEYS,
    Labels,
    are_rows,
    bodies,
    first,
    is_number,
    is_object,
    label_of,
    name_of,
    plain_key,
)

#: What may be in a row beside a class and its score without making it something else.
_COUNTERS = ("id", "index", "rank")
_NAMES, _VALUES = ("labels", "classes", "texts"), ("scores", "probabilities", "probs")
#: How many classes image_classifier answers (ts/torch_handler/image_classifier.py, topk).
_TOP = 5


@dataclass(frozen=True)
class Classifications:
    """Names and their probabilities, in the answer's order."""

    names: tuple[str, ...]
    probabilities: tuple[float, ...]

    @classmethod
    def read(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """The classes in a JSON answer; None if it holds none in a shape known here.

        Names and numbers alone may be anything, `{"lat": 0.2, "lon": 0.7}`. They are classes if the names are in
        `labels` (index_to_name.json), if the numbers add up to 1, or if there are as many as image_classifier answers,
        or indexes for names, the most likely first.
        """
        for body in bodies(answer):
            for constructor in (cls.from_image_classifier, cls.from_columns, cls.from_rows, cls.from_probabilities):
                if (found := constructor(body, labels)) is not None:
                    return found
        return None

    @classmethod
    def from_image_classifier(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """TorchServe's image_classifier and text_classifier: `{"tabby cat": 0.9, ...}`, a softmax's largest."""
        return cls._of(list(answer.items())) if is_object(answer) and _are_classes(answer, labels) else None

    @classmethod
    def from_columns(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """`{"labels": [...], "scores": [...]}`; also "classes" or "texts", and "probabilities" or "probs". With another
        column, such as boxes, it is something else."""
        if not is_object(answer):
            return None
        names, values = first(answer, _NAMES), first(answer, _VALUES)
        if not isinstance(names, list) or not isinstance(values, list) or len(names) != len(values):
            return None
        if any(isinstance(column, list) and column is not names and column is not values for column in answer.values()):
            return None
        if not names:  # all are below the model's threshold
            return cls((), ())
        return cls._of(list(zip(names, values, strict=True)))

    @classmethod
    def from_rows(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """`[{"label": "cat", "score": 0.9}, ...]` as in transformers' pipelines, or one such row. A pipeline
        puts the rows for a list of one text into a list more. What holds more than a class and its score is something
        else."""
        rows = [answer] if isinstance(answer, dict) else answer
        if isinstance(rows, list) and len(rows) == 1 and are_rows(rows[0]):
            rows = rows[0]
        if not are_rows(rows):
            return None
        found = [{plain_key(name): value for name, value in row.items()} for row in rows]
        if any(row.keys() - {*LABEL_KEYS, *SCORE_KEYS, *_COUNTERS} for row in found):
            return None
        pairs = [(label_of(row, None), first(row, SCORE_KEYS)) for row in found]
        # anybody may have a name and a score; a label, a class or a category tells what it is
        labeled = all(row.keys() & {*LABEL_KEYS[:-1]} for row in found)
        return cls._of(pairs) if labeled or _are_classes({str(name): score for name, score in pairs}, labels) else None

    @classmethod
    def from_probabilities(cls, answer: Any, labels: Labels = None) -> Classifications | None:
        """A softmax's whole row: two numbers or more that add up to 1, named by their index."""
        if not isinstance(answer, list) or not all(map(is_number, answer)):
            return None
        return cls._of(list(enumerate(answer))) if _add_up_to_1(answer, 0.001) else None

    @classmethod
    def _of(cls, pairs: list[tuple[Any, Any]]) -> Classifications | None:
        names = [name_of(name) for name, _ in pairs]
        if not pairs or None in names or not all(is_number(value) and 0 <= value <= 1.001 for _, value in pairs):
            return None
        return cls(tuple(name or "" for name in names), tuple(float(value) for _, value in pairs))


def _are_classes(answer: Mapping[str, Any], labels: Labels) -> bool:
    """Whether names and their values are likely classes and their probabilities."""
    values = list(answer.values())
    # whole numbers are counts
    if not all(map(is_number, values)) or not any(isinstance(value, float) for value in values):
        return False
    if {*(labels or {}), *(labels or {}).values()}.issuperset(answer) or _add_up_to_1(values, 0.01):
        return True
    falling = len(values) > 1 and sum(values) <= 1.001 and all(one >= other for one, other in pairwise(values))
    return falling and (len(values) >= _TOP or all(name.isdecimal() for name in answer))


def _add_up_to_1(values: Sequence[float], within: float) -> bool:
    """Two numbers or more, and not all of them whole."""
    return len(values) > 1 and any(isinstance(value, float) for value in values) and abs(sum(values) - 1) < within
