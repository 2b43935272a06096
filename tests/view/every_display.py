"""Every display, for what is to hold of all of them. Python draws them; no model is asked.

python tests/view/every_display.py FILE.html        writes a page with all of them, to look at
"""

from __future__ import annotations

import io
import json
import math
import sys
import tempfile
import wave
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

from preview_answers import boxes, class_map, indexed_png, input_image

import handlerkit as hk
from handlerkit import view
from handlerkit.bench import Advice, Against, Bench, Change, LineTime, Measurement, Memory, Option, Profile
from handlerkit.cases import CaseReport, PlaceReport, run_cases
from handlerkit.check import Check
from handlerkit.endpoints.lent.served_runs import ServedRuns
from handlerkit.errors import LoadError
from handlerkit.messages import (
    Call,
    ErrorInfo,
    Exchange,
    Finding,
    Frame,
    LogLine,
    Request,
    Response,
    Run,
)
from handlerkit.serving.wire import Prediction, WorkerResponse
from handlerkit.timing import STAGES, Timings
from handlerkit.verify import ComparedResponse, Difference, Enveloped, Envelopes, Report, Sample
from handlerkit.view.cases import report_page
from handlerkit.view.live import GrowingStreams
from handlerkit.view.servers import server_view

PICTURE = input_image(320, 240)
TEXT = "Ada Lovelace lived in London, and wrote to Charles Babbage about the Analytical Engine in 1843."
ENTITIES = [
    {"entity_group": label, "word": word, "score": 0.97, "start": TEXT.index(word), "end": TEXT.index(word) + len(word)}
    for label, word in (("PER", "Ada Lovelace"), ("LOC", "London"), ("PER", "Charles Babbage"), ("DATE", "1843"))
]
FINDINGS = (
    Finding("missing_package", "The handler imports pandas.", "handler.py, line 3", "No worker starts.", "Add it."),
    Finding("home_folder", "The path ~/coins.pt is of this machine.", "handler.py, line 9", severity="warning"),
    Finding("wheel", "A wheel travels along.", severity="info"),
)
ERROR = ErrorInfo(
    "KeyError", "'data'", (Frame("handler.py", 12, "preprocess", "image = row['data']"),), "Traceback\nKeyError: 'data'"
)


STAGES_OF_ITS_OWN = MappingProxyType({**dict.fromkeys(STAGES[:4], 0.0123), "own": 0.01})
CALL = Call((), Timings(0.1234, STAGES_OF_ITS_OWN))
LOGS = tuple(LogLine("INFO", text) for text in ("loaded", "x" * 200, "[METRICS]Size.Count:3|#Level:Model|#type:GAUGE"))


def failed() -> Run:
    answered = run({"code": 503, "message": "Prediction failed"}, status=503)
    return replace(answered, findings=FINDINGS, calls=(replace(CALL, error=ERROR, logs=LOGS),))


def run(body: Any, request: Request | None = None, **response: Any) -> Run:
    """A Run of one exchange with an answer (JSON unless it is bytes) to a request, by default of an image."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = request or Request(body=PICTURE, headers=(("Content-Type", "image/jpeg"),), label="coins.jpg")
    answer = Response(**{"status": 200, "body": data, **response})
    return Run((Exchange(asked, answer),), (CALL,), model="coins")


def sound() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(int(9000 * math.sin(i / 3)).to_bytes(2, "little", signed=True) for i in range(4000)))
    return buffer.getvalue()


def answers() -> dict[str, hk.view.View]:
    """What a client got, as each view draws it."""
    person = {"label": "person", "box": [60, 20, 250, 230], "score": 0.9}
    person["keypoints"] = [[150 + 40 * math.sin(i), 30 + 11 * i, 0.9] for i in range(17)]
    masks = class_map(320, 240, 4)
    found = {"masks": [(masks == i).astype(int).tolist() for i in (1, 2)], "labels": ["a", "b"], "scores": [0.9, 0.5]}
    heat = [[[math.sin(i / 9) * math.cos(j / 7) for i in range(80)] for j in range(60)]]
    chunks = (b"Once ", b"upon ", b"a time.")
    several = Request.json({"instances": ["a good film", "what a bad film"]})
    runs = {
        "classes": run({"tabby": 0.7, "a lynx of a very long name, or two": 0.3}),
        "boxes": run(boxes(24, 320, 240)),
        "no boxes": run([]),
        "keypoints": run([person]),
        "oriented boxes": run([{"obb": [160, 120, 120, 60, 0.5], "label": "ship", "score": 0.8}]),
        "masks": run(found),
        "map": run(masks.tolist()),
        "indexed map": run(indexed_png(masks)),
        "heat with a sign": run(heat, Request(body=PICTURE, path="/explanations/coins", label="coins.jpg")),
        "picture": run(PICTURE),
        "series": run([math.sin(i / 9) for i in range(400)]),
        "tensors": run({"embedding": [i / 99 for i in range(99)], "logits": [[0.1 * i] * 20 for i in range(3)]}),
        "tokens": run({"words": ["good", "film", "bad", "end"], "importances": [0.5, -0.1, -0.6, 0.9]}),
        "entities": run(ENTITIES, Request.text(TEXT)),
        "several texts": run([{"good": 0.9, "bad": 0.1}, {"good": 0.25, "bad": 0.75}], several),
        "entities of several texts": run([ENTITIES, []], Request.json([TEXT, "nothing here"])),
        "audio": run(sound(), Request.text("say it"), headers=(("content-type", "audio/wav"),)),
        "tree": run({"deep": [{"a": "x" * 80, "b": [{"c": 1}] * 3}] * 9, "embedding": [i % 7 for i in range(40)]}),
        "json": run({"status": "ok", "count": 3}),
        "text": run("\n".join(map(str, range(99))).encode()),
        "bytes": run(bytes(range(256))),
        "nothing": run(b""),
        "stream": run(b"".join(chunks), Request.text("go"), chunks=chunks, arrivals=(0.3, 0.4, 0.5)),
        "stream of bytes": run(b"\xff\0" * 9, Request.text("go"), chunks=(b"\xff\0", b"\xff\0" * 8)),
        "failed": failed(),
    }
    shown = {name: view(one) for name, one in runs.items()}
    shown["histogram"] = view(runs["series"], shown_as="histogram")
    shown["several requests"] = view(
        Run(tuple(runs[name].exchanges[0] for name in ("classes", "boxes", "map", "stream", "failed")), model="coins")
    )
    return shown


def growing() -> hk.view.View:
    """Two streams while they come."""
    live = GrowingStreams(["one", "two"])
    for elapsed, text in ((0.2, b"Once upon "), (0.3, b"a time")):
        rows = tuple(Prediction(name, "text/plain", 200, "OK", (), text) for name in ("a", "b"))
        live.take(WorkerResponse(200, "", rows, elapsed))
    return live.view()


def benches() -> dict[str, hk.view.View]:
    def row(sample: str, batch: int, factor: float, calls: int = 100) -> Measurement:
        seconds = tuple(factor * (0.01 + 0.0001 * (i % 10)) for i in range(calls))
        stages = {name: tuple(share * one for one in seconds) for name, share in (("preprocess", 0.2), ("encode", 0.8))}
        memory = Memory(812_000_000, 45_000_000)
        return Measurement(sample, batch, 1, seconds, stages, calls * batch, sum(seconds), 0, 465408, memory)

    rows = (row("coins.png", 1, 1), row("coins.png", 8, 4), row("a-much-longer-name-of-a-sample.png", 1, 2, 4))
    change = Change("coins.png", 1, 0.25, (0.2, 0.31), 50, "faster")
    options = (
        Option("JSON, indented", 0.484, 6_200_000, "a list", now=True),
        Option("bytes", 11.8e-6, 465408, "array.tobytes() of uint8"),
        Option("JPEG, quality 85", 1e-6, 1000, "values differ by up to 9", lossy=True),
    )
    advice = Advice("encode", "coins.png", "array 303 × 384 × 4 of uint8 in JSON", 0.4, 0.5, options)
    lines = (
        LineTime("coins.py", "handle", 3, 5, 0.02, "    x = 1 < 2"),
        LineTime("coins.py", "handle", 4, 5, 0.001, ""),
    )
    whole = Bench("coins", "Worker", rows, 100, 1, against=Against("previous", (row("coins.png", 1, 4),), (change,)))
    profile = Profile(5, "aten::mm   1.2 ms", Path("coins-trace.json"), lines)
    return {"bench": view(replace(whole, advice=(advice,))), "profile": view(replace(whole, profile=profile))}


class Answers:
    """An endpoint that answers with this body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def predict(self, *requests: Request) -> Run:
        return Run(tuple(Exchange(one, Response(200, "OK", (), self._body)) for one in requests), model="coins")


def cases() -> tuple[dict[str, hk.view.View], str]:
    """A case, and the reports on cases: of one place, of two, and of answers that differ; and the page of the last."""
    map_, other = (indexed_png(class_map(320, 240, count)) for count in (4, 21))
    with tempfile.TemporaryDirectory() as folder:
        asked = Request(body=PICTURE, headers=(("Content-Type", "image/jpeg"),), label="coins.jpg")
        kept = [hk.keep(Answers(map_).predict(asked), f"map-{i}", folder, rtol=1e-3, levels=2) for i in range(2)]
        same, changed = (run_cases(hk.cases(folder), Answers(body)) for body in (map_, other))
        shown = {"case": view(kept[0]), "cases alike": view(same), "cases that differ": view(changed)}
    places = (
        PlaceReport("declared", same.places[0].results, "Python 3.11, torch 2.14", 0.4),
        PlaceReport("torchserve-0.12.0-cpu", changed.places[0].results, "Python 3.9, torch 2.4.0", 17.2),
    )
    both = CaseReport(places, (("", "different"),))
    return {**shown, "cases in two places": view(both)}, report_page(both)


def reports() -> dict[str, hk.view.View]:
    one, other = run(boxes(9, 320, 240)), run(boxes(7, 320, 240))
    map_, other_map = (run(indexed_png(class_map(320, 240, count))) for count in (4, 5))
    broken = failed()
    rows = (
        ComparedResponse("coins.png", "identical", (), ("x-request-id",)),
        ComparedResponse("other.png", "different", (Difference("body.boxes[0].score", "0.98", "0.97"),), ()),
    )
    found = {
        "none": Enveloped("same", "", one),
        "body": Enveloped("same", "", one),
        "json": Enveloped("different", "answer[0]: 1 here, 2 there.", other),
        "kserve": Enveloped("failed", "The handler raised KeyError.", broken),
        "kservev2": Enveloped("failed", "It cannot be sent."),
    }
    served = ServedRuns()
    for each in (one, broken):
        served.append(each)
    server = {"model": "coins", "url": "http://127.0.0.1:8080", "running": True, "has_token": True, "served": served}
    load = LoadError(
        "coins does not load", response=Response(500, body=b"{}"), error=ERROR, findings=FINDINGS, logs=("x",)
    )
    return {
        "check": view(Check("coins", "torchserve-0.12.0-cpu", FINDINGS, "Python 3.9, torch 2.4.0", ("imports",))),
        "nothing to mend": view(Check("coins", "declared", (), "Python 3.11", ("imports", "config_file"))),
        "verified": view(Report("Server", rows[:1], one, one)),
        "report": view(Report("Server", rows, broken, broken)),
        "envelopes": view(Envelopes("coins", (Sample("coins.png", found),))),
        "compared boxes": view(hk.compare(one, other)),
        "compared maps": view(hk.compare(map_, other_map)),
        "compared entities": view(hk.compare(run(ENTITIES[:2], Request.text(TEXT)), run(ENTITIES, Request.text(TEXT)))),
        "compared endpoints": view(hk.compare(Answers(b"one"), Answers(b"two"), Request.text("a"))),
        "load error": view(load),
        "served": view(served),
        "server": server_view(SimpleNamespace(**server)),
    }


def every_display() -> tuple[dict[str, str], str]:
    """The html of each by its name, and the page that a report of cases is saved as."""
    of_cases, saved = cases()
    shown = {**answers(), "growing streams": growing(), **benches(), **of_cases, **reports()}
    return {name: one.html for name, one in shown.items()}, saved


def page_of(displays: dict[str, str]) -> str:
    """One page with all of them."""
    parts = "".join(f'<section aria-label="{name}"><h2>{name}</h2>{html}</section>' for name, html in displays.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<meta name="color-scheme" content="light dark"><title>displays</title>'
        "<style>body { background: #fff; font-family: sans-serif; margin: 8px; }"
        "@media (prefers-color-scheme: dark) { body { background: #111; color: #eee; } }</style></head>"
        f"<body><main><h1>displays</h1>{parts}</main></body></html>"
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page_of(every_display()[0]), "utf-8")
