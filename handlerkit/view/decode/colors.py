"""Which color a class has: the same in every display that shares a ClassColors."""

from __future__ import annotations

from handlerkit.predictions import Labels
from handlerkit.view import draw


class ClassColors:
    """The colors of classes: by index_to_name.json, else by their index, else in the order in which they appear.

    A session has one, so that a class keeps its color from picture to picture.
    """

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def of(self, name: str, labels: Labels = None) -> draw.Color:
        """The color of a class; `labels` is index_to_name.json of its model."""
        indexes = {label: int(index) for index, label in (labels or {}).items() if index.isdecimal()}
        if name in indexes:
            return draw.color(indexes[name])
        if name.isdecimal():
            return draw.color(int(name))
        place = self._places.setdefault(name, len(self._places))
        return draw.color(place + max(indexes.values(), default=-1) + 1)
