"""Exchanges with input images, for every view."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handlerkit.messages import Exchange, Request, Response, Run
from handlerkit.view.shown_run import ShownRun

GRAY = (90, 90, 90)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def send() -> Callable[..., Run]:
    """Makes a Run of one exchange: an answer (bytes, an image or JSON) to a gray input image of that size."""

    def make(
        answer: Any, size: tuple[int, int] = (100, 80), *, chunks: Any = None, headers: Any = (), **rest: Any
    ) -> Run:
        input_image = rest.pop("input_image", None) or encoded(Image.new("RGB", size, GRAY))
        asked = {"path": rest.pop("path", None), "query": rest.pop("query", "")}
        request = Request(body=input_image, headers=(("Content-Type", "image/png"),), label="coins.png", **asked)
        if isinstance(answer, Image.Image):
            answer = encoded(answer)
        elif isinstance(answer, np.ndarray):
            buffer = io.BytesIO()
            np.save(buffer, answer)
            answer = buffer.getvalue()
        elif not isinstance(answer, bytes):
            answer = json.dumps(answer).encode()
        arrivals = rest.pop("arrivals", None)
        response = Response(rest.pop("status", 200), "", headers, answer, chunks, arrivals=arrivals)
        shown = {"shown_as": rest.pop("shown_as", ""), "geometry": rest.pop("geometry", None)}
        return ShownRun.of(Run((Exchange(request, response),), model="coins", **rest), **shown)

    return make
