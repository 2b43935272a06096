"""What a worker's process still holds of a call that is over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from handlerkit.endpoints.loads.channel import Channel
from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Request
from handlerkit.model import Model

MADE = "import numpy; large = numpy.ones(40_000_000); "  # 320 MB


@pytest.fixture(scope="module")
def worker(handlers: Path) -> Iterator[Worker]:
    with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
        worker.predict(Request(headers={"x-py": MADE}))
        yield worker


KEPT = {
    "exception": "raise ValueError(large)",
    "exception in a cycle": "e = ValueError('x'); e.large = large; raise e",
    "frame of an exception": "def f(large): raise ValueError('x')\nf(large)",
    "cause of an exception": "def f(large): 1 / 0\ntry: f(large)\nexcept Exception as e: raise ValueError from e",
    "tensor in an answer": "out = [{'a': [1, large[:2]]}]",
    "array instead of rows": "out = large",
    "row": "data[0]['large'] = large",
    "row of the body": "data[0]['body'] = [1, [large]]",
    "attribute of an answer": "class Row(list): pass\nout = Row(['a']); out.large = large",
    "text": "out = ['x' * 2_000_000]; data.append(large)",
}


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_nothing_large_stays_after_a_call(worker: Worker, kept: str) -> None:
    pid = int(worker.predict(Request(headers={"x-py": "import os; out = [str(os.getpid())]"})).response.text)
    before = psutil.Process(pid).memory_info().rss
    worker.predict(Request(headers={"x-py": MADE + kept}))
    deadline = time.monotonic() + 5
    while (more := psutil.Process(pid).memory_info().rss - before) > 60e6 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert more < 60e6


SMALL = {"text": b"yes", "bytes": b"\0" * 100_000, "nothing": b"-"}


@pytest.mark.parametrize("body", SMALL.values(), ids=SMALL)
def test_small_objects_cost_no_word_to_the_worker(tmp_path: Path, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "h.py").write_text("def handle(data, context): return [row['body'] for row in data or ()]\n")
    sent: list[bytes] = []
    with Worker(Model("m", handler=tmp_path / "h.py")) as worker:
        request, send = Request(body=body, headers={"content-type": "application/octet-stream"}), Channel.send
        worker.predict(request)
        monkeypatch.setattr(Channel, "send", lambda self, kind, *rest: (sent.append(kind), send(self, kind, *rest)))
        assert worker.predict(request).response.body == body
    assert sent == [b"C"]
