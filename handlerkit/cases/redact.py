"""Secrets in an exchange, and a placeholder in their place.

A secret is found by the name that it has: of a header, a parameter of the query, a field of a form or of JSON; and by
the form that some services give their keys. What was found is replaced wherever else it occurs, such as in an answer
that repeats a header.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, quote_plus, unquote_plus

from handlerkit.messages import Exchange, Headers, Request, Response
from handlerkit.messages.secret_names import is_secret_name, plain_name
from handlerkit.serving.http import HttpRequest

#: What stands for a secret: plain letters, which every place takes as they are.
PLACEHOLDER = "REDACTED"

#: Names of fields, in which text and its tokens may be a model's own words.
_FIELD = re.compile(
    r"password|passwd|passphrase|secret|credential|authorization|(?:access|refresh|id|auth|bearer|api|session|security)"
    r"token$|(?:api|access|private|secret|subscription|signing|encryption)key$|jwt$|cookie|^pwd$"
)
#: A field of such a name holds a secret if its value looks like one.
_PERHAPS = re.compile(r"token$|^(?:key|auth|signature|session|sessionid|sid|bearer|otp)$")
#: What services give out, by its form: JWT, AWS, GitHub, GitLab, OpenAI and its like, Slack, Google, Hugging Face, PEM.
_KNOWN = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|\bgithub_pat_\w{30,}|"
    r"\bglpat-[\w-]{20,}|\bsk-[\w-]{20,}|\bxox[abposr]-[\w-]{10,}|\bAIza[\w-]{35}|\bhf_[A-Za-z]{30,}|"
    r"(?<=Bearer )[\w.~+/-]{16,}=*|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
)
#: Attributes of Set-Cookie, whose values are no secrets.
_ATTRIBUTES = {"path", "domain", "expires", "max-age", "samesite", "secure", "httponly", "priority", "partitioned"}
#: "name": "value" in the text of JSON, or of a Python dict that a handler wrote as text.
_MEMBER = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')(\s*:\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d[\d.eE+-]*)"""
)
#: A field of multipart/form-data.
_FORM_FIELD = re.compile(
    rb'(Content-Disposition: *form-data;(?:[^\r\n]*;)? *name="?([^"\r\n;]*)"?[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n)'
    rb"(.*?)(?=\r\n--)",
    re.DOTALL | re.IGNORECASE,
)
#: A URL's query, a parameter in it, and a URL's user and password, wherever the URL stands.
_QUERY = re.compile(r"""(?<=\?)(?:[^\s"'<>#\\]|\\u0026)+""")
_PARAMETER = re.compile(r"((?:^|&|\\u0026)([\w.%-]+)=)([^&\\]+)")
_PASSWORD = re.compile(r"""(://[^/\s:@"'<>\\]*:)([^/\s@"'<>\\]+)(?=@)""")
_SHORTEST = 4  # characters of a secret that is looked for elsewhere


def redact(exchanges: Sequence[Exchange], known: Iterable[str] = ()) -> tuple[tuple[Exchange, ...], tuple[str, ...]]:
    """The exchanges with a placeholder for each secret, and where these were, such as "header Authorization".

    Args:
        known: secrets besides, such as the token that an endpoint was asked with.
    """
    found = _Found()
    for one in known:
        found.keep(one)
    cleaned = [Exchange(_request(one.request, found), _response(one.response, found)) for one in exchanges]
    cleaned = [_repeated(one, found) for one in cleaned]
    return tuple(cleaned), tuple(found.places)


def is_redacted(value: str) -> bool:
    """Whether a header's value holds a placeholder."""
    return PLACEHOLDER in value


@dataclass
class _Found:
    """Secrets, and the places that they had."""

    values: dict[str, None] = field(default_factory=dict)
    places: dict[str, None] = field(default_factory=dict)

    def take(self, value: str, place: str, *, sure: bool = True) -> str:
        """The placeholder for this value; one that is not surely a secret is not looked for elsewhere if it may be a
        word."""
        if not value or value == PLACEHOLDER:
            return value
        self.places[place] = None
        if sure or _looks_secret(value):
            self.keep(value)
        return PLACEHOLDER

    def keep(self, value: str) -> None:
        if len(value) >= _SHORTEST and PLACEHOLDER not in value and value == value.encode("utf-8", "ignore").decode():
            self.values[value] = None


def _looks_secret(value: str) -> bool:
    """Whether it is no word and no small number."""
    return not value.isalpha() and re.fullmatch(r"[\w.~+/=:-]{8,}", value) is not None


def _request(request: Request, found: _Found) -> Request:
    query = _parameters(request.query, found, "parameter")
    headers = _headers(request.headers, found)
    body = _body(request, found)
    return replace(request, query=query, headers=headers, body=body)


def _response(response: Response, found: _Found) -> Response:
    headers = _headers(response.headers, found)
    body = _in_text(response.body, lambda text: _members(text, found, "the answer's field", perhaps=False))
    return _with_body(replace(response, headers=headers), body)


def _headers(headers: Headers, found: _Found) -> Headers:
    return tuple((name, _header(name, value, found)) for name, value in headers)


def _header(name: str, value: str, found: _Found) -> str:
    plain = name.lower()
    place = f"header {name}"
    if plain in ("cookie", "set-cookie"):
        return _cookies(value, found, place)
    if not is_secret_name(name):
        return value
    scheme, space, credentials = value.partition(" ")
    if "authorization" in plain and space:
        if scheme.lower() == "basic":
            _keep_user(credentials, found)
        return f"{scheme} {found.take(credentials.strip(), place)}"
    return found.take(value, place, sure=_FIELD.search(plain_name(name)) is not None)


def _keep_user(credentials: str, found: _Found) -> None:
    """The password in `Basic` credentials, which may be repeated as it is."""
    try:
        user = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    found.keep(user)
    found.keep(user.partition(":")[2])


def _cookies(value: str, found: _Found, place: str) -> str:
    cleaned = []
    for one in value.split(";"):
        name, _, secret = one.partition("=")
        if name.strip().lower() not in _ATTRIBUTES:
            if secret.strip():
                one = f"{name}={found.take(secret.strip(), place, sure=False)}"
            else:  # a value without a name, which may end with "="
                one = found.take(one.strip(), place, sure=False)
        cleaned.append(one)
    return ";".join(cleaned)


def _parameters(query: str, found: _Found, place: str, is_secret: Callable[[str, str], bool] | None = None) -> str:
    """A query or a form, with every other byte as it was."""
    is_secret = is_secret or (lambda name, value: is_secret_name(name))
    cleaned = []
    for one in re.split("([&;])", query):
        name, equals, value = one.partition("=")
        told = unquote_plus(name)
        if equals and is_secret(plain_name(told), unquote_plus(value)):
            sure = _FIELD.search(plain_name(told)) is not None
            value = found.take(unquote_plus(value), f"{place} {told}", sure=sure)
        cleaned.append(f"{name}{equals}{value}")
    return "".join(cleaned)


def _is_secret_field(name: str, value: str) -> bool:
    return _FIELD.search(name) is not None or (_PERHAPS.search(name) is not None and _looks_secret(value))


def _body(request: HttpRequest, found: _Found) -> bytes:
    kind = (request.content_type or "").lower()
    if kind.startswith("multipart/form-data"):
        return _FORM_FIELD.sub(lambda part: _form_field(part, found), request.body)
    if kind.startswith("application/x-www-form-urlencoded"):
        return _in_text(request.body, lambda text: _parameters(text, found, "field", _is_secret_field))
    return _in_text(request.body, lambda text: _members(text, found, "field", perhaps=True))


def _form_field(part: re.Match[bytes], found: _Found) -> bytes:
    name = part[2].decode("utf-8", "replace")
    try:
        value = part[3].decode()
    except UnicodeDecodeError:
        return part[0]
    if _is_secret_field(plain_name(name), value):
        return part[1] + found.take(value, f"field {name}").encode()
    return part[1] + _members(value, found, "field", perhaps=True).encode()


def _members(text: str, found: _Found, place: str, *, perhaps: bool) -> str:
    """The text of JSON without the secrets in it; what is no JSON has none by name."""

    def cleaned(member: re.Match[str]) -> str:
        name, value = _text_of(member[1]), _text_of(member[3])
        plain = plain_name(name)
        mark = member[3][0] if member[3][0] in "\"'" else '"'
        if _FIELD.search(plain) or (perhaps and _PERHAPS.search(plain) and _looks_secret(value)):
            return f"{member[1]}{member[2]}{mark}{found.take(value, f'{place} {name}')}{mark}"
        if member[3][0] == '"' and (inner := _members(value, found, place, perhaps=perhaps)) != value:
            return f"{member[1]}{member[2]}{json.dumps(inner, ensure_ascii=False)}"  # JSON in a text of JSON
        return member[0]

    return _MEMBER.sub(cleaned, text)


def _text_of(quoted: str) -> str:
    """What a quoted text says; without its escapes if it is JSON's."""
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted[1:-1]


def _in_text(body: bytes, change: Callable[[str], str]) -> bytes:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return body
    return change(text).encode() if text else body


def _repeated(exchange: Exchange, found: _Found) -> Exchange:
    """Without the secrets wherever else they are, in each way that they may be written."""
    request, response = exchange.request, exchange.response
    text = _Everywhere(found)
    request = replace(
        request,
        path=request.path and text.clean(request.path),
        query=text.clean(request.query),
        headers=tuple((name, text.clean(value)) for name, value in request.headers),
        body=text.clean_bytes(request.body),
        label=text.clean(request.label),
    )
    response = _with_body(
        replace(
            response,
            reason=text.clean(response.reason),
            headers=tuple((name, text.clean(value)) for name, value in response.headers),
        ),
        text.clean_bytes(response.body),
    )
    return Exchange(request, response)


class _Everywhere:
    """Replaces what was found, the longest first, and what has the form of a known key."""

    def __init__(self, found: _Found) -> None:
        self._found = found
        written = {way for value in found.values for way in _ways(value)}
        self._pattern = (
            re.compile("|".join(map(re.escape, sorted(written, key=len, reverse=True)))) if written else None
        )
        self._bytes = re.compile(self._pattern.pattern.encode()) if self._pattern else None

    def clean(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(PLACEHOLDER, text)
        return self._by_form(text)

    def clean_bytes(self, body: bytes) -> bytes:
        if self._bytes is not None:
            body = self._bytes.sub(PLACEHOLDER.encode(), body)
        return _in_text(body, self._by_form)

    def _by_form(self, text: str) -> str:
        text = _QUERY.sub(lambda query: _PARAMETER.sub(self._parameter, query[0]), text)
        text = _PASSWORD.sub(lambda part: part[1] + self._found.take(part[2], "the password of a URL"), text)
        return _KNOWN.sub(lambda key: self._found.take(key[0], "a key in the text"), text)

    def _parameter(self, part: re.Match[str]) -> str:
        if not is_secret_name(unquote_plus(part[2])):
            return part[0]
        return part[1] + self._found.take(part[3], f"parameter {part[2]} of a URL")


def _ways(value: str) -> Iterator[str]:
    """How a value may be written in a URL, in JSON, in Python, and in the header of `Basic`."""
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield repr(value.encode())[2:-1]
    if len(value) >= 8:
        yield base64.b64encode(value.encode()).decode().rstrip("=")


def _with_body(response: Response, body: bytes) -> Response:
    """With another body, and its length; the pieces of a stream are lost if it is another one."""
    if body == response.body:
        return response
    headers = tuple(
        (name, str(len(body)) if name.lower() == "content-length" else value) for name, value in response.headers
    )
    return replace(response, headers=headers, body=body, chunks=None)
