"""A display says what the client got: what the kit adds is marked, and what did not arrive is not shown."""

from __future__ import annotations

import dataclasses
import json

import pytest
from PIL import Image

import handlerkit as hk
from handlerkit import view
from handlerkit.messages import Exchange, Request, Response, Run
from handlerkit.view import draw
from handlerkit.view.draw.labels import line
from handlerkit.view.preview.message import message
from handlerkit.view.preview.preview import Preview

LABELS = {"0": "cat", "1": "dog"}
ADDED = "1 · dog in index_to_name.json"
STEERS = "\x1b[31mred\u202e"
SHOWN = "\\x1b[31mred\\u202e"


def broken_off(run: Run, chunks: tuple[bytes, ...] | None = None) -> Run:
    (one,) = run.exchanges
    response = dataclasses.replace(one.response, complete=False, chunks=chunks)
    return dataclasses.replace(run, exchanges=(dataclasses.replace(one, response=response),))


# --- labels that the answer does not hold -----------------------------------------------------------------------------

INDEXES = {
    "classes": {"1": 0.7, "0": 0.3},
    "boxes": [{"box": [1, 2, 30, 40], "label": 1, "score": 0.5}],
    "masks": [{"segmentation": {"size": [80, 100], "counts": [0, 80, 7920]}, "category_id": 1, "score": 0.5}],
    "segmentation": [[1] * 100] * 80,
}


@pytest.mark.parametrize("name", INDEXES)
def test_a_label_is_beside_the_answer_s_index(send, name):
    run = send(INDEXES[name], labels=LABELS)
    shown = view(run)
    assert ADDED in shown.text
    assert ADDED in shown.html


@pytest.mark.parametrize("name", ["boxes", "masks", "segmentation"])
def test_the_preview_s_classes_say_what_was_added(send, name):
    run = send(INDEXES[name], labels=LABELS)
    assert message(run, run.exchanges[0], "a").facts["classes"][0]["name"] == ADDED


def test_the_preview_s_bars_say_what_was_added(send):
    run = send(INDEXES["classes"], labels=LABELS)
    assert ADDED in message(run, run.exchanges[0], "a").facts["html"]


def test_a_comparison_says_what_was_added(send):
    one, other = (send(answer, labels=LABELS) for answer in ({"1": 0.7, "0": 0.3}, {"0": 0.7, "1": 0.3}))
    assert f"was {ADDED}, is 0 · cat in index_to_name.json" in view(hk.compare(one, other)).text


def test_a_label_in_the_answer_is_left_alone(send):
    shown = view(send({"dog": 0.7, "cat": 0.3}, labels=LABELS))
    assert "dog 70 %, cat 30 %" in shown.text
    assert "index_to_name" not in shown.html


def test_a_label_that_looks_like_an_index_is_left_alone(send):
    assert "1 70 %, 2 30 %" in view(send({"1": 0.7, "2": 0.3}, labels={"0": "1", "1": "2"})).text


def test_an_index_has_the_color_of_its_label(send):
    shown = view(send(INDEXES["boxes"], labels=LABELS))
    assert shown.image.getpixel((5, 100)) == draw.color(1)


# --- guesses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [{"lat": 0.2, "lon": 0.7}, {"n": 1}])
def test_names_and_numbers_stay_json(send, answer):
    shown = view(send(answer))
    assert shown.text.splitlines()[-1] == json.dumps(answer).replace("{", "{ ").replace("}", " }")
    assert "hk-bars" not in shown.html.partition("</style>")[2]


def test_json_that_is_shown_as_something_is_a_click_away(send):
    shown = view(send({"cat": 0.7, "dog": 0.3}))
    assert shown.text.splitlines()[-1] == "JSON shown as classes: --as json shows it as it is"
    fold = (
        '<summary>answer <span class="hk-soft">JSON shown as classes</span></summary><pre class="hk-code">{ &quot;cat'
    )
    assert fold in shown.html


def test_the_json_of_each_card_is_a_click_away(send):
    run = send({"cat": 0.7, "dog": 0.3})
    shown = view(dataclasses.replace(run, exchanges=run.exchanges * 3))
    assert shown.text.count("JSON shown as classes") == 1
    assert shown.html.count("JSON shown as classes</span></summary><pre") == 3


def test_what_was_assumed_of_boxes_is_told(send):
    shown = view(send([{"x": 30, "y": 30, "width": 20, "height": 10, "class": "coin", "confidence": 0.5}]))
    assert "1 box: coin 0.50 (20,25)-(40,35)\nx and y are read as the boxes' centers" in shown.text


def test_polygons_are_drawn_as_masks(send):
    shown = view(send([{"polygon": [[10, 10], [50, 10], [50, 40], [10, 40]], "label": "coin", "score": 0.5}]))
    assert "1 mask: coin 0.50 (10,10)-(51,41)" in shown.text


# --- what did not arrive ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status", "said"),
    [
        ("HEAD", 200, "no body: the answer to HEAD has none"),
        ("POST", 204, "no body: a 204 has none, whatever the handler returned"),
        ("POST", 200, "empty body"),
    ],
)
def test_an_answer_without_a_body_says_why(method, status, said):
    run = Run((Exchange(Request(method=method), Response(status)),), model="coins")
    assert view(run).text.splitlines()[-1] == said
    assert said in view(run).html


def test_no_answer_has_neither_size_nor_body():
    shown = view(Run((Exchange(Request(), Response(None)),), model="coins"))
    assert shown.text == "POST /predictions/coins  ->  no answer"
    assert "0 B" not in shown.html


@pytest.mark.parametrize("body", [{"cat": 0.7, "dog": 0.3}, Image.new("RGB", (30, 20)), b'{"cat": 0.7,'])
def test_a_broken_answer_is_not_drawn_as_a_whole_one(send, body):
    shown = view(broken_off(send(body)))
    assert "broken off: this is all that the client got" in shown.text
    assert shown.image is None
    assert "hk-bars" not in shown.html.partition("</style>")[2]


def test_the_pieces_of_a_broken_stream_are_those_that_came(send):
    shown = view(broken_off(send(b'{"cat":0.7,'), (b'{"cat":', b"0.7,")))
    assert "streamed in 2 chunks\nbroken off: this is all that the client got\n" in shown.text


def test_one_chunk_is_one(send):
    assert ", 1 chunk " in view(send(b"one", chunks=(b"one",))).text


def test_the_rows_of_a_batch_that_failed_are_not_drawn(send):
    runs = [send(INDEXES["boxes"]), send(INDEXES["boxes"], status=500)]
    shown = view(Run(tuple(run.exchanges[0] for run in runs), model="coins"))
    assert shown.text.splitlines()[0] == "2 requests to coins  ->  1 × 200, 1 × 500"
    assert shown.html.count("<img") == 1


def test_an_error_after_boxes_is_not_shown_as_no_boxes(send):
    before = send(INDEXES["boxes"])
    first = message(before, before.exchanges[0], "a")
    failed = send([], status=503)
    assert message(failed, failed.exchanges[0], "a", first).facts["view"] == "json"


# --- text that would steer --------------------------------------------------------------------------------------------


def test_a_sample_s_name_is_written_out_everywhere():
    request = Request(body=b"x", label=STEERS)
    preview = Preview([request], lambda asked: Run((Exchange(asked, Response(200, body=b"y")),), model="coins"))
    assert preview.samples == (SHOWN,)
    assert preview.answers[SHOWN].facts["sample"] == SHOWN


def test_a_saved_page_s_title_is_written_out(tmp_path):
    run = Run((Exchange(Request(label="a"), Response(200, body=b"y")),), model="coins")
    page = Preview([run.request], lambda asked: run, title=STEERS).save(tmp_path / "page.html").read_text("utf-8")
    assert f"<title>{SHOWN}</title>" in page


def test_letters_on_a_picture_are_written_out():
    assert line(STEERS) == SHOWN


def test_alternative_texts_are_written_out(send):
    html = view(send([{"box": [1, 2, 30, 40], "label": STEERS, "score": 0.5}])).html
    assert f'alt="1 box: {SHOWN} 0.50' in html
    assert "\x1b" not in html


def test_a_run_s_repr_is_written_out():
    body = json.dumps({"message": STEERS}).encode()
    run = Run((Exchange(Request(), Response(500, "", (("content-type", "application/json"),), body)),), model="coins")
    assert repr(run) == f"<Run coins: 500 {SHOWN}>"
