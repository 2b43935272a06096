"""Progress: a widget in a notebook, nothing elsewhere, gone at the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handlerkit.notebook import progress


class Widget(SimpleNamespace):
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Widget]:
    """The widgets that were displayed."""
    widgets: list[Widget] = []

    def show(kind: str, **options: Any) -> Widget:
        widgets.append(Widget(kind=kind, **options))
        return widgets[-1]

    monkeypatch.setattr(progress, "_show", show)
    return widgets


def test_step_shows_one_line_that_changes(shown) -> None:
    with progress.step("starting") as say:
        say("sending")
        assert [(widget.value, widget.closed) for widget in shown] == [("sending", False)]
    assert shown[0].closed


def test_step_is_gone_after_an_error(shown) -> None:
    with pytest.raises(KeyError), progress.step("starting"):
        raise KeyError
    assert shown[0].closed


def test_large_files_show_one_bar(shown) -> None:
    with progress.bytes_written("writing coins") as tell:
        tell(0, 200_000_000)
        tell(50_000_000, 200_000_000)
        (bar,) = shown
        assert (bar.value, bar.max) == (50_000_000, 200_000_000)
        assert bar.description == "writing coins: 50 MB of 200 MB"
    assert bar.closed


def test_small_files_show_none(shown) -> None:
    with progress.bytes_written("writing coins") as tell:
        tell(10, 20)
    assert shown == []


def test_outside_a_notebook_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("starting") as say, progress.bytes_written("writing") as tell:
        say("sending")
        tell(1, 10**9)
    assert capsys.readouterr() == ("", "")
