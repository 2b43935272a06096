"""Streamed answers in the cell while they come: one display in the end, and none where nobody watches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handlerkit.notebook import live

SLOW = """
from ts.handler_utils.utils import send_intermediate_predict_response


def handle(data, context):
    if data is None:
        return
    for piece in ("one ", "two "):
        send_intermediate_predict_response([piece] * len(data), context.request_ids, "", 200, context)
    return ["three"] * len(data)
"""


@pytest.fixture
def displayed(notebook: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is displayed: (whether in the place of the one before, text)."""
    shown: list[Any] = []

    def publish(data: dict[str, str], metadata: Any = None, **options: Any) -> None:
        shown.append((options.get("update", False), data["text/plain"]))

    monkeypatch.setattr(notebook.shell.display_pub, "publish", publish)
    monkeypatch.setattr(live, "_INTERVAL", 0)
    notebook("%model m --batch-size 2")
    cell = notebook(f"%%handler h.py\n{SLOW}")
    assert cell.error is None, cell.error
    return shown


@pytest.fixture
def watched(notebook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook.shell, "kernel", SimpleNamespace(_allow_stdin=True), raising=False)


@pytest.mark.usefixtures("watched")
def test_text_grows_and_becomes_the_display_of_the_run(notebook: Any, displayed: list[Any]) -> None:
    cell = notebook("%%request\nhello")
    assert [update for update, _ in displayed] == [False, True, True]
    assert displayed[0][1].splitlines()[1:] == ["one "]
    assert displayed[1][1].splitlines()[1:] == ["one two "]
    assert "streamed in 3 chunks" in displayed[2][1]
    assert displayed[2][1].count("one two three") == 1
    assert cell.value.response.text == "one two three"


@pytest.mark.usefixtures("watched")
def test_the_cell_has_no_second_display_and_the_next_has_its_own(
    notebook: Any, displayed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 7
    monkeypatch.setattr(live, "_cell", lambda: number)
    run = notebook("%%request\nhello").value
    formatter = notebook.shell.display_formatter
    assert formatter.format(run) == ({}, {})
    number += 1
    assert "text/html" in formatter.format(run)[0]


@pytest.mark.usefixtures("watched")
def test_batch_of_streams_is_named_by_its_texts(notebook: Any, displayed: list[Any]) -> None:
    notebook("one, other = 'the sea', 'the hills'")
    notebook("%request one other")
    assert displayed[0][1].startswith("“the sea”  ->  streaming, 1 chunk,")
    assert "“the hills”  ->  streaming" in displayed[0][1]


@pytest.mark.usefixtures("watched")
def test_plain_answers_display_nothing_before(notebook: Any, displayed: list[Any]) -> None:
    notebook("%%handler h.py\ndef handle(data, context):\n    return ['x' for _ in data or ()]")
    notebook("%%request\nhello")
    assert displayed == []


def test_nothing_is_live_where_nobody_watches(notebook: Any, displayed: list[Any]) -> None:
    assert notebook("%%request\nhello").value.response.text == "one two three"
    assert displayed == []


LAGS = """
import time

from ts.handler_utils.utils import send_intermediate_predict_response


def handle(data, context):
    if data is None:
        return
    for piece in ("one ", "two "):
        send_intermediate_predict_response([piece] * len(data), context.request_ids, "", 200, context)
    time.sleep(1)
    return ["three"] * len(data)
"""


@pytest.mark.usefixtures("watched")
def test_a_piece_is_seen_though_none_follows_it(
    notebook: Any, displayed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_INTERVAL", 0.3)
    notebook(f"%%handler h.py\n{LAGS}")
    notebook("%%request\nhello")
    assert [text.splitlines()[1:] for _, text in displayed[:2]] == [["one "], ["one two "]]
    assert "streamed in 3 chunks" in displayed[-1][1]
    assert [update for update, _ in displayed] == [False, True, True]


@pytest.mark.usefixtures("watched")
def test_a_stream_that_breaks_leaves_what_came_and_says_so(notebook: Any, displayed: list[Any]) -> None:
    notebook(f"%%handler h.py\n{SLOW.replace('return [', 'raise ValueError([')[:-1].rstrip()})")
    notebook("%%request\nhello")
    update, text = displayed[-1]
    assert update
    assert "one two" in text
    assert "broken off" in text


@pytest.mark.usefixtures("watched")
def test_a_stream_that_the_user_ends_leaves_what_came(
    notebook: Any, displayed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = live.LiveDisplay._show

    def show(self: live.LiveDisplay, state: str = "streaming") -> None:
        shown(self, state)
        if len(displayed) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(live.LiveDisplay, "_show", show)
    notebook("%%request\nhello")
    first, *rest = displayed[-1][1].splitlines()
    assert "broken off by KeyboardInterrupt, 2 chunks" in first
    assert rest == ["one two "]
