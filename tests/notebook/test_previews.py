"""%preview and hk.session.preview: what is shown, and when it runs again."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import handlerkit as hk
from handlerkit.errors import RequestError
from handlerkit.notebook.previews import Saved
from handlerkit.notebook.session import Session
from handlerkit.view.preview.preview import Preview

HANDLER = """import json


def handle(data, context):
    if data is None:
        return None
    return [json.dumps([{"label": "a", "box": [1, 2, 30, 40], "score": 0.5}]) for row in data]
"""


@pytest.fixture(autouse=True)
def photographs(session: Session) -> Iterator[None]:
    """Two pictures and a text in photos/, and the comms of widgets closed afterwards."""
    Path("photos").mkdir()
    for name in ("a.png", "b.png"):
        picture = io.BytesIO()
        Image.new("RGB", (64, 48), "grey").save(picture, "PNG")
        Path("photos", name).write_bytes(picture.getvalue())
    Path("photos", "notes.txt").write_text("none")
    yield
    session.close()


@pytest.fixture
def loaded(session: Session) -> Session:
    Path("handler.py").write_text(HANDLER)
    session.use("handler.py")
    return session


def test_magic_is_the_function(notebook: Any, session: Session) -> None:
    notebook(f"%%handler\n{HANDLER}")
    shown = notebook("%preview photos/a.png photos/b.png")
    assert shown.error is None
    assert isinstance(shown.value, Preview)
    assert shown.value.samples == ("a.png", "b.png")
    assert shown.stderr == ""


def test_folder_stands_for_its_pictures(loaded: Session) -> None:
    shown = loaded.preview("photos")
    assert isinstance(shown, Preview)
    assert shown.samples == ("a.png", "b.png")


def test_folder_without_a_picture_is_named(loaded: Session) -> None:
    Path("empty").mkdir()
    with pytest.raises(RequestError, match="there is no picture in 'empty'"):
        loaded.preview("empty")


def test_without_a_sample_the_last_request_is_shown(loaded: Session) -> None:
    loaded.request("photos/b.png")
    shown = loaded.preview()
    assert isinstance(shown, Preview)
    assert shown.samples == ("b.png",)


def test_what_it_sends_is_the_last_run(loaded: Session) -> None:
    shown = loaded.preview("photos/a.png", "photos/b.png")
    assert isinstance(shown, Preview)
    assert loaded.last is shown.run
    shown.ask("b.png")
    assert loaded.last is not None
    assert loaded.last.request.label == "b.png"


def test_handler_that_is_loaded_again_is_asked_again(loaded: Session) -> None:
    shown = loaded.preview("photos/a.png")
    assert isinstance(shown, Preview)
    shown._repr_mimebundle_()
    Path("handler.py").write_text(HANDLER.replace("0.5", "0.75"))
    loaded.use("handler.py")
    assert shown.run is not None
    assert json.loads(shown.run.response.body)[0]["score"] == 0.75


def test_preview_that_is_not_shown_is_not_asked_again(loaded: Session) -> None:
    shown = loaded.preview("photos/a.png")
    assert isinstance(shown, Preview)
    before = shown.run
    loaded.use("handler.py")
    assert shown.run is before


def test_hook_is_told_the_model_that_was_loaded(loaded: Session) -> None:
    told: list[str] = []
    loaded.on_load.append(told.append)
    loaded.use("handler.py")
    assert told == ["handler"]


def test_new_preview_takes_the_old_one_s_place(loaded: Session) -> None:
    old, new = loaded.preview("photos/a.png"), loaded.preview("photos/a.png")
    assert isinstance(old, Preview)
    assert isinstance(new, Preview)
    old._repr_mimebundle_()
    new._repr_mimebundle_()
    before = old.run
    loaded.use("handler.py")
    assert new.run is not before
    assert old.run is before


def test_preview_stays_with_its_model(loaded: Session) -> None:
    shown = loaded.preview("photos/a.png", "photos/b.png")
    assert isinstance(shown, Preview)
    Path("other.py").write_text("def handle(data, context):\n    return ['other'] * len(data or ())\n")
    loaded.model("other")
    loaded.use("other.py")
    assert shown.ask("b.png").model == "handler"


def test_envelope_wraps_each_sample(loaded: Session) -> None:
    shown = loaded.preview("photos/a.png", envelope="json")
    assert isinstance(shown, Preview)
    assert shown.run is not None
    assert json.loads(shown.run.request.body).keys() == {"instances"}
    assert shown.run.calls[0].envelope == "json"


def test_page_holds_every_sample_that_is_named(loaded: Session) -> None:
    saved = loaded.preview("photos", save="page.html")
    assert isinstance(saved, Saved)
    assert repr(saved) == "page.html: the answers to a.png, b.png"
    assert '"sample": "b.png"' in Path("page.html").read_text()


def test_page_of_the_live_preview_holds_what_it_was_asked(notebook: Any, session: Session) -> None:
    notebook(f"%%handler\n{HANDLER}")
    notebook("%preview photos")
    saved = notebook("%preview --save page.html")
    assert saved.error is None
    assert repr(saved.value) == "page.html: the answers to a.png"


def test_closing_the_session_closes_its_previews(loaded: Session) -> None:
    shown = loaded.preview("photos/a.png")
    assert isinstance(shown, Preview)
    shown._repr_mimebundle_()
    loaded.close()
    assert shown._widget is None


def test_slip_is_one_line(notebook: Any, session: Session) -> None:
    assert "unrecognized arguments: --nothing" in str(notebook("%preview --nothing").error)


def test_first_answer_about_a_picture_names_the_preview_and_no_other_does(loaded: Session) -> None:
    shown = [hk.view(loaded.request(f"photos/{name}")) for name in ("notes.txt", "a.png", "b.png")]
    assert ["%preview opens" in view.text for view in shown] == [False, True, False]
    assert ["%preview opens" in view.html for view in shown] == [False, True, False]


def test_nobody_who_knows_the_preview_is_told_of_it(loaded: Session) -> None:
    loaded.preview("photos/a.png")
    assert "%preview" not in hk.view(loaded.request("photos/a.png")).text
