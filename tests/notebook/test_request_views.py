"""How %request asks for a view, a geometry, and a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlerkit.errors import RequestError
from handlerkit.messages import Geometry, Run
from handlerkit.view.diff.comparison import Comparison

HANDLER = """
def handle(data, context):
    if data is None:
        return None
    return [[{"label": "coin", "box": [1, 2, 30, 40], "score": len(row.get("data") or row.get("body")) / 10}]
            for row in data]
"""


@pytest.fixture(autouse=True)
def handler(session):
    Path("boxes.py").write_text(HANDLER)
    session.use("boxes.py")


def test_answers_are_compared_with_the_previous_ones(session):
    before = session.request(b"12345")
    compared = session.request(b"1234567", against="previous")
    assert isinstance(compared, Comparison)
    assert compared.before is before
    assert compared.after is session.last
    assert "score 0.50 -> 0.70" in repr(compared)


def test_answers_are_compared_with_any_run(session):
    first = session.request(b"12345")
    session.request(b"1234567")
    assert session.request(b"12345", against=first).same


def test_without_a_previous_answer_nothing_is_sent(session):
    with pytest.raises(RequestError, match="nothing to compare with yet: send boxes a request first"):
        session.request(b"1", against="previous")
    assert session.last is None


def test_what_is_no_run_is_not_compared_with(session):
    with pytest.raises(RequestError, match="answers are compared with a Run, or with 'previous', not with 3"):
        session.request(b"1", against=3)


def test_a_view_is_asked_for_by_name(session):
    from handlerkit import view

    run = session.request(b"12345", shown_as="json")
    assert isinstance(run, Run)
    assert "1 box" not in view(run).text
    assert '"score": 0.5' in view(run).text


def test_a_view_that_is_not_there_is_named_before_anything_is_sent(session):
    with pytest.raises(RequestError, match="there is no view 'bokses': choose one of"):
        session.request(b"1", shown_as="bokses")
    assert session.last is None


def test_a_geometry_is_written_in_torchvision_s_words(session):
    assert session.request(b"1", geometry="resize 256 crop 224").geometry == Geometry(256, (224, 224))
    with pytest.raises(RequestError, match="'256' is no geometry"):
        session.request(b"1", geometry="256")


def test_the_worker_knows_what_a_vision_handler_does_to_an_input_image(session):
    Path("looks.py").write_text(
        "from torchvision import transforms\n\n\n"
        "class Looks:\n"
        "    image_processing = transforms.Compose([transforms.Resize(64), transforms.CenterCrop(48)])\n\n"
        "    def initialize(self, context):\n"
        "        self.initialized = True\n\n"
        "    def handle(self, data, context):\n"
        "        return [[[1] * 48] * 48 for _ in data]\n"
    )
    session.use("looks.py")
    assert session.request(b"any").call.geometry == Geometry(64, (48, 48))


def test_classes_of_each_model_begin_with_the_first_color(session):
    from handlerkit import view
    from handlerkit.view import draw

    Path("dogs.py").write_text(HANDLER.replace("coin", "dog"))
    first = "background:rgb({},{},{})".format(*draw.color(0))
    for model, name in (("boxes", "coin"), ("dogs", "dog")):
        session.model(model, handler=f"{model}.py")
        assert f'{first}"></span>{name}' in view(session.request(b"12345")).html


def test_the_magic_passes_them_on(notebook):
    notebook("sent = b'1'")
    notebook("before = %request sent")
    compared = notebook("%request sent --as json --geometry 'resize 256' --against before").value
    assert compared.after.shown_as == "json"
    assert compared.after.geometry == Geometry(256)


def test_a_run_that_is_not_there_is_named(notebook):
    notebook("sent = b'1'")
    assert "there is no variable and no file 'befroe'" in str(notebook("%request sent --against befroe").error)
