"""Which color a class has, and who tells it from others."""

from __future__ import annotations

import re

import numpy as np
import pytest
from color_vision import VISIONS, apart, ciede2000

from handlerkit import view
from handlerkit.timing import STAGES
from handlerkit.view import draw
from handlerkit.view.decode.colors import ClassColors
from handlerkit.view.html.exchange import stage_colors
from handlerkit.view.preview.message import message
from handlerkit.view.shown_run import ShownRun

#: Pairs of CIELAB and their distance, of Sharma, Wu and Dalal's test data.
SHARMA = [
    ([50, 2.6772, -79.7751], [50, 0, -82.7485], 2.0425),
    ([50, 2.5, 0], [73, 25, -18], 27.1492),
    ([2.0776, 0.0795, -1.1350], [0.9033, -0.0636, -0.5514], 0.9082),
]
TWELVE = "person bicycle car motorcycle airplane bus train truck boat bench bird dog".split()


@pytest.mark.parametrize(("one", "other", "distance"), SHARMA)
def test_distances_are_those_of_the_published_data(one, other, distance):
    assert ciede2000(np.array([one]), np.array([other]))[0, 0] == pytest.approx(distance, abs=1e-4)


@pytest.mark.parametrize("vision", VISIONS)
def test_twenty_classes_are_told_apart(vision):
    assert apart(draw.palette()[:20], vision).min() >= 10


@pytest.mark.parametrize("vision", VISIONS)
def test_any_twenty_neighbors_are_told_apart(vision):
    between = apart(draw.palette(), vision)
    assert min(between[i : i + 20, i : i + 20].min() for i in range(237)) > 7.8


def test_a_hundred_classes_have_a_hundred_colors():
    assert apart(draw.palette()[:100]).min() > 5
    assert len(set(draw.palette())) == 256


@pytest.mark.parametrize("vision", VISIONS)
def test_a_handler_s_own_stages_look_like_none_of_the_usual_ones(vision):
    colors = stage_colors((*STAGES, *(f"own_{i}" for i in range(6))))
    assert apart(list(colors.values()), vision).min() >= 8


def rows(*names: str) -> list[dict[str, object]]:
    return [{"label": name, "box": [5 * i, 20, 5 * i + 4, 60]} for i, name in enumerate(names)]


def swatches(page: str) -> dict[str, str]:
    """Each class of the key and its color."""
    found = re.findall(r'style="background:(rgb[^"]*)"></span>(\w+) ', page)
    return {name: color for color, name in found}


def test_twelve_names_have_twelve_colors_of_the_first_twenty(send):
    colors = swatches(view(send(rows(*TWELVE))).html)
    assert set(colors) == set(TWELVE)
    assert len(set(colors.values())) == 12
    assert {tuple(map(int, color[4:-1].split(","))) for color in colors.values()} <= set(draw.palette()[:20])


def test_index_to_name_decides_and_others_come_after_it():
    colors, labels = ClassColors(), {"0": "background", "1": "coin"}
    assert colors.of("coin", labels) == colors.of("1", labels) == draw.color(1)
    assert (colors.of("ring", labels), colors.of("cup", labels)) == (draw.color(2), draw.color(3))
    assert colors.of("ring", labels) == draw.color(2)


@pytest.mark.parametrize("order", [["coin", "0", "1"], ["0", "coin", "1"], ["1", "0", "coin"]])
def test_names_and_indexes_of_one_answer_have_colors_of_their_own(order):
    colors = ClassColors()
    assert len({colors.of(name) for name in order}) == 3
    assert [colors.of(name) for name in order] == [colors.of(name) for name in order]


def test_indexes_have_their_places_whatever_came_before():
    colors = ClassColors()
    assert [colors.of(name) for name in ("7", "2", "5")] == [draw.color(place) for place in (7, 2, 5)]


def test_a_class_has_its_color_in_every_display_of_a_session(send):
    session = ClassColors()
    first, second = (ShownRun.of(send(rows(*names)), colors=session) for names in (("dog", "cat"), ("cat", "dog")))
    one, other = swatches(view(first).html), swatches(view(second).html)
    assert one == other
    facts = message(second, second.exchanges[0], "a sample").facts
    shown = {row["name"]: "rgb({},{},{})".format(*row["color"]) for row in facts["classes"]}
    assert shown == one
