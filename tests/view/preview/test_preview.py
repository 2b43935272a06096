"""A Preview: what a notebook shows of it, what the browser asks it, what it saves."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comm
import nbformat
import pytest
from comm.base_comm import BaseComm
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from preview_answers import boxes, input_image, preview, run

from handlerkit.errors import HandlerkitError, RequestError
from handlerkit.messages import Request, Run
from handlerkit.view.preview.preview import Preview

WIDGET = "application/vnd.jupyter.widget-view+json"


class Recorder(BaseComm):
    """A comm that nobody listens to."""

    sent: list[tuple[str, dict[str, Any], list[Any]]] = []  # noqa: RUF012

    def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any) -> None:
        self.sent.append((msg_type, data or {}, list(buffers or [])))


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, Any], list[Any]]]]:
    """(kind, data, buffers) of every message to the browser."""
    monkeypatch.setattr(comm, "create_comm", lambda **options: Recorder(**options))
    monkeypatch.setattr(Recorder, "sent", [])
    return Recorder.sent


def one(count: int = 3, label: str = "a.jpg") -> Run:
    return run(boxes(count, 320, 240), input_image(), label=label)


def test_first_sample_is_sent_at_once_and_the_others_are_not() -> None:
    asked: list[str] = []

    def predict(request: Request) -> Run:
        asked.append(request.label)
        return one(label=request.label)

    Preview([Request(label="a"), Request(label="b")], predict)
    assert asked == ["a"]


def test_samples_of_the_same_name_are_told_apart() -> None:
    shown = Preview([Request(label="a"), Request(label="a"), Request()], lambda request: one())
    assert shown.samples == ("a", "a (2)", "sample")


def test_sample_that_is_not_there_is_named() -> None:
    with pytest.raises(RequestError, match=r"there is no sample 'x': choose one of a\.jpg"):
        preview(one()).ask("x")


def test_display_is_html_with_the_answer_s_picture_and_no_widget_view() -> None:
    bundle = preview(one())._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/png"}
    assert "<img" in bundle["text/html"]
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")


def test_display_stays_within_an_output_s_size() -> None:
    bundle = preview(run(boxes(50, 1920, 1080), input_image(1920, 1080)))._repr_mimebundle_()
    assert len(bundle["text/html"]) + len(bundle.get("image/png", "")) < 302_000


def test_displays_of_the_same_answer_differ_in_data_uris_alone() -> None:
    pages = [preview(one())._repr_mimebundle_()["text/html"] for _ in range(2)]
    assert pages[0] != pages[1]
    assert len({re.sub("data:[^\"' )]+", "DATA-URI", page) for page in pages}) == 1


def test_display_keeps_the_first_answer() -> None:
    shown = preview(one(3))
    before = repr(shown)
    shown._predict = lambda request: one(9)
    shown.ask("a.jpg")
    assert repr(shown) == before
    assert "3 boxes" in before


def test_editor_that_makes_models_for_views_alone_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = type("Shell", (), {"user_ns": {"__vsc_ipynb_file__": "x.ipynb"}})()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    bundle = preview(one())._repr_mimebundle_()
    assert bundle[WIDGET]["model_id"]
    assert "<img" in bundle["text/html"]


def test_nbconvert_shows_the_picture() -> None:
    output = new_output("display_data", preview(one())._repr_mimebundle_())
    notebook = new_notebook(cells=[new_code_cell("%preview", outputs=[output])])
    nbformat.validate(notebook)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert 'class="hk-picture' in page
    assert "model not found" not in page


def test_input_image_goes_over_as_a_buffer_once(sent: list[Any]) -> None:
    shown = preview(one())
    shown._repr_mimebundle_()
    opened = b"".join(bytes(buffer) for _, _, buffers in sent for buffer in buffers)
    sent.clear()
    shown.ask("a.jpg")
    (update,) = sent
    assert input_image() in opened
    assert update[1]["state"]["answer"]["number"] == 2
    assert update[2] == []


def test_nothing_is_sent_before_it_is_shown(sent: list[Any]) -> None:
    preview(one())
    assert sent == []


def test_browser_chooses_a_sample() -> None:
    shown = preview(one(3), one(5, "b.jpg"))
    shown._repr_mimebundle_()
    shown._heard(None, {"ask": "a.jpg"}, [])
    assert shown.run is not None
    assert len(shown.run.response.json()) == 3


def test_browser_uploads_a_file_in_pieces() -> None:
    got: list[Request] = []

    def predict(request: Request) -> Run:
        got.append(request)
        return one(label=request.label)

    shown = Preview([], predict)
    shown._repr_mimebundle_()
    shown._heard(None, {"upload": "new.png", "part": 0, "parts": 2}, [memoryview(b"ab")])
    assert got == []
    shown._heard(None, {"upload": "new.png", "part": 1, "parts": 2}, [memoryview(b"cd")])
    assert (got[0].body, got[0].content_type, shown.samples) == (b"abcd", "image/png", ("new.png",))


def test_browser_gets_small_pictures(sent: list[Any]) -> None:
    shown = preview(one(), run({"a": 1}, b"no picture", label="b.txt"))
    shown._repr_mimebundle_()
    shown._heard(shown._widget, {"thumbs": ["a.jpg", "b.txt"]}, [])
    _, data, (small, none) = sent[-1]
    assert data["content"] == {"thumbs": ["a.jpg", "b.txt"]}
    assert Image.open(io.BytesIO(small)).size == (128, 96)
    assert none == b""


def test_only_what_is_asked_again_is_compared() -> None:
    shown = preview(one(3), one(5, "b.jpg"))
    shown.ask("a.jpg")
    assert shown.answers["a.jpg"].facts["changed"] == ""
    shown.ask("a.jpg")
    assert shown.answers["a.jpg"].facts["changed"] == "the same answer"


def test_uploaded_file_is_wrapped_as_the_samples_are() -> None:
    got: list[Request] = []

    def predict(request: Request) -> Run:
        got.append(request)
        return one()

    shown = Preview([], predict, wrap=lambda request: Request.json({"data": request.label}))
    shown._heard(None, {"upload": "new.png", "part": 0, "parts": 1}, [memoryview(b"ab")])
    assert got[0].json is not None
    assert json.loads(got[0].body) == {"data": "new.png"}


def test_failure_is_told_in_the_browser(sent: list[Any]) -> None:
    shown = preview(one())
    shown._repr_mimebundle_()

    def predict(request: Request) -> Run:
        raise HandlerkitError("the handler does not load")

    shown._predict = predict
    shown.again()
    assert sent[-1][1]["state"]["problem"] == "the handler does not load"


def test_same_failure_is_told_again(sent: list[Any]) -> None:
    shown = preview(one())
    shown._repr_mimebundle_()
    for _ in range(2):
        shown._heard(None, {"ask": "gone"}, [])
    told = [data["state"].get("problem") for kind, data, _ in sent if kind == "comm_msg"]
    assert len([text for text in told if text and "there is no sample 'gone'" in text]) == 2


def test_closed_preview_sends_nothing(sent: list[Any]) -> None:
    shown = preview(one())
    shown._repr_mimebundle_()
    shown.close()
    assert sent[-1][0] == "comm_close"
    sent.clear()
    shown.again()
    assert sent == []


def test_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    text = preview(one(), one(5, "b.jpg")).save(tmp_path / "page.html").read_text()
    assert not re.search(r"""(src|href)=["']?https?:|@import|import\(|from ["']http""", text)
    assert text.count("</script>") == 2


def test_page_holds_every_answer_and_the_one_before(tmp_path: Path) -> None:
    shown = preview(one(), one(5, "b.jpg"))
    shown.ask("b.jpg")
    text = shown.save(tmp_path / "page.html").read_text()
    found = re.search(r'id="answers">(.*?)</script>', text)
    assert found
    answers = json.loads(found[1])
    assert [each["answer"]["sample"] for each in answers] == ["a.jpg", "b.jpg"]
    assert [bool(each["before"]) for each in answers] == [False, True]


def test_page_cannot_be_broken_out_of(tmp_path: Path) -> None:
    answer = run([{"label": "</script><b>", "box": [1, 2, 3, 4], "score": 1}], input_image())
    text = preview(answer, title="<x>").save(tmp_path / "page.html").read_text()
    assert "</script><b>" not in text
    assert "<title>&lt;x&gt;</title>" in text


def test_page_without_an_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there is no answer to save yet"):
        Preview([], lambda request: one()).save(tmp_path / "page.html")


def test_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot write"):
        preview(one()).save(tmp_path / "nowhere" / "page.html")
