"""Bodies as people read and diff them: JSON laid out, short text as it is, all others as files beside the case.

Whatever the form, reading gives the same bytes; a form that would not is not taken.
"""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from handlerkit.errors import CaseError
from handlerkit.formatting import laid_out
from handlerkit.messages import Part, Request

#: JSON of up to this many bytes stands in the case, laid out on as many lines; text on one line; a part's text.
_JSON, _LINES, _TEXT = 32_000, 400, 1000
#: How the bytes of JSON are written: the arguments of json.dumps. TorchServe writes indented, most clients spaced.
_WRITTEN: Mapping[str, dict[str, Any]] = {
    "indented": {"indent": 2},
    "spaced": {},
    "compact": {"separators": (",", ":")},
    "indented utf-8": {"indent": 2, "ensure_ascii": False},
    "spaced utf-8": {"ensure_ascii": False},
    "compact utf-8": {"separators": (",", ":"), "ensure_ascii": False},
}
#: File suffixes by the first bytes of a body.
_MAGIC = (
    (b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"), (b"II*\0", ".tif"), (b"MM\0*", ".tif"),
    (b"%PDF", ".pdf"), (b"OggS", ".ogg"), (b"ID3", ".mp3"), (b"fLaC", ".flac"), (b"PK\x03\x04", ".zip"),
    (b"\x93NUMPY", ".npy"), (b"BM", ".bmp"),
)  # fmt: skip
_BOUNDARY = "handlerkit-case"
_PART = re.compile(
    rb'\r\nContent-Disposition: form-data; name="([^"\r\n]*)"(?:; filename="([^"\r\n]*)")?'
    rb"(?:\r\nContent-Type: ([^\r\n]+))?\r\n\r\n(.*)\r\n",
    re.DOTALL,
)
#: Reads a file beside the case.
Beside = Callable[[str], bytes]


@dataclass
class Files:
    """Files beside a case: their names begin with `stem`."""

    stem: str
    written: dict[str, bytes] = field(default_factory=dict)

    def add(self, body: bytes, content_type: str | None, which: str) -> str:
        """The name of the file that holds this body."""
        name = f"{self.stem}.{which}{_suffix(body, content_type)}"
        self.written[name] = body
        return name


def write_body(body: bytes, content_type: str | None, which: str, files: Files) -> dict[str, Any]:
    """A body as members of HAR's `postData` or `content`; what has no place there is `_json` or `_file`."""
    if not body:
        return {"text": ""}
    text = _text(body)
    if text is not None and len(body) <= _JSON:
        line_end = {"_line_end": True} if text.endswith("\n") else {}
        for written, how in _WRITTEN.items():
            if (value := _value(text.removesuffix("\n"), how)) and laid_out(value[0]).count("\n") <= _LINES:
                return {"_json": value[0], "_written": written, **line_end}
    if text is not None and len(text) <= _TEXT and "\n" not in text.rstrip("\n") and text.rstrip("\n").isprintable():
        return {"text": text}
    return {"_file": files.add(body, content_type, which)}


def read_body(said: Mapping[str, Any], where: str, beside: Beside) -> bytes:
    """The bytes of `postData` or `content`. Raises CaseError."""
    if "_file" in said:
        return beside(said["_file"])
    if "_json" in said:
        if (how := _WRITTEN.get(str(said.get("_written", "spaced")))) is None:
            raise CaseError(f"{where}._written is {', '.join(_WRITTEN)}, not {said['_written']!r}")
        line_end = "\n" if said.get("_line_end") is True else ""
        return (json.dumps(said["_json"], **how) + line_end).encode("utf-8", "surrogatepass")
    text = said.get("text", "")
    if not isinstance(text, str):
        raise CaseError(f"{where}.text is a text, not {type(text).__name__}; JSON stands in _json")
    if said.get("encoding") == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise CaseError(f"{where}.text is no base64") from None
    return text.encode("utf-8", "surrogatepass")


def write_form(request: Request, files: Files) -> dict[str, Any] | None:
    """The parts of a multipart form as HAR's `params`; None for another body, and for a form that is written in another
    way than browsers and curl do. The boundary, which is another one each time, becomes a fixed one."""
    boundary = _boundary_of(request)
    if boundary is None or (parts := _parts(request.body, boundary)) is None:
        return None
    taken = boundary != _BOUNDARY and _BOUNDARY.encode() in request.body
    if taken or Request.multipart(*parts, boundary=boundary).body != request.body:
        return None
    params = []
    for number, part in enumerate(parts, start=1):
        one: dict[str, Any] = {"name": part.name}
        body = part.body.encode() if isinstance(part.body, str) else part.body
        text = _text(body)
        if text is not None and part.filename is None and len(text) <= _TEXT:
            one["value"] = text
        else:
            one["_file"] = files.add(body, part.content_type, f"request.{number}")
        if part.filename is not None:
            one["fileName"] = part.filename
        if part.content_type is not None:
            one["contentType"] = part.content_type
        params.append(one)
    return {"mimeType": f"multipart/form-data; boundary={_BOUNDARY}", "params": params}


def read_form(params: Any, where: str, beside: Beside) -> bytes:
    """The body of a form with the fixed boundary. Raises CaseError."""
    if not isinstance(params, list):
        raise CaseError(f"{where}.params is no list")
    return Request.multipart(*_read_parts(params, where, beside), boundary=_BOUNDARY).body


def with_boundary(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The headers of a form with the fixed boundary."""
    kind = f"multipart/form-data; boundary={_BOUNDARY}"
    return tuple((name, kind if name.lower() == "content-type" else value) for name, value in headers)


def _read_parts(params: list[Any], where: str, beside: Beside) -> Iterator[Part]:
    for number, one in enumerate(params):
        place = f"{where}.params[{number}]"
        members = one if isinstance(one, dict) else {}
        name, value, filename, kind = (members.get(key) for key in ("name", "value", "fileName", "contentType"))
        if not isinstance(name, str) or not all(isinstance(text, str | None) for text in (value, filename, kind)):
            raise CaseError(f"{place} has a name, a value or a _file, a fileName and a contentType, which are texts")
        body = beside(members["_file"]) if "_file" in members else value or ""
        yield Part(name, body, filename, kind)


def _boundary_of(request: Request) -> str | None:
    found = re.fullmatch(r'multipart/form-data; *boundary="?([^";]+)"?', request.content_type or "", re.IGNORECASE)
    return found[1] if found else None


def _parts(body: bytes, boundary: str) -> list[Part] | None:
    begin, *pieces = body.split(b"--" + boundary.encode())
    if begin or not pieces or pieces[-1] not in (b"--\r\n", b"--"):
        return None
    found = []
    for piece in pieces[:-1]:
        if (part := _PART.fullmatch(piece)) is None:
            return None
        try:
            name, filename, kind = (None if text is None else text.decode() for text in part.group(1, 2, 3))
        except UnicodeDecodeError:
            return None
        found.append(Part(name or "", part[4], filename, kind))
    return found


def _value(text: str, how: Mapping[str, Any]) -> tuple[Any] | None:
    """The value of a JSON text that json.dumps writes as these bytes."""
    if text[:1] not in '[{"':
        return None  # a bare number or word is text
    try:
        value = json.loads(text)
        laid_out(value).encode()  # a lone surrogate, which raises ValueError, has no place in the case's file
        return (value,) if json.dumps(value, allow_nan=False, **how) == text else None
    except (ValueError, RecursionError):
        return None


def _text(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _suffix(body: bytes, content_type: str | None) -> str:
    for magic, suffix in _MAGIC:
        if body.startswith(magic):
            return suffix
    if body[:4] == b"RIFF" and body[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        return {b"WEBP": ".webp", b"WAVE": ".wav"}.get(body[8:12], ".avi")
    kind = (content_type or "").partition(";")[0].strip().lower()
    known = {"application/json": ".json", "text/plain": ".txt", "application/octet-stream": ""}
    guessed = known.get(kind, mimetypes.guess_extension(kind) or "")
    if guessed:
        return guessed
    text = _text(body)
    if text is None:
        return ".bin"
    return ".json" if text.lstrip()[:1] in ("[", "{") else ".txt"
