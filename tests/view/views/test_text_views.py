"""Answers about texts, and sound: entities, several texts, streams, a player."""

from __future__ import annotations

import io
import json
import re
import wave
from typing import Any

import pytest

from handlerkit import view
from handlerkit.messages import Exchange, Request, Response, Run
from handlerkit.view.decode.pieces import joined
from handlerkit.view.diff.comparison import compare
from handlerkit.view.render import answer
from handlerkit.view.views.audio import PLAYED
from handlerkit.view.views.entities import Entity, MarkedText
from handlerkit.view.views.several import AnsweredTexts

TEXT = "Ada Lovelace lived in London"


def sent(body: Any, request: Request, **response: Any) -> Run:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Run((Exchange(request, Response(200, body=data, **response)),), model="m")


def read(run: Run) -> Any:
    return answer(run, run.exchanges[0])


# --- entities ---------------------------------------------------------------------------------------------------------

PER = {"entity_group": "PER", "score": 0.99, "word": "Ada Lovelace", "start": 0, "end": 12}
LOC = {"entity_group": "LOC", "score": 0.9, "word": "London", "start": 22, "end": 28}
FOUND = (Entity("PER", 0, 12, 0.99), Entity("LOC", 22, 28, 0.9))
TOKENS = [
    {"entity": "B-PER", "score": 0.99, "index": 1, "word": "Ada", "start": 0, "end": 3},
    {"entity": "I-PER", "score": 0.995, "index": 2, "word": "Love", "start": 4, "end": 8},
    {"entity": "I-PER", "score": 0.995, "index": 3, "word": "##lace", "start": 8, "end": 12},
    {"entity": "B-LOC", "score": 0.9, "index": 6, "word": "London", "start": 22, "end": 28},
]
FORMS = {
    "groups": [PER, LOC],
    "groups for a list of one text": [[PER, LOC]],
    "any order": [LOC, PER],
    "tokens": TOKENS,
    "tokens without places": [{**row, "start": None, "end": None} for row in TOKENS],
    "an envelope's": {"predictions": [[PER, LOC]]},
    "with its text": {"text": TEXT, "entities": [PER, LOC]},
    "spaCy's": {"ents": [{"label": "PER", "start": 0, "end": 12, "score": 0.99}, {**LOC, "label": "LOC"}]},
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_entities(form: str) -> None:
    found = read(sent(FORMS[form], Request.text(TEXT)))
    assert found.view == "entities"
    assert found.content == MarkedText(TEXT, FOUND)


@pytest.mark.parametrize(
    "rows",
    [
        [{**PER, "end": 400}],
        [{**PER, "start": 0.5, "end": 1.5}],
        [{"start": 0, "end": 3}],
        [{**PER, "start": 3, "end": 3}],
    ],
)
def test_other_rows_are_no_entities(rows: Any) -> None:
    assert read(sent(rows, Request.text(TEXT))).view != "entities"


def test_entities_are_marked_in_the_text_that_was_sent() -> None:
    shown = view(sent([PER, LOC], Request.text(TEXT)))
    assert "2 entities: PER “Ada Lovelace” 0.99, LOC “London” 0.90" in shown.text
    marked = re.sub(r' (class|style)="[^"]*"', "", re.findall(r'<div class="hk-marked">(.*?)</div>', shown.html)[0])
    assert marked == ("<mark>Ada Lovelace <span>PER</span></mark> lived in <mark>London <span>LOC</span></mark>")


def test_text_with_marks_is_never_markup() -> None:
    text = "<b>Ada</b> &amp;"
    row = {"entity": "<i>", "start": 3, "end": 6}
    shown = view(sent([row], Request.text(text))).html
    assert "&lt;b&gt;<mark" in shown
    assert "&lt;i&gt;" in shown
    assert "<i>" not in shown


def test_entity_that_begins_in_another_is_told_and_not_marked() -> None:
    shown = view(sent([PER, {**PER, "entity_group": "NAME", "start": 4}], Request.text(TEXT)))
    assert "PER “Ada Lovelace” 0.99, NAME “Lovelace” 0.99" in shown.text
    assert shown.html.count("<mark ") == 1


def test_entities_are_compared() -> None:
    before, after = sent([PER], Request.text(TEXT)), sent([LOC], Request.text(TEXT))
    text = view(compare(before, after)).text
    assert "found no longer: PER “Ada Lovelace” 0.99" in text
    assert "newly found: LOC “London” 0.90" in text


# --- several texts ----------------------------------------------------------------------------------------------------

CLASSES = [{"good": 0.9, "bad": 0.1}, {"good": 0.25, "bad": 0.75}]
TEXTS = ["a good film", "what a bad film"]


@pytest.mark.parametrize("body", [CLASSES, {"predictions": CLASSES}])
def test_each_answer_stands_beside_its_text(body: Any) -> None:
    run = sent(body, Request.json({"instances": TEXTS}))
    found = read(run)
    assert (found.view, type(found.content)) == ("texts", AnsweredTexts)
    assert [one.view for one in found.content.answers] == ["classes", "classes"]
    text = view(run).text
    assert "“a good film”  ->  good 90 %, bad 10 %" in text
    assert "“what a bad film”  ->  good 25 %, bad 75 %" in text
    assert "a good film</div>" in view(run).html
    assert "JSON shown as texts" in text


LINES = b"good 0.9000\nbad 0.1000\n\nbad 0.7500\ngood 0.2500"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (["good", "bad"], ("good", "bad")),
        ({"predictions": ["good", "bad"]}, ("good", "bad")),
        ({"labels": ["good", "bad"], "scores": [0.9, 0.75]}, ("good 90 %", "bad 75 %")),
        ({"labels": ["good", "good"], "scores": [0.5, 0.5]}, ("good 50 %", "good 50 %")),
        (
            {"labels": [["good", "bad"], ["bad", "good"]], "scores": [[0.9, 0.1], [0.75, 0.25]]},
            ("good 90 %, bad 10 %", "bad 75 %, good 25 %"),
        ),
        ({"generated_text": ["at sea", "at home"], "model": "m"}, ("at sea", "at home")),
        (LINES, ("good 0.9000 bad 0.1000", "bad 0.7500 good 0.2500")),
        ([{"labels": ["good"], "scores": [0.9]}, {"labels": [], "scores": []}], ("good 90 %", "0 classes")),
        (b"PER 0.9900 Ada Lovelace\n\n", ("PER 0.9900 Ada Lovelace", "empty body")),
    ],
    ids=[
        *("texts", "wrapped", "columns", "two shares of 1", "columns of lists", "one column", "lines"),
        *("below the threshold", "no entity"),
    ],
)
def test_forms_of_answers_to_several_texts(body: Any, said: tuple[str, str]) -> None:
    run = sent(body, Request.json(TEXTS), headers=(("content-type", "text/plain"),) * isinstance(body, bytes))
    assert read(run).view == "texts"
    shown = view(run)
    for text, answered in zip(TEXTS, said, strict=True):
        assert f"“{text}”  ->  {answered}" in shown.text.splitlines()
        assert f"{text}</div>" in shown.html
    words = " ".join(re.sub(r"<[^>]*>", " ", shown.html).split())
    assert all(word in words for answered in said for word in answered.split(", "))
    assert ("JSON shown as" in shown.text) == (not isinstance(body, bytes))


def test_pipelines_answers_to_two_texts_are_not_classes_of_one() -> None:
    rows = [{"label": "good", "score": 0.9}, {"label": "bad", "score": 0.75}]
    assert read(sent(rows, Request.json(TEXTS))).view == "texts"
    assert read(sent(rows, Request.text(TEXTS[0]))).view == "classes"


@pytest.mark.parametrize(
    "body",
    [
        CLASSES[:1],
        [0.5, 0.5],
        {"good": 0.9, "bad": 0.1},
        {"labels": ["good", "bad"], "scores": [0.9, 0.1]},
        b"Once upon a time.\n\nThe end.",
    ],
)
def test_other_answers_to_two_texts_are_read_as_a_whole(body: Any) -> None:
    assert read(sent(body, Request.json(TEXTS))).view != "texts"


def test_entities_of_several_texts_show_each_text_once() -> None:
    shown = view(sent([[PER, LOC], []], Request.json([TEXT, "nothing here"])))
    assert shown.html.count(" lived in ") == 1
    assert "nothing here" in shown.html


def test_requests_of_a_batch_are_named_by_their_texts() -> None:
    exchanges = [sent(body, Request.text(text)).exchanges[0] for body, text in zip(CLASSES, TEXTS, strict=True)]
    shown = view(Run(tuple(exchanges), model="m"))
    assert "“a good film”  ->  200" in shown.text
    assert "<b>“what a bad film”</b>" in shown.html
    assert "request 1" not in shown.text


# --- streams ----------------------------------------------------------------------------------------------------------


def streamed(*chunks: bytes, **options: Any) -> Run:
    arrivals = options.pop("arrivals", tuple(0.5 + number / 10 for number in range(len(chunks))))
    return sent(b"".join(chunks), Request.text("go"), chunks=chunks, arrivals=arrivals, **options)


def test_stream_stands_joined_with_its_pace_and_its_pieces_folded() -> None:
    shown = view(streamed(b"gr", b"\xc3", b"\xb6\xc3\x9fer ", b"one"))
    assert "streamed in 4 chunks, the first after 500 ms, ≈10 chunks a second\ngrößer one" in shown.text
    assert '<pre class="hk-code">größer one</pre><details><summary>pieces' in shown.html


def test_batch_of_streams_shows_each_text() -> None:
    one, other = (streamed(b"a ", b"story of ", end).exchanges[0] for end in (b"the sea", b"the hills"))
    html = view(Run((one, other), model="m")).html
    assert '<pre class="hk-code">a story of the sea</pre>' in html
    assert '<pre class="hk-code">a story of the hills</pre>' in html


EVENTS = [b'data: {"choices": [{"delta": {"content": "a "}}]}\n\n', b'data: {"text": "b"}\n\n', b"data: [DONE]\n\n"]


@pytest.mark.parametrize(
    ("chunks", "kind", "text"),
    [
        ([b"a", b"b"], None, "ab"),
        ([b"a\xf0\x9f"], None, "a"),
        ([b"\xf0\x9f", b"\x98\x80"], None, "😀"),
        ([b"a\xffb", b"c"], None, None),
        ([b"a\0", b"b"], None, None),
        ([b'{"a": 1}', b'{"a": 2}'], None, None),
        ([b"{a", b"b}"], None, "{ab}"),
        (EVENTS, "text/event-stream", "a b"),
        ([b"event: x\n\n"], "text/event-stream", "event: x\n\n"),
    ],
)
def test_text_of_pieces(chunks: list[bytes], kind: str | None, text: str | None) -> None:
    assert joined(chunks, kind) == text


# --- sound ------------------------------------------------------------------------------------------------------------


def sound(seconds: float = 0.5) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(2 * int(8000 * seconds)))
    return file.getvalue()


def test_sound_has_a_player() -> None:
    shown = view(sent(sound(), Request.text("hello")))
    assert "WAV, 8000 Hz, 1 channel, 500 ms, 8 KB" in shown.text
    assert '<audio class="hk-audio" controls preload="metadata" src="data:audio/wav;base64,UklGR' in shown.html


@pytest.mark.parametrize(
    ("body", "headers", "format"),
    [
        (b"ID3\4\0", (), "MP3"),
        (b"\xff\xfb\x90", (("content-type", "audio/mpeg"),), "MP3"),
        (b"OggS\0", (), "Ogg"),
        (b"fLaC\0", (), "FLAC"),
        (b"RIFF\0\0\0\0WAVEbroken", (), "WAV"),
    ],
)
def test_formats_of_sound(body: bytes, headers: Any, format: str) -> None:
    found = read(sent(body, Request.text("hello"), headers=headers))
    assert (found.view, found.content.format) == ("audio", format)


def test_long_sound_is_not_put_into_the_notebook() -> None:
    shown = view(sent(sound(PLAYED / 16000 + 1), Request.text("hello")))
    assert "above 1 MB it is not played here" in shown.text
    assert "<audio" not in shown.html


def test_a_content_type_ends_no_attribute() -> None:
    kind = (("Content-Type", 'audio/x" onerror="alert(1)'),)
    assert 'onerror="' not in view(sent(b"RIFF and more", Request.text(TEXT), headers=kind)).html
