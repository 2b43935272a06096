"""Requests that TorchServe's frontend passes on in another form than their sender may expect.

Each rule reads the request and the job that the frontend queued for it, not the rows, which a handler may change.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

from handlerkit.messages import Finding, Headers, HttpRequest
from handlerkit.serving.wire import Job, Parameter
from handlerkit.why import source_search
from handlerkit.why.contents import json_advice, not_json
from handlerkit.why.effects import NOTHING
from handlerkit.why.evidence import Attempt, Evidence, Rule

_FORM = "application/x-www-form-urlencoded"
#: Headers of a client that the frontend or TorchServe's own Python code gives a meaning.
_USED_HEADERS = {"describe", "explain", "url_path", "content-encoding", "body", "data"}
#: Media types whose values reach a handler as their sender expects.
_PLAIN_TYPES = {"application/json", "text/plain", "image/jpeg", "image/png", "application/octet-stream"}
_PARSES = r"json\.loads?\(|orjson|ujson|literal_eval|pydantic|msgspec"


def _each(evidence: Evidence) -> Iterator[tuple[HttpRequest, Job, str]]:
    """(request, job, its name in a sentence) of each request of the batch."""
    alone = len(evidence.attempt.jobs) == 1
    for number, (request, job) in enumerate(zip(evidence.attempt.requests, evidence.attempt.jobs, strict=True), 1):
        yield request, job, "the request" if alone else f"request {number}"


def may_warn(attempt: Attempt) -> bool:
    """Whether a rule of WARNINGS can have something to say."""
    if not attempt.describe:
        for request, job, body in zip(attempt.requests, attempt.jobs, attempt.bodies, strict=False):
            if _is_unusual(request, job, body):
                return True
    return False


def _is_unusual(request: HttpRequest, job: Job, body: str) -> bool:
    if request.query or len(job.parameters) != 1:
        return True
    kind = job.parameters[0].content_type
    if kind not in _PLAIN_TYPES:
        return True
    if body == "empty" or (body and kind in ("application/json", "text/plain")):
        return True
    return _has_unusual_headers(request.headers)


@functools.lru_cache(maxsize=256)
def _has_unusual_headers(headers: Headers) -> bool:
    types = 0
    for name, text in headers:
        lower = name.lower()
        if lower == "content-type":
            types += 1
            if types > 1 or "charset" in text:
                return True
        elif lower in _USED_HEADERS:
            return True
    return False


def _kind(request: HttpRequest) -> str:
    return next((value for name, value in request.headers if name.lower() == "content-type"), "")


def empty_form(evidence: Evidence, effect: str = NOTHING) -> Finding | None:
    for request, job, name in _each(evidence):
        kind = _kind(request).partition(";")[0].strip().lower()
        if job.parameters or not request.body or not kind:
            continue
        if kind.startswith("multipart/"):
            message = (
                f"The frontend finds no part in {name}: the boundary is not that of the body. The handler gets {{}}."
            )
            fix = "Send it with -F 'data=@file', or let an HTTP library write body and Content-Type together."
            return Finding("empty_form", message, "", effect, fix, "warning" if effect == NOTHING else "error")
        message = (
            f"The body of {name} was sent as a form and has no field, so the handler gets an empty row {{}} "
            "(curl -d sends a form unless it is told otherwise)."
        )
        fix = "Send JSON with -H 'Content-Type: application/json'."
        return Finding("empty_form", message, "", effect, fix, "warning" if effect == NOTHING else "error")
    return None


def json_as_form(evidence: Evidence) -> Finding | None:
    """JSON that has "=" or "&" in it gives a form fields with odd names."""
    for request, job, name in _each(evidence):
        if not job.parameters or request.body[:1] not in (b"{", b"["):
            continue
        if _kind(request).partition(";")[0].strip().lower() == _FORM and _is_json(request.body):
            message = f"The body of {name} is JSON, sent as a form: the handler gets it cut into pieces at '&' and '='."
            fix = "Send it with -H 'Content-Type: application/json'."
            return Finding("json_as_form", message, "", NOTHING, fix, "warning")
    return None


def undecoded(evidence: Evidence, effect: str = NOTHING) -> Finding | None:
    """JSON or text that reached the handler as bytes, in the body or in a part."""
    if not evidence.attempt.setup.decode_input:
        return None
    for request, job, name in _each(evidence):
        if request.header("content-encoding"):
            continue
        for parameter in job.parameters:
            found = _bytes_for_json(request, parameter, name)
            if found is not None and (effect != NOTHING or not source_search.find(evidence, found[2])):
                return Finding("undecoded", found[0], "", effect, found[1], "warning" if effect == NOTHING else "error")
    return None


def _bytes_for_json(request: HttpRequest, parameter: Parameter, name: str) -> tuple[str, str, str] | None:
    """(message, fix, a pattern in the code of a handler that decodes it itself)."""
    kind, value = parameter.content_type, bytes(parameter.value)
    of = f"The body of {name}" if value == request.body else f"The field {parameter.name!r} of {name}"
    send = "Send Content-Type: application/json"
    if kind == "application/json":
        if not value:
            return f"{of} is empty, but its Content-Type says JSON: the handler gets bytes.", "Send JSON.", _PARSES
        if not (problem := _problem(value)):
            return None
        message = f"{of} has the Content-Type of JSON and is not JSON ({problem}): the handler gets bytes."
        return message, json_advice(problem), _PARSES
    if kind.lower().endswith(("/json", "+json")) and _is_json(value):
        got = "text" if kind.startswith("text") else "bytes"
        message = f"{of} is JSON of type {kind!r}; TorchServe decodes only 'application/json', in lower case: "
        return message + f"the handler gets {got}.", send + ".", _PARSES
    if kind.lower().startswith("text") and not kind.startswith("text"):
        message = (
            f"{of} is text of type {kind!r}; TorchServe decodes text types only in lower case: the handler gets bytes."
        )
        return message, "Send Content-Type: text/plain.", r"\.decode\("
    if kind.startswith("text") and not _is_utf8(value):
        return f"{of} is text, but not in UTF-8: the handler gets bytes.", "Send text in UTF-8.", r"\.decode\("
    if kind == "" and parameter.name == "body" and value[:1] in (b"{", b"[") and _is_json(value):
        return f"{of} is JSON without a Content-Type: the handler gets bytes.", send + ".", _PARSES
    if kind == "" and (typed := _thrown_away(request, parameter.name)):
        message = f"{of} was sent as {typed} but without a filename, and TorchServe then drops the type: the handler "
        decodes = _PARSES if "json" in typed else r"\.decode\("
        fix = f"Give the part a filename: -F '{parameter.name}=@file;type={typed}'."
        return message + "gets bytes.", fix, decodes
    return None


def _thrown_away(request: HttpRequest, name: str) -> str:
    """The Content-Type of a multipart part without a filename: application/json or text/..., else ""."""
    if "multipart" not in _kind(request).lower():
        return ""
    at = request.body.find(f'name="{name}"'.encode())
    begin, end = request.body.rfind(b"\r\n--", 0, at), request.body.find(b"\r\n\r\n", at)
    head = request.body[max(begin, 0) : end] if -1 < at < end else b""
    found = re.search(rb"content-type:\s*(application/json|text/[\w.+-]+)", head, re.IGNORECASE)
    return found[1].decode() if found and b"filename" not in head else ""


def _problem(value: bytes) -> str:
    return not_json(value.decode()) if _is_utf8(value) else "not in UTF-8"


def _is_json(value: bytes) -> bool:
    return not _problem(value)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def foreign_charset(evidence: Evidence) -> Finding | None:
    for request, job, name in _each(evidence):
        found = re.search(r"charset=\"?([\w-]+)", _kind(request), re.IGNORECASE)
        body = next((bytes(one.value) for one in job.parameters if one.name == "body"), b"")
        if found is None or found[1].lower() in ("utf-8", "utf8", "us-ascii", "ascii") or body.isascii():
            continue
        if not _is_utf8(body):
            continue  # then it stays bytes, and `undecoded` says so
        message = (
            f"The body of {name} says charset={found[1]}; TorchServe ignores that and reads UTF-8, so letters change."
        )
        return Finding("charset", message, "", NOTHING, "Send text in UTF-8.", "warning")
    return None


def content_encoding(evidence: Evidence) -> Finding | None:
    for request, _, name in _each(evidence):
        encoding = request.header("content-encoding")
        if encoding and encoding.lower() == "gzip" and request.body[:2] == b"\x1f\x8b":
            if source_search.find(evidence, "gzip|zlib"):
                return None
            message = f"The body of {name} is compressed ({encoding}), and TorchServe passes it on as it is."
            fix = "Send it uncompressed, or call gzip.decompress."
            return Finding("content_encoding", message, "", NOTHING, fix, "warning")
    return None


def two_content_types(evidence: Evidence) -> Finding | None:
    for request, _, name in _each(evidence):
        kinds = [value for key, value in request.headers if key.lower() == "content-type"]
        if len(set(kinds)) > 1:
            message = f"{name.capitalize()} has two Content-Types: its body is read as {kinds[0]!r}, its headers "
            message += f"show {kinds[-1]!r}."
            return Finding("two_content_types", message, "", NOTHING, "Send one.", "warning")
    return None


def query_dropped(evidence: Evidence) -> Finding | None:
    for request, job, name in _each(evidence):
        if not request.query or evidence.attempt.describe:
            continue
        names = [key for key, _ in parse_qsl(request.query, keep_blank_values=True)]
        have = {parameter.name for parameter in job.parameters}
        lost = ", ".join(repr(key) for key in names if key not in have)
        if not lost or "model_name" in names:
            continue
        message = f"The handler does not get the query of {name} ({lost}): this route drops it."
        model = evidence.attempt.setup.model
        fix = f"Send it as a form field or a header, or to /models/{model}/invoke, which passes it on."
        return Finding("query_dropped", message, "", NOTHING, fix, "warning")
    return None


def twice_the_name(evidence: Evidence) -> Finding | None:
    for _, job, name in _each(evidence):
        names = [parameter.name for parameter in job.parameters]
        if len(names) < 2 or len(names) == len(set(names)):
            continue
        twice = next(one for one in names if names.count(one) > 1)
        message = f"{name.capitalize()} has {names.count(twice)} fields {twice!r}; the handler gets only the last one."
        fix = "Give each field a name of its own, or send a JSON list."
        return Finding("twice_the_name", message, "", NOTHING, fix, "warning")
    return None


def header_overwritten(evidence: Evidence) -> Finding | None:
    """`explain` and `url_path` are the frontend's; a header named as a field hides the field's type."""
    for request, job, name in _each(evidence):
        has = dict(job.headers)
        for key, value in request.headers:
            if key in ("explain", "url_path") and has.get(key) != value.strip():
                message = f"The header {key}: {value} of {name} is overwritten: TorchServe sets it to {has[key]!r}."
                fix = "Ask for an explanation at /explanations/MODEL." if key == "explain" else "Use another name."
                return Finding("header_overwritten", message, "", NOTHING, fix, "warning")
            if any(parameter.name == key for parameter in job.parameters):
                message = (
                    f"The header {key!r} of {name} has the name of a field: context.get_request_header returns the "
                    "header, and the field's content type is hidden."
                )
                return Finding("header_hides_field", message, "", NOTHING, "Give the header another name.", "warning")
    return None


def falsy_falls_through(evidence: Evidence) -> Finding | None:
    """row.get('data') or row.get('body') where the first is sent, but empty or zero."""
    for _, job, name in _each(evidence):
        has = {parameter.name: parameter for parameter in job.parameters}
        for first, parameter in has.items():
            value = bytes(parameter.value)
            if len(value) > 5 or not _is_falsy(parameter.content_type, value):
                continue
            pattern = rf"""\.get\(\s*["']{re.escape(first)}["']\s*\)\s*or\s+\w+\.get\(\s*["'](\w+)["']"""
            where = source_search.find(evidence, pattern)
            if first == "data" and evidence.attempt.envelope == "body":
                where, second = "", "body"
            elif where and (found := re.search(pattern, where)):
                second = found[1]
            else:
                continue
            got = f"the value of {second!r}" if second in has else "None"
            message = (
                f"{first!r} of {name} is empty or zero, so `or` goes on to {second!r}, and the handler gets {got}."
            )
            fix = f'Write row["{first}"] if "{first}" in row else row.get("{second}").'
            return Finding("falls_through", message, where, NOTHING, fix, "warning")
    return None


def _is_falsy(kind: str, value: bytes) -> bool:
    if not value:
        return True
    try:
        return kind == "application/json" and not json.loads(value)
    except (ValueError, RecursionError):
        return False


#: Asked if a request of the batch is unusual.
WARNINGS: tuple[Rule, ...] = (
    empty_form, json_as_form, undecoded, foreign_charset, content_encoding, two_content_types, query_dropped,
    twice_the_name, header_overwritten, falsy_falls_through,
)  # fmt: skip
