"""A handler in the notebook's own process."""

from __future__ import annotations

import gc
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from handlerkit import Model, Request, Worker


def test_stream_that_a_handler_keeps_goes_after_the_notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    (tmp_path / "h.py").write_text("""\
import logging, sys

logging.getLogger("kept").addHandler(logging.StreamHandler(sys.stdout))

def handle(data, context):
    return ["answered"]
""")
    with (tmp_path / "shown").open("w") as shown, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", shown)
        with Worker(Model("m", handler=tmp_path / "h.py"), in_process=True) as worker:
            assert worker.predict(Request.text("a")).response.body == b"answered"
    logging.getLogger("kept").handlers.clear()
    gc.collect()
    assert ignored == []
