"""What the values of a request hold, as far as their first bytes tell."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

JSON = "application/json"
#: How binary files begin that handlers are sent.
_FILES = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image", b"BM": "a BMP image",
    b"%PDF": "a PDF document", b"PK\x03\x04": "a zip file", b"\x1f\x8b": "gzip-compressed", b"OggS": "an Ogg file",
    b"ID3": "an MP3 file", b"fLaC": "a FLAC file", b"\x93NUMPY": "a .npy file",
}  # fmt: skip
_RIFF = {b"WAVE": "a WAV file", b"WEBP": "a WebP image"}
IMAGES = ("a PNG image", "a JPEG image", "a GIF image", "a BMP image", "a WebP image")


def kind_of(value: Any) -> str:
    """What bytes or a text hold; "" if it cannot be told."""
    head = bytes(value[:16]) if isinstance(value, bytes | bytearray) else b""
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return "a HEIC or AVIF image" if head[8:12] in (b"heic", b"heix", b"mif1", b"avif") else "an MP4 file"
    if found := next((kind for start, kind in _FILES.items() if head.startswith(start)), ""):
        return found
    if not isinstance(value, str | bytes | bytearray) or not value:
        return ""
    try:
        text = value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        return ""
    if text.startswith("data:") and ";base64," in text[:100]:
        return "a data: URL"
    if len(text) >= 16 and (inner := kind_of(_decoded(text[:64]))).startswith(("a ", "an ")) and inner != "a text":
        return f"base64 of {inner}"
    start = text.lstrip()[:10].lower()
    if start.startswith(("<svg", "<?xml")):
        return "XML or SVG"
    if start.startswith(("<!doctype", "<html")):
        return "an HTML page"
    if start[:1] in ("{", "["):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return "a text"
        return "JSON"
    return "a text"


def not_json(value: bytes | bytearray | str) -> str:
    """Why it is no JSON; "" if it is."""
    try:
        json.loads(value)
    except RecursionError:
        return "nested too deeply"
    except ValueError as problem:
        return "not in UTF-8" if isinstance(problem, UnicodeError) else str(problem)
    return ""


def json_advice(problem: str) -> str:
    """What to send instead of what is no JSON for this reason."""
    if "BOM" in problem:
        return "Send it without the byte-order mark (BOM) at its beginning."
    if "double quotes" in problem:
        return "Send JSON, which has double quotes: json.dumps writes it, str(value) does not."
    return "Send JSON in UTF-8."


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text[: len(text) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return b""
