"""Which color a class has: the same in every display that shares a ClassColors."""

from __future__ import annotations

import itertools

from handlerkit.predictions import Labels
from handlerkit.view import draw


class ClassColors:
    """The colors of a model's classes: by index_to_name.json, else by their index, else in the order in which they
    appear. One that finds its color taken gets the next that is free.

    A session has one for each model, so that a class keeps its color from picture to picture.
    """

    def __init__(self) -> None:
        self._places: dict[str | int, int] = {}

    def of(self, name: str, labels: Labels = None) -> draw.Color:
        """The color of a class; `labels` is index_to_name.json of its model."""
        indexes = {label: int(index) for index, label in (labels or {}).items() if index.isdecimal()}
        key = indexes.get(name, int(name) if name.isdecimal() else name)
        if key not in self._places:
            begin = key if isinstance(key, int) else max(indexes.values(), default=-1) + 1
            taken = set(self._places.values())
            self._places[key] = next(place for place in itertools.count(begin) if place not in taken)
        return draw.color(self._places[key])
