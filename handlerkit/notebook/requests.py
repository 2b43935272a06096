"""What a notebook sends: files, folders, wildcards and values as Requests, and how they reach the model's worker."""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any

from handlerkit import envelope as envelopes
from handlerkit.endpoints.loads.process import Hear
from handlerkit.errors import RequestError
from handlerkit.messages import Geometry, HeadersLike, Part, Request, Run
from handlerkit.messages.part import guess_type
from handlerkit.notebook.session_model import SessionModel
from handlerkit.verify import Envelopes, compare_envelopes

#: A word with a suffix names a file, even if there is none.
_FILE_NAME = re.compile(r"[^\s{}\[\]]+\.[A-Za-z]\w{0,4}")


def to_requests(what: Iterable[Any], **options: Any) -> list[Request]:
    """The requests that send these payloads. A folder stands for the pictures in it, a wildcard for its files, a Run
    for its requests, anything else for one request, as of `to_request`, which takes the options.

    Raises RequestError as well for a folder without pictures, and for a wildcard that no file matches.
    """
    return [to_request(one, **options) for each in what for one in expanded(each)]


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


def send(
    model: SessionModel,
    requests: Sequence[Request],
    batch: int,
    envelope: str | None,
    as_tensor: bool,
    debug: bool,
    hear: Hear | None = None,
) -> Run | Envelopes:
    """Send each request `batch` times in one batch; "all" sends it without an envelope and in each one. `hear` is told
    what comes while the handler works, as Worker.predict's `on_event`.

    Raises RequestError for what cannot be wrapped, LoadError if the handler does not load.
    """
    with model.serve_here(batch) if debug else model.lend(batch) as worker:
        if envelope == "all":
            if not requests:
                raise RequestError("there is nothing to send in every envelope: name a file or a variable")
            return compare_envelopes(requests, worker.with_envelope, batch=batch, as_tensor=as_tensor)
        endpoint = worker
        if envelope is not None:
            endpoint = worker.with_envelope(envelope)
            requests = [
                envelopes.wrap(envelope, one, as_tensor=as_tensor) if one.body or one.method != "GET" else one
                for one in requests
            ]
        sent = [replace(one, sent_to=model.address) for one in requests]
        return endpoint.predict(*(one for one in sent for _ in range(batch)), on_event=hear)


def display(shown_as: str, geometry: str) -> dict[str, Any]:
    """What the user says of a Run's display, as ShownRun.of takes it. Raises RequestError for an unknown view and for
    what is no geometry."""
    from handlerkit import view

    if shown_as and shown_as not in view.names():
        raise RequestError(f"there is no view {shown_as!r}: choose one of {', '.join(view.names())}")
    try:
        said = {"geometry": Geometry.parse(geometry)} if geometry else {}
    except ValueError as problem:
        raise RequestError(str(problem)) from None
    return {"shown_as": shown_as, **said}


def to_part(name: str, what: Any) -> Part:
    """The part of a form that carries a payload, as `to_request` takes it. A picture has a file name, without which
    TorchServe does not read a part's content type."""
    if isinstance(what, Part | str | bytes | Path):
        return Part.of(name, what)
    request = to_request(what)
    filename = f"{name}.png" if request.content_type == "image/png" else None
    return Part(name, request.body, filename, request.content_type)


def expanded(what: Any) -> Iterator[Any]:
    """What this payload stands for, one by one. Raises RequestError for a folder or wildcard without files."""
    if isinstance(what, Run):
        yield from what.requests
        return
    if not isinstance(what, str | Path) or "\n" in str(what):
        yield what
        return
    path = Path(what).expanduser()
    if os.path.isdir(path):
        files = sorted(file for file in path.iterdir() if guess_type(file.name).startswith("image/"))
        if not files:
            raise RequestError(f"there is no picture in {str(what)!r}; name its other files, as in {path / '*.json'}")
        yield from files
    elif (
        glob.has_magic(str(path))
        and not os.path.exists(path)
        and (isinstance(what, Path) or _FILE_NAME.fullmatch(what))
    ):
        files = sorted(file for file in map(Path, glob.glob(str(path))) if file.is_file())
        if not files:
            raise RequestError(f"no file matches {str(what)!r}; looked from {Path.cwd().name}/")
        yield from files
    else:
        yield what


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
