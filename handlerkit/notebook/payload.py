"""What a notebook wants to send, as a Request."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any

from handlerkit.errors import RequestError
from handlerkit.messages import HeadersLike, Request

#: A word with a suffix is meant as a file, also where there is none.
_FILE_NAME = re.compile(r"[^\s{}\[\]]+\.[A-Za-z]\w{0,4}")


def to_request(what: Any, content_type: str | None = None, headers: HeadersLike = (), **changes: Any) -> Request:
    """The request that sends a payload.

    Args:
        what: a Request, a file's name or Path, str (text), bytes, a PIL image (sent as PNG), an array or tensor (as
            nested lists), or what JSON carries.
        content_type: instead of the one that goes with the payload; "" sends none.
        headers: added to the payload's own; a Content-Type among them takes its place.
        changes: method, path, query, as of Request.

    Raises RequestError for a missing file and for what cannot be sent.
    """
    request = what if isinstance(what, Request) else _bare(what)
    added = Request(headers=headers)  # type: ignore[arg-type]  # it reads mappings too
    if content_type:
        added = replace(added, headers=(("Content-Type", content_type), *added.headers))
    own = request.headers
    if content_type is not None or added.content_type is not None:
        own = tuple(pair for pair in own if pair[0].lower() != "content-type")
    return replace(request, headers=own + added.headers, **changes)


def _bare(what: Any) -> Request:
    if isinstance(what, Path):
        return Request.file(what)
    if isinstance(what, str):
        is_file = "\n" not in what and (os.path.isfile(os.path.expanduser(what)) or _FILE_NAME.fullmatch(what))
        return Request.file(what) if is_file else Request.text(what)
    if isinstance(what, bytes | bytearray):
        return Request(body=bytes(what))
    if hasattr(what, "save") and hasattr(what, "getbands"):
        picture = io.BytesIO()
        what.save(picture, "PNG")
        return Request(body=picture.getvalue(), headers=(("Content-Type", "image/png"),))
    if isinstance(what, FunctionType | type):
        raise RequestError(f"a {type(what).__name__} cannot be sent; send a file, bytes, text, an image or JSON")
    return Request.json(what.tolist() if hasattr(what, "tolist") else what)
