from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

from handlerkit import view
from handlerkit.errors import LoadError
from handlerkit.messages import Call, ErrorInfo, Exchange, Finding, Frame, LogLine, Part, Request, Response, Run
from handlerkit.timing import Timings
from handlerkit.view import draw, render
from handlerkit.view.html import elements
from handlerkit.view.views import VIEWS

BOXES = [{"coin": [10, 20, 50, 60], "score": 0.98}, {"ring": [60, 5, 90, 30], "score": 0.5}]
FAILED = b'{\n  "code": 503,\n  "type": "InternalServerException",\n  "message": "Prediction failed"\n}\n'
TIMES = re.compile(r"\d[\d.,]*\s?(ns|µs|ms|s|min)\b")
DATA_URI = re.compile(r"data:[^\"]*")


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def input_image(width: int = 100, height: int = 80) -> bytes:
    return encoded(Image.new("RGB", (width, height), (90, 90, 90)))


def call(factor: float = 1.0, **rest: object) -> Call:
    stages = {"decode": 84e-6, "preprocess": 1.2e-3, "inference": 5.3e-3, "postprocess": 2e-3, "encode": 90e-6}
    stages = {name: seconds * factor for name, seconds in stages.items()}
    return Call((), Timings(sum(stages.values()) + 50e-6, MappingProxyType(stages)), **rest)


def answered(body: object, kind: str | None = None, status: int = 200) -> Response:
    headers = (("x-request-id", "5d1c"),) if kind is None else (("content-type", kind), ("x-request-id", "5d1c"))
    return Response(status, "", headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def run(response: Response, request: Request | None = None, calls: tuple[Call, ...] = (call(),), **rest: object) -> Run:
    request = request or Request(body=input_image(), headers=(("Content-Type", "image/png"),), label="coins.png")
    return Run((Exchange(request, response),), calls, model="coins", **rest)


def broken(factor: float = 1.0) -> Run:
    """A failed call whose traceback holds a temporary folder and an address."""
    frames = (
        Frame(f"{sys.prefix}/lib/python3/site-packages/ts/service.py", 134, "predict", "ret = self._entry_point(data)"),
        Frame(f"/tmp/hk-{factor}/handler.py", 12, "preprocess", 'row["body"]'),
    )
    trace = f'  File "/tmp/hk-{factor}/handler.py", line 12\nKeyError: <object at 0x7f{int(factor):010x}>'
    error = ErrorInfo("KeyError", f"<object at 0x7f{int(factor):010x}>", frames, trace)
    logs = (
        LogLine("INFO", f"Backend received inference at: {factor}"),
        LogLine("INFO", f"loaded /tmp/hk-{factor}/coins.pt"),
        LogLine("INFO", f"[METRICS]HandlerTime.ms:{5 * factor}|#Level:Model|#type:GAUGE|#hostname:h,{factor}"),
    )
    finding = Finding("key", "The handler reads <body>.", "handler.py:12", "answers 503", "Read 'data'.")
    calls = (call(factor, error=error, logs=logs),)
    request = Request.multipart(Part("data", b"x", "a.png", "image/png"), headers={"Authorization": "Bearer s3cret"})
    return run(answered(FAILED, "application/json", 503), request, calls, findings=(finding,))


def steady(text: str) -> str:
    return TIMES.sub("TIME", DATA_URI.sub("DATA", text))


# --- text and its figures ---------------------------------------------------------------------------------------------


def test_text_of_a_picture():
    body = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (303, 384, 3), np.uint8)))
    lines = view(run(answered(body, "image/png"))).text.splitlines()
    size = r"3\d\d(\.\d)? KB \(5(\.\d)? % of max_response_size\)"
    assert re.fullmatch(rf"POST /predictions/coins  coins\.png as image/png  ->  200 image/png, {size}", lines[0])
    assert lines[1] == (
        "decode 84 µs  preprocess 1.2 ms  inference 5.3 ms  postprocess 2 ms  encode 90 µs  other 50 µs  total 8.7 ms"
    )
    assert lines[2:] == ["image 384x303 PNG"]


# --- which drawing fits -----------------------------------------------------------------------------------------------


def test_boxes_are_drawn_on_the_request_s_input_image():
    shown = view(run(answered(BOXES)))
    assert "2 boxes: coin 0.98 (10,20)-(50,60), ring 0.50 (60,5)-(90,30)" in shown.text
    # 100 pixels wide: drawn four times as large
    assert shown.image.size == (400, 320)
    assert shown.image.getpixel((40, 200)) == draw.color(0)
    assert shown.image.getpixel((120, 200)) == (90, 90, 90)


def test_a_label_is_added_to_the_answer_s_index_and_decides_the_color():
    shown = view(run(answered([{"1": [10, 20, 50, 60], "score": 0.98}]), labels={"1": "coin"}))
    assert "1 · coin 0.98" in shown.text
    assert "1 · coin in index_to_name.json 1" in shown.text
    assert shown.image.getpixel((40, 200)) == draw.color(1)


def test_a_class_map_is_laid_over_the_input_image():
    classes = np.zeros((80, 100), int)
    classes[:20] = 1
    shown = view(run(answered(classes.tolist()), labels={"0": "background", "1": "coin"}))
    assert "0 · background in index_to_name.json 75 % (6 000 px), 1 · coin in index_to_name.json 25 %" in shown.text
    assert shown.image.getpixel((5, 50)) == (90, 90, 90)
    blend = [(90 + channel) / 2 for channel in draw.color(1)]
    assert shown.image.getpixel((5, 5)) == pytest.approx(blend, abs=1)


def test_a_class_map_of_another_size_says_so():
    shown = view(run(answered(np.ones((10, 10), int).tolist())))
    assert "class map 10x10\nstretched to the input image's 100x80" in shown.text


def test_an_indexed_png_as_large_as_the_input_image_is_a_class_map():
    body = encoded(Image.new("L", (100, 80), 1))
    shown = view(run(answered(body, "image/png"), labels={"1": "coin"}))
    assert "1 · coin in index_to_name.json 100 % (8 000 px)" in shown.text
    assert shown.image.getpixel((5, 5)) != (90, 90, 90)


def test_an_image_without_a_content_type_is_drawn():
    shown = view(run(answered(encoded(Image.new("RGB", (30, 20), (10, 200, 30))))))
    assert shown.image.getpixel((3, 3)) == (10, 200, 30)
    assert "image 30x20 PNG" in shown.text


def test_a_cutout_lies_on_a_board():
    shown = view(run(answered(encoded(Image.new("RGBA", (30, 20), (10, 200, 30, 0))))))
    assert shown.image.getpixel((0, 0)) == (216, 216, 216)
    assert "image 30x20 PNG, RGBA" in shown.text


def test_classes_are_bars_beside_the_input_image():
    shown = view(run(answered({"tabby <cat>": 0.75, "dog": 0.0004}), labels={"0": "tabby <cat>", "1": "dog"}))
    assert shown.text.splitlines()[-2] == "tabby <cat> 75 %, dog <0.1 %"
    assert 'style="width:75.0%' in shown.html
    assert "tabby &lt;cat&gt;" in shown.html
    assert shown.image.size == (100, 80)


def test_short_json_is_shown_and_long_json_is_folded():
    assert '<pre class="hk-code">{ &quot;answer&quot;: 42 }</pre>' in view(run(answered({"answer": 42}), calls=())).html
    long = view(run(answered({"embedding": [{"at": i} for i in range(999)], "model": "m"}), calls=()))
    assert "<summary>answer</summary>" in long.html
    assert "JSON object: embedding, model" in long.text
    assert re.search(r"… [\d.]+ KB more", long.html)


def test_bytes_are_counted():
    assert "5 B: 80 02 ff 00 2e" in view(run(answered(b"\x80\x02\xff\x00."), calls=())).text


@pytest.mark.parametrize("body", [b"", b"{", b'{"boxes": 3}', input_image()[:60], b"\x89PNG\r\n\x1a\n", b"[" * 100_000])
def test_odd_answers_never_raise(body):
    assert view(run(answered(body))).image is None


@pytest.mark.parametrize(
    "request_",
    [
        Request.json({"data": base64.b64encode(input_image()).decode()}),
        Request.json({"instances": [{"b64": base64.b64encode(input_image()).decode()}]}),
        Request.json("data:image/png;base64," + base64.b64encode(input_image()).decode()),
        Request.multipart(Part("note", "hello"), Part("data", input_image(), "a.png", "image/png")),
    ],
    ids=["data", "instances", "data URI", "multipart"],
)
def test_the_input_image_is_found_in_the_request(request_):
    assert view(run(answered(BOXES), request_)).image is not None


@pytest.mark.parametrize("body", [b"", b"hello", input_image()[:60], b'{"data": "####"}'])
def test_without_an_input_image_the_facts_stay(body):
    shown = view(run(answered(BOXES), Request(body=body)))
    assert shown.image is None
    assert "2 boxes" in shown.text


# --- errors, several exchanges, other things shown --------------------------------------------------------------------


def test_the_cause_comes_before_the_traceback():
    page = view(broken()).html
    told = ("503 Prediction failed", "reads &lt;body&gt;", "handler.py:12 in", "whole traceback")
    places = [page.index(text) for text in told]
    assert places == sorted(places)
    assert "service.py:134" not in page


def test_the_same_display_but_for_times_and_data_uris():
    one, two = view(broken(1.0)), view(broken(77.7))
    assert one.html != two.html
    assert steady(one.html) == steady(two.html)
    assert steady(one.text) == steady(two.text)


@pytest.mark.parametrize(
    "word", ["0x7f", "/tmp", sys.prefix, "5d1c", "s3cret", "handlerkit-", "Backend received", " id=", "<script"]
)
def test_nothing_that_differs_or_does_not_belong_is_shown(word):
    shown = view(broken())
    assert word not in shown.html + shown.text


def test_several_exchanges_are_cards():
    exchanges = tuple(run(answered(body)).exchanges[0] for body in (BOXES, {"cat": 0.5}, {"x": "y"})) * 5
    shown = view(Run(exchanges, (call(), call(2)), model="coins"))
    assert shown.text.splitlines()[0] == "15 requests to coins  ->  15 × 200"
    assert shown.html.count("hk-card") - shown.html.partition("</style>")[0].count("hk-card") == 12
    assert "page 1 of 2: hk.view(run, page=2) shows another" in shown.html
    assert "call 2" in shown.text


def test_the_times_of_many_calls_are_folded():
    exchanges = run(answered([1])).exchanges * 5
    shown = view(Run(exchanges, tuple(call() for _ in exchanges), model="coins"))
    assert "<summary>times <" in shown.html
    assert shown.text.splitlines()[-1] == "5 calls, 43.6 ms"


def test_a_page_reads_its_own_exchanges_alone(monkeypatch):
    read = []
    monkeypatch.setattr(render, "answer", lambda run, one: read.append(one) or VIEWS.read(one))
    exchanges = tuple(run(answered([number])).exchanges[0] for number in range(5000))
    shown = view(Run(exchanges, (), model="coins"), page=417)
    assert read == list(exchanges[4992:])
    assert "page 417 of 417: hk.view(run, page=1)" in shown.text
    assert "request 5000" in shown.text or "[ 4999 ]" in shown.text


def test_a_page_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="page 3 is not there: this run has 1 page, from 1 on"):
        view(Run(run(answered([1])).exchanges * 2, (), model="coins"), page=3)


def test_a_run_without_exchanges_has_a_display():
    assert view(Run((), model="coins")).text == "0 requests to coins  ->  no exchanges"


def test_large_pictures_shrink_until_the_page_fits():
    noise = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), np.uint8)), "JPEG")
    shown = view(run(answered(noise, "image/jpeg")))
    assert len(shown.html.encode()) < elements.MAX_HTML
    assert shown.image.width == 1000


def test_a_load_error_shows_its_cause_and_the_answer_to_registering():
    failed = broken()
    response = answered({"code": 500, "message": "Failed to start workers"}, "application/json", 500)
    problem = LoadError("coins does not load", response=response, error=failed.error, findings=failed.findings)
    shown = view(problem)
    answers = "registering the model answers 500 Failed to start workers"
    assert shown.text.splitlines()[:2] == ["coins does not load", answers]
    assert "KeyError" in shown.text
    assert "Read &#x27;data&#x27;." in shown.html


def test_a_report_is_a_table_of_verdicts():
    from handlerkit.verify import ComparedResponse, Difference, Report

    rows = (
        ComparedResponse("coins.png", "identical", (), ("x-request-id",)),
        ComparedResponse("a<b", "different", (Difference("body[0]", "0.98", "0.97"),), ()),
    )
    shown = view(Report("Server", rows, broken(), broken()))
    assert shown.text.splitlines()[0] == "1 of 2 answers differ on Server"
    assert "  body[0]: 0.98 -> 0.97" in shown.text
    assert "a&lt;b" in shown.html


def test_envelopes_are_a_table_of_verdicts():
    from handlerkit.verify import Enveloped, Envelopes, Sample

    found = {
        "none": Enveloped("same", "", run(answered([1]))),
        "body": Enveloped("same", "", run(answered([1]))),
        "json": Enveloped("different", "answer[0]: 1 here, <2> there.", run(answered([2]))),
        "kserve": Enveloped("failed", "The handler raised KeyError.", broken()),
        "kservev2": Enveloped("failed", "It cannot be sent."),
    }
    shown = view(Envelopes("coins", (Sample("coins.png", found),)))
    assert shown.text.splitlines() == [
        "1 sample to coins in each envelope: 1 same, 1 different, 2 failed",
        "coins.png",
        "  none      200",
        "  body      same  200",
        "  json      different  200  answer[0]: 1 here, <2> there.",
        "  kserve    failed  503  The handler raised KeyError.",
        "  kservev2  failed  It cannot be sent.",
    ]
    assert [shown.html.count(f'hk-{kind}">') for kind in ("ok", "odd", "bad")] == [2, 1, 2]
    assert "&lt;2&gt;" in shown.html
    assert "what to change" in shown.html


def test_no_envelopes_have_a_display():
    from handlerkit.verify import Envelopes

    assert view(Envelopes("coins", ())).text == "0 samples to coins in each envelope: nothing compared"


def test_other_things_are_refused():
    with pytest.raises(TypeError, match="not a int"):
        view(3)


def test_the_bundle_holds_what_is_asked_for():
    shown = run(answered(BOXES))
    assert set(view.bundle(shown)) == {"text/plain", "text/html"}
    assert set(view.bundle(shown, exclude={"text/html"})) == {"text/plain"}
    assert view.bundle(shown)["text/plain"] == repr(view(shown))


def test_importing_views_loads_no_picture_library():
    code = "import sys, handlerkit.view; print({'PIL', 'numpy', 'matplotlib', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    "body", [b'"\\u202e\\u001b[31m"', "\u202e\x1b[31m".encode(), b'{"a\\u202e": 0.4, "b\\u001b[31m": 0.6}']
)
def test_what_a_terminal_would_obey_is_shown(body: bytes) -> None:
    run = Run((Exchange(Request(label="\u202ex"), Response(200, body=body)),), ())
    shown = view(run)
    for text in (shown.text, shown.html):
        assert "u202e" in text
        assert not {"\x1b", "\u202e"} & set(text)
