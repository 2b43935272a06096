"""Answers of every kind that a preview shows, as Runs that no model was needed for."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from handlerkit.messages import Exchange, Request, Response, Run
from handlerkit.view.preview.preview import Preview


def input_image(width: int = 320, height: int = 240, kind: str = "JPEG") -> bytes:
    """A picture with some structure, so that its JPEG is as large as that of a photograph."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 23 + y / 31), np.sin(x / 11 - y / 47), np.cos(x / 37 + y / 17)], axis=2)
    noise = np.random.default_rng(1).normal(0, 6, (height, width, 1))
    buffer = io.BytesIO()
    Image.fromarray((128 + 60 * waves + noise).clip(0, 255).astype(np.uint8)).save(buffer, kind, quality=90)
    return buffer.getvalue()


def run(
    body: Any, picture: bytes = b"", *, status: int = 200, labels: Mapping[str, str] | None = None, label: str = "a.jpg"
) -> Run:
    """A Run with this answer, JSON unless it is bytes, to a request that carries the picture."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = () if isinstance(body, bytes) else (("content-type", "application/json"),)
    request = Request(body=picture, headers=(("Content-Type", "image/jpeg"),), label=label)
    return Run((Exchange(request, Response(status, "OK", headers, data)),), model="model", labels=labels)


def boxes(count: int, width: int, height: int, classes: int = 4) -> list[dict[str, Any]]:
    """Boxes of many sizes with scores evenly from 0 to 1."""
    random = np.random.default_rng(2)
    found = []
    for i in range(count):
        wide, high = random.uniform(0.02, 0.15, 2) * (width, height)
        x, y = random.uniform(0, 1, 2) * (width - wide, height - high)
        box = [round(float(edge), 1) for edge in (x, y, x + wide, y + high)]
        found.append({"label": f"class {i % classes}", "box": box, "score": round((i + 1) / count, 4)})
    return found


def class_map(width: int, height: int, classes: int = 21) -> np.ndarray[Any, Any]:
    """uint8 [H, W]: blobs of every class."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.sin(x / width * 9) * np.cos(y / height * 7) + np.sin((x + y) / (width + height) * 11)
    return ((waves + 2) / 4 * classes).clip(0, classes - 1).astype(np.uint8)


def indexed_png(indexes: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(indexes).save(buffer, "PNG")
    return buffer.getvalue()


def preview(*runs: Run, title: str = "preview") -> Preview:
    """A preview that asks for each of these answers in turn."""
    answers = {one.request.label: one for one in runs}
    made = Preview([one.request for one in runs], lambda request: answers[request.label], title=title)
    for name in made.samples[1:]:
        made.ask(name)
    return made
