"""Parts of a multipart/form-data body, and how files become bodies."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass, replace
from pathlib import Path

from handlerkit.errors import RequestError

#: "guess the media type from the file's name", told apart from None: "send none".
GUESS = "guess"


def guess_type(filename: str) -> str:
    """The media type that goes with a file's name."""
    return mimetypes.guess_type(filename)[0] or "application/octet-stream"


def read_file(file: str | Path) -> bytes:
    """A file's bytes. Raises RequestError when it cannot be read."""
    try:
        return Path(file).expanduser().read_bytes()
    except FileNotFoundError:
        raise RequestError(f"no file {str(file)!r} to send; looked from {Path.cwd().name}/") from None
    except OSError as problem:
        raise RequestError(f"cannot read {str(file)!r}: {problem.strerror}") from None


@dataclass(frozen=True)
class Part:
    """One part of a multipart/form-data body (RFC 7578).

    TorchServe decodes a part by its content type only when it has a `filename`; without one the
    handler gets a bytearray whatever the content type says.
    """

    name: str
    body: bytes | str
    filename: str | None = None
    content_type: str | None = None

    @classmethod
    def file(
        cls, name: str, file: str | Path, *, filename: str | None = None, content_type: str | None = GUESS
    ) -> Part:
        """A file under its name, with the content type of that name as a browser sends it; `content_type=None` sends
        none."""
        filename = filename or Path(file).name
        kind = guess_type(filename) if content_type == GUESS else content_type
        return cls(name, read_file(file), filename, kind)

    @classmethod
    def of(cls, name: str, value: Part | str | bytes | Path) -> Part:
        """The part of this name: text, bytes, a file, or another part under this name. Raises RequestError for anything
        else, and for a file that cannot be read."""
        if isinstance(value, Part):
            return replace(value, name=name)
        if isinstance(value, Path):
            return cls.file(name, value)
        if not isinstance(value, str | bytes):
            raise RequestError(f"part {name!r} is str, bytes, a Path or a Part, not {type(value).__name__}")
        return cls(name, value)

    def encode(self) -> bytes:
        """The part's head and body, as they are between two delimiters."""
        head = f'Content-Disposition: form-data; name="{_quoted(self.name)}"'
        if self.filename is not None:
            head += f'; filename="{_quoted(self.filename)}"'
        if self.content_type is not None:
            head += f"\r\nContent-Type: {self.content_type}"
        body = self.body.encode("utf-8", "surrogatepass") if isinstance(self.body, str) else self.body
        return head.encode() + b"\r\n\r\n" + body


def _quoted(text: str) -> str:
    """A parameter of Content-Disposition as browsers escape it (RFC 7578 4.2, WHATWG form encoding)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
