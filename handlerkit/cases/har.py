"""A case as HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec), and back.

What HAR has no place for has names with an underscore, as its specification asks: `_handlerkit` says what a case is
beside its exchanges, `_json` and `_file` hold bodies, `_chunks` and `_complete` tell of a stream. What is another each
time (when it was sent, how long it took) is written as HAR's "unknown", so that keeping again gives the same file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from handlerkit.cases.bodies import Beside, Files, read_body, read_form, with_boundary, write_body, write_form
from handlerkit.cases.case import Case
from handlerkit.errors import CaseError, RequestError
from handlerkit.formatting import laid_out
from handlerkit.messages import Exchange, Headers, Request, Response
from handlerkit.messages.har import har_entries, har_log
from handlerkit.verify import MayDiffer

#: The version of what is written here; a case of a later one is not read.
VERSION = 1
_SHORT = 200  # characters of an object on one line, with its indentation
_SERVER = "http://localhost:8080"
#: A URL as it is written here: a path, and a query with whatever was sent in it, such as # or a tab.
_URL = re.compile(r"https?://[^/?#]+([^?]*)(?:\?(.*))?", re.DOTALL)
_EXACTLY = asdict(MayDiffer())
T = TypeVar("T")


def write_case(case: Case, stem: str) -> tuple[str, dict[str, bytes]]:
    """The text of its file, and the bodies beside it by their names."""
    files, entries = Files(stem), []
    for number, one in enumerate(case.exchanges, start=1):
        own = Files(stem if len(case.exchanges) == 1 else f"{stem}.{number}", files.written)
        entries.append(_entry(one, case.model, own))
    may = {key: value for key, value in asdict(case.may_differ).items() if value != _EXACTLY[key]}
    about = {
        "version": VERSION,
        "model": case.model,
        **({"envelope": case.envelope} if case.envelope else {}),
        **({"batch_size": case.batch_size} if case.batch_size > 1 else {}),
        **({"secrets": True} if case.secrets else {}),
        "may_differ": may,
    }
    log = {
        "version": "1.2",
        "creator": {"name": "handlerkit", "version": str(VERSION)},
        "_handlerkit": about,
        "entries": entries,
    }
    return laid_out({"log": log}, _SHORT) + "\n", files.written


def read_case(content: bytes, name: str, file: str, beside: Beside) -> Case:
    """The case in a file. Raises CaseError, in one sentence, for what is none."""
    try:
        log, entries = har_log(content, file), har_entries(content, file)
    except RequestError as problem:
        raise CaseError(str(problem)) from None
    about = log.get("_handlerkit")
    if not isinstance(about, dict):
        raise CaseError(
            f"{file} is no case: a HAR of a browser has requests, which `handlerkit test --from {file} --accept` keeps "
            "with the answers that they get"
        )
    version = about.get("version")
    if version != VERSION:
        later = isinstance(version, int) and version > VERSION
        hint = "a later handlerkit kept it" if later else "handlerkit writes no such version"
        raise CaseError(f"{file} is a case of version {version!r}, and version {VERSION} is read: {hint}")
    if not entries:
        raise CaseError(f"{file} holds no exchange: log.entries is empty")
    read = _Reader(file, beside)
    model = read.typed(about, "model", str, "log._handlerkit")
    batch_size = read.typed(about, "batch_size", int, "log._handlerkit", 1)
    if batch_size < 1:
        raise CaseError(f"{file}: log._handlerkit.batch_size is 1 or more, not {batch_size}")
    return Case(
        name,
        model,
        tuple(read.exchange(entry, model, number) for number, entry in enumerate(entries)),
        read.may_differ(about.get("may_differ", {})),
        read.typed(about, "envelope", str, "log._handlerkit", None),
        batch_size,
        read.typed(about, "secrets", bool, "log._handlerkit", False),
        Path(file),
    )


def same_requests(ours: Case, theirs: Case) -> bool:
    """Whether the files of two cases hold the same requests."""
    asked = [
        Case("", case.model, tuple(Exchange(replace(one.request, label=""), Response(None)) for one in case.exchanges))
        for case in (ours, theirs)
    ]
    return write_case(asked[0], "case") == write_case(asked[1], "case")


def _entry(one: Exchange, model: str, files: Files) -> dict[str, Any]:
    request, response = one.request, one.response
    form = write_form(request, files)
    headers = with_boundary(request.headers) if form else request.headers
    body = form or {
        "mimeType": request.content_type or "",
        **write_body(request.body, request.content_type, "request", files),
    }
    chunks = {"_chunks": [len(chunk) for chunk in response.chunks]} if response.chunks is not None else {}
    whole = {} if response.complete else {"_complete": False}
    content = write_body(response.body, response.content_type, "response", files)
    return {
        "startedDateTime": "1970-01-01T00:00:00.000Z",
        "time": 0,
        "request": {
            "method": request.method,
            "url": _SERVER + request.target(model),
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _written(headers),
            "queryString": _written(parse_qsl(request.query, keep_blank_values=True)),
            **({"postData": body} if request.body else {}),
            "headersSize": -1,
            "bodySize": -1,
            **({"comment": request.label} if request.label else {}),
        },
        "response": {
            "status": response.status or 0,
            "statusText": response.reason,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _written(response.headers),
            "content": {
                "size": len(response.body), "mimeType": response.content_type or "", **content, **chunks, **whole,
            },
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": -1, "wait": -1, "receive": -1},
    }  # fmt: skip


def _written(pairs: Any) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


_MISSING: Any = object()
_KINDS: dict[type, str] = {
    dict: "an object", list: "a list", str: "a text", int: "a whole number", bool: "true or false",
}  # fmt: skip


class _Reader:
    """Reads the entries of one file; says where it holds something else than it should."""

    def __init__(self, file: str, beside: Beside) -> None:
        self._file, self._beside = file, beside

    def typed(self, values: Mapping[str, Any], key: str, kind: type[T], where: str, default: Any = _MISSING) -> Any:
        """A member of this type."""
        value = values.get(key, default)
        if value is default and default is not _MISSING:
            return default
        is_count = kind is not int or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
        if not isinstance(value, kind) or not is_count:
            told = "is missing" if value is _MISSING else f"is {shown(value)}"
            raise CaseError(f"{self._file}: {where}.{key} is {_KINDS[kind]}; here it {told}")
        return value

    def may_differ(self, said: Any) -> MayDiffer:
        where = f"{self._file}: log._handlerkit.may_differ"
        if not isinstance(said, dict) or not set(said) <= set(_EXACTLY):
            strange = sorted(set(said) - set(_EXACTLY)) if isinstance(said, dict) else said
            raise CaseError(f"{where} holds {', '.join(_EXACTLY)}, not {shown(strange)}")
        if not isinstance(said.get("ignore", []), list):
            raise CaseError(f"{where}.ignore is a list of names and paths")
        try:
            return MayDiffer(**said)
        except RequestError as problem:
            raise CaseError(f"{where}: {problem}") from None

    def exchange(self, entry: Mapping[str, Any], model: str, number: int) -> Exchange:
        where = f"log.entries[{number}]"
        request = self._request(self.typed(entry, "request", dict, where), model, f"{where}.request")
        return Exchange(request, self._response(self.typed(entry, "response", dict, where), f"{where}.response"))

    def _request(self, said: Mapping[str, Any], model: str, where: str) -> Request:
        url = self.typed(said, "url", str, where)
        if (address := _URL.fullmatch(url)) is None:
            raise CaseError(f"{self._file}: {where}.url is no URL: {shown(url)}")
        path, query = address[1], address[2] or ""
        method = self.typed(said, "method", str, where)
        if not re.fullmatch(r"[^\s\0]+", method):
            raise CaseError(f"{self._file}: {where}.method is no method of HTTP: {shown(method)}")
        data = self.typed(said, "postData", dict, where, {})
        place = f"{self._file}: {where}.postData"
        if "params" in data:
            body = read_form(data["params"], place, self._beside)
        else:
            body = read_body(data, place, self._beside)
        return Request(
            method,
            None if path == f"/predictions/{model}" else path,
            self._headers(said, where),
            query,
            body,
            self.typed(said, "comment", str, where, ""),
        )

    def _response(self, said: Mapping[str, Any], where: str) -> Response:
        content = self.typed(said, "content", dict, where)
        body = read_body(content, f"{self._file}: {where}.content", self._beside)
        answer = Response(
            self.typed(said, "status", int, where) or None,
            self.typed(said, "statusText", str, where, ""),
            self._headers(said, where),
            body,
            complete=self.typed(content, "_complete", bool, f"{where}.content", True),
        )
        sizes = self.typed(content, "_chunks", list, f"{where}.content", None)
        answer = replace(answer, chunks=_chunks(body, sizes)) if sizes is not None else answer
        return replace(answer, headers=_measured(answer.headers, len(body))) if body else answer

    def _headers(self, said: Mapping[str, Any], where: str) -> Headers:
        found = []
        for number, one in enumerate(self.typed(said, "headers", list, where, [])):
            place = f"{where}.headers[{number}]"
            one = self.typed({"x": one}, "x", dict, place)
            name, value = self.typed(one, "name", str, place), self.typed(one, "value", str, place)
            if not name or re.search(r"[\r\n\0\ud800-\udfff]", name + value):
                raise CaseError(
                    f"{self._file}: {place} is no header: it holds a line break, half a character, or no name"
                )
            found.append((name, value))
        return tuple(found)


def shown(value: Any) -> str:
    """A value in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _chunks(body: bytes, sizes: list[Any]) -> tuple[bytes, ...] | None:
    """The pieces of a stream; of a body that was edited since, none are known."""
    if not all(isinstance(size, int) and size >= 0 for size in sizes) or sum(sizes) != len(body):
        return None
    ends = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    return tuple(body[begin:end] for begin, end in pairwise(ends))


def _measured(headers: Headers, size: int) -> Headers:
    """Content-Length as the body is, which may have been edited."""
    return tuple((name, str(size) if name.lower() == "content-length" else value) for name, value in headers)
