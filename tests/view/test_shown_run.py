"""A Run that remembers how it is to be shown."""

from __future__ import annotations

import handlerkit as hk
from handlerkit.messages import Geometry
from handlerkit.view.shown_run import ShownRun, geometry_of

BOXES = [{"box": [10, 10, 50, 40], "label": "coin", "score": 0.5}]


def test_it_is_shown_with_what_was_asked_for(send):
    assert '"label": "coin"' in hk.view(ShownRun.of(send(BOXES), "json")).text


def test_what_is_asked_for_later_wins_and_the_rest_stays(send):
    shown = ShownRun.of(ShownRun.of(send(BOXES), "json", Geometry(64)), "boxes")
    assert (shown.shown_as, shown.geometry) == ("boxes", Geometry(64))


def test_without_a_wish_a_run_stays_as_it_is(send):
    run = send(BOXES)
    assert ShownRun.of(run) is run


def test_it_is_a_run_everywhere(send):
    run = send(BOXES)
    shown = ShownRun.of(run, "json")
    assert shown.exchanges == run.exchanges
    assert hk.compare(run, shown).same
    assert repr(shown) == repr(run)


def test_a_geometry_that_is_asked_for_wins_over_the_handler_s(send):
    from handlerkit.messages import Call
    from handlerkit.timing import Timings

    run = send(BOXES, calls=(Call((), Timings(0.1), geometry=Geometry(256)),))
    assert geometry_of(run) == Geometry(256)
    assert geometry_of(ShownRun.of(run, geometry=Geometry(64))) == Geometry(64)
