"""The form of an answer, and what sends it: JSON, text, pictures, run-length masks."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
from PIL import Image
from request_handler import JSON

RAW = "application/octet-stream"
# Told apart by color-blind readers, too.
_COLORS = (
    "0072b2 e69f00 009e73 cc79a7 56b4e9 d55e00 f0e442 333311 bbeedd 775544 "
    "771144 ddddff 665577 8877ff 003377 4400ee 99bb77 ccaaaa 33ffaa bb2211"
).split()


def pack(answers: list[Any], form: str) -> tuple[dict[str, str], Any]:
    """The headers and the body that send them: the one there is; a JSON list, or multipart/mixed, of several."""
    if form == JSON:
        return {"content-type": JSON}, answers[0] if len(answers) == 1 else answers
    parts = [encode(answer, form) for answer in answers]
    if len(parts) == 1:
        return parts[0]
    boundary = hashlib.sha256(b"".join(body for _, body in parts)).hexdigest()
    text = b""
    for headers, body in parts:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        text += f"--{boundary}\r\n{head}\r\n".encode() + body + b"\r\n"
    return {"content-type": f"multipart/mixed; boundary={boundary}"}, text + f"--{boundary}--\r\n".encode()


def encode(answer: Image.Image | str, form: str) -> tuple[dict[str, str], bytes]:
    """An image or a text in that form, with its headers. An image tells its size, which RAW pixels do not."""
    if isinstance(answer, str):
        return {"content-type": form}, answer.encode()
    headers = {"content-type": form, "image-width": str(answer.width), "image-height": str(answer.height)}
    if form == RAW:
        return headers, answer.tobytes()
    kind = form.partition(";")[0].removeprefix("image/")
    # PIL's own compress_level takes twice as long for a photograph, to gain 5 %
    options = {"jpeg": {"quality": 90}, "png": {"compress_level": 1}}[kind]
    file = io.BytesIO()
    answer.save(file, kind, **options)
    return headers, file.getvalue()


def class_color(index: int) -> tuple[int, int, int]:
    """A class's color: one of twenty, the kit's own."""
    red, green, blue = bytes.fromhex(_COLORS[index % len(_COLORS)])
    return red, green, blue


def run_length(mask: Any) -> dict[str, Any]:
    """A mask [H, W] as COCO writes it: {"size": [H, W], "counts": "..."}, which pycocotools.mask.decode reads.

    Runs of 0 and 1 in turn, beginning with 0, down the columns; from the fourth on as the difference to the one but
    one before; each in characters of five bits from "0" on, of which the sixth bit says that more follow (maskApi.c).
    """
    pixels = np.asarray(mask, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs = np.diff(np.concatenate([[0] * (1 + pixels[0]), edges, [pixels.size]]))
    runs[3:] -= runs[1:-2].copy()
    characters, used, more = [], [], np.ones(len(runs), dtype=bool)
    while more.any():
        used.append(more)
        bits, runs = runs & 31, runs >> 5
        more = more & (runs != np.where(bits & 16, -1, 0))
        characters.append(bits + 32 * more + 48)
    counts = np.stack(characters, axis=1)[np.stack(used, axis=1)]
    return {"size": list(mask.shape), "counts": counts.astype(np.uint8).tobytes().decode()}
