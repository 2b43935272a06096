"""Secrets in an exchange, and a placeholder in their place.

A secret is found by the name that it has, wherever that stands: of a header, a parameter, a field of a form, a member
of JSON or of a pair of name and value, in each of these inside another one; and by the form that some services give
their keys. What was found is replaced wherever else it occurs, such as in an answer that repeats a header; a short one,
or one that may be a word, only where it is a whole value.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from urllib.parse import quote, quote_plus, unquote_plus

from handlerkit.cases.members import Value, quoted_as, values_in
from handlerkit.messages import Exchange, Headers, Request, Response
from handlerkit.messages.secret_names import is_secret_name, plain_name
from handlerkit.serving.http import lookup

#: What stands for a secret: plain letters, which every place takes as they are.
PLACEHOLDER = "REDACTED"

#: Names of fields, in which text and its tokens may be a model's own words.
_FIELD = re.compile(
    r"password|passwd|passphrase|secret|credential|authorization|(?:access|refresh|id|auth|bearer|api|session|security)"
    r"tokens?$|(?:api|access|account|private|secret|subscription|signing|encryption|openai)key(?:s|id|v?\d+)?$|jwt$|"
    r"cookie|csrf|xsrf|^pwd$"
)
#: A field of such a name holds a secret if its value looks like one; of the others, if it is a text of some length.
_PERHAPS = re.compile(r"(?:token|key|keyid|auth|signature|session|sessionid)$|^(?:sid|bearer)$")
_SHORT = re.compile(r"^(?:pass|pin|otp|sig|passcode)$")
#: Members of an object that name what another member of it holds, and those that hold it.
_NAMES, _HELD = (
    ("name", "key", "header", "parameter", "field"),
    ("value", "val", "values", "data", "content", "contents"),
)
#: What services give out, by its form: JWT, AWS, GitHub, GitLab, OpenAI and its like, Stripe, Slack, Google, Hugging
#: Face, PEM.
_KNOWN = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|\bgithub_pat_\w{30,}|"
    r"\bglpat-[\w-]{20,}|\bsk-[\w-]{20,}|\b[srp]k_(?:live|test)_\w{10,}|\bxox[abposr]-[\w-]{10,}|\bAIza[\w-]{35}|"
    r"\bhf_[A-Za-z]{30,}|(?<=Bearer )[\w.~+/-]{16,}=*|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
)
#: Attributes of Set-Cookie, whose values are no secrets.
_ATTRIBUTES = {"path", "domain", "expires", "max-age", "samesite", "secure", "httponly", "priority", "partitioned"}
#: A field of multipart/form-data.
_FORM_FIELD = re.compile(
    rb'(Content-Disposition: *form-data;(?:[^\r\n]*;)? *name="?([^"\r\n;]*)"?[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n)'
    rb"(.*?)(?=\r\n--)",
    re.DOTALL | re.IGNORECASE,
)
#: In a text: a URL's user and password; a header's line; a parameter of a URL, or NAME=value; and NAME: value,
#: NAME="value", or a line NAME = value.
_USER = re.compile(r"""(://)([^/\s:@"'<>\\?#]*)(:[^/\s@"'<>\\]+)?(?=@)""")
_LINE = re.compile(r"""\b((?:proxy-)?authorization|(?:set-)?cookie)(["']? *[:=] *["']?)([^\r\n"'\\]+)""", re.IGNORECASE)
_PARAMETER = re.compile(r"""([?&;#]|\\u0026|(?<![\w.%\]-]))([\w.%\[\]-]++)(=)((?:(?!\\u0026)[^\s&;#"'<>])+)""")
_ASSIGNED = re.compile(
    r"""(?<![\w-])([\w-]++)(["']?\s*:\s*["']?|=["'])([^\s"',;<>{}()\[\]\\]+)|"""
    r"""^([\w.-]++)([ \t]*=[ \t]*["']?)([^\s"',;<>{}()\[\]\\]+)(?=["']?[ \t]*\r?$)""",
    re.MULTILINE,
)
#: An element of XML.
_ELEMENT = re.compile(r"(<(?:[\w.-]+:)?([\w.-]+)(?:\s[^<>]*)?>)([^<>]+)(?=</)")
_COOKIE = re.compile(r"(^|[;\s])([^=;\s]+=[^;\s]+)")
_SCHEMES = {"basic", "bearer", "token", "digest", "negotiate", "apikey", "api-key", "key", "aws4-hmac-sha256", "jwt"}
_SHORTEST = 4  # characters of a secret that is looked for elsewhere
_DEEPEST = 5  # texts inside texts that are read


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
        if not value or PLACEHOLDER in value:
            return value
        self.places[place] = None
        if sure or _looks_secret(value):
            self.keep(value)
            if (credentials := _credentials(value)) != value:
                self.keep_credentials(value.partition(" ")[0], credentials)
        return PLACEHOLDER

    def keep_credentials(self, scheme: str, credentials: str) -> None:
        """Of Basic, the password, too, which may be repeated as it is."""
        self.keep(credentials)
        if scheme.lower() == "basic" and (user := _from_base64(credentials)) is not None:
            self.keep(user)
            self.keep(user.partition(":")[2])

    def keep(self, value: str) -> None:
        if len(value) >= _SHORTEST and PLACEHOLDER not in value and value == value.encode("utf-8", "ignore").decode():
            self.values[value] = None


def _looks_secret(value: str) -> bool:
    """Whether it is no word and no number: letters and digits together, or a long text of both cases."""
    if re.fullmatch(r"[\w.~+/=:!@$%^*-]{8,}", value) is None:
        return False
    mixed = value.lower() != value != value.upper() and len(value) >= 20
    return (re.search(r"\d", value) is not None and re.search(r"[^\W\d_]", value) is not None) or mixed


def _is_strong(value: str) -> bool:
    """Whether a secret is nothing else wherever it stands: no word, no number, and nothing short."""
    return len(value) >= 16 or (len(value) >= 8 and not value.isalpha() and re.fullmatch(r"[\d.,+-]*", value) is None)


def _is_secret_field(name: str, value: str, *, is_text: bool = True) -> bool:
    plain = plain_name(name)
    if _FIELD.search(plain) is not None:
        return True
    if _SHORT.search(plain) is not None:
        return is_text and len(value) >= _SHORTEST
    return _PERHAPS.search(plain) is not None and _looks_secret(value)


def _may_be_secret(name: str) -> bool:
    """Whether a field of this name is a secret, if its value is like one."""
    plain = plain_name(name)
    return any(names.search(plain) is not None for names in (_FIELD, _SHORT, _PERHAPS))


def _is_sure(name: str) -> bool:
    return _FIELD.search(plain_name(name)) is not None


def _request(request: Request, found: _Found) -> Request:
    text = _Text(found, "")
    query = text.parameters(request.query, "parameter", lambda name, value: is_secret_name(name))
    headers = _headers(request.headers, found)
    path = request.path and _Text(found, "path").clean(request.path)
    return replace(request, path=path, query=query, headers=headers, body=_body(request.body, headers, found, "field"))


def _response(response: Response, found: _Found) -> Response:
    headers = _headers(response.headers, found)
    body = _body(response.body, headers, found, "the answer's field")
    return _with_body(replace(response, headers=headers), body)


def _headers(headers: Headers, found: _Found) -> Headers:
    return tuple((name, _header(name, value, found)) for name, value in headers)


def _header(name: str, value: str, found: _Found) -> str:
    plain = name.lower()
    place = f"header {name}"
    if plain in ("cookie", "set-cookie"):
        return _cookies(value, found, place)
    if not is_secret_name(name):
        return _Text(found, "header").clean(value)
    scheme, space, credentials = value.partition(" ")
    if "authorization" in plain and space:
        found.keep_credentials(scheme, credentials.strip())
        return f"{scheme} {found.take(credentials.strip(), place)}"
    return found.take(value, place, sure=_is_sure(name))


def _credentials(value: str) -> str:
    """Without the scheme of Authorization, such as Bearer."""
    scheme, _, credentials = value.partition(" ")
    return credentials.strip() if scheme.lower() in _SCHEMES else value


def _from_base64(text: str) -> str | None:
    """The text that is written in base64; None for what is none, such as a picture in base64."""
    if not text or len(text) % 4:
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(base64.b64decode(text[:64], validate=True))  # ends most others
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


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


def _body(body: bytes, headers: Headers, found: _Found, place: str) -> bytes:
    """A body without the secrets that are found by their names; of a form, part by part."""
    kind = (lookup(headers, "content-type") or "").lower()
    if kind.startswith("multipart/form-data"):
        return _FORM_FIELD.sub(lambda part: _form_field(part, found), body)
    text = _Text(found, place)
    if kind.startswith("application/x-www-form-urlencoded"):
        return _in_text(body, kind, lambda form: text.parameters(form, place, _is_secret_field), is_text=True)
    return _in_text(body, kind, text.clean)


def _form_field(part: re.Match[bytes], found: _Found) -> bytes:
    name = part[2].decode("utf-8", "replace")
    try:
        value, encoding = part[3].decode(), "utf-8"
    except UnicodeDecodeError:
        value, encoding = part[3].decode("latin-1"), "latin-1"
    if _is_secret_field(name, value):
        return part[1] + found.take(value, f"field {name}").encode(encoding)
    return part[1] + _in_text(part[3], "", _Text(found, "field").clean)


def _in_text(body: bytes, kind: str, change: Callable[[str], str], *, is_text: bool = False) -> bytes:
    """A body with its text changed, in the encoding that it has; one that is no text stays."""
    found = _decoded(body, kind, is_text=is_text)
    return body if found is None else _encoded(change(found[0]), found[1])


def _encoded(text: str, encoding: str) -> bytes:
    """With an escape for what that encoding has no bytes for: a lone surrogate, which JSON writes so, too."""
    return text.encode(encoding, "backslashreplace")


def _decoded(body: bytes, kind: str, *, is_text: bool = False) -> tuple[str, str] | None:
    """The text of a body, and its encoding; None for what is no text."""
    said = re.search(r"charset=\s*\"?([\w.:-]+)", kind)
    encodings = [*([said[1]] if said else []), "utf-8"]
    if body[:1] in (b"[", b"{") or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings += [json.detect_encoding(body), "latin-1"]
    elif is_text or re.match(r"text/|application/[\w.+-]*(?:json|xml|javascript)", kind):
        encodings.append("latin-1")
    for encoding in encodings:
        try:
            text = body.decode(encoding)
            if text.encode(encoding) == body and "\0" not in text:
                return text, encoding
        except (LookupError, UnicodeError):
            continue
    return None


@dataclass
class _Text:
    """Cleans a text: the values of JSON or Python in it by their names, URLs, lines of headers and NAME=value; texts
    inside these as a text of their own."""

    found: _Found
    place: str
    depth: int = 0

    def clean(self, text: str) -> str:
        """The text without secrets; what has no name for one has none."""
        if self.depth > _DEEPEST or not text:
            return text
        head, mark, coded = text.rpartition(";base64,")  # of a data URL
        if (inner := _from_base64(coded)) is not None:
            cleaned = self._inner(inner)
            return text if cleaned == inner else f"{head}{mark}{base64.b64encode(cleaned.encode()).decode()}"
        if re.search(r"[\[{]|[\"']\s*:", text):
            text = self._members(text)
        text = _USER.sub(self._user, text)
        text = _LINE.sub(self._line, text)
        text = _PARAMETER.sub(self._parameter, text)
        text = _ELEMENT.sub(self._element, text)
        return _ASSIGNED.sub(self._assigned, text)

    def parameters(self, query: str, place: str, is_secret: Callable[[str, str], bool]) -> str:
        """A query or a form, with every other byte as it was."""
        cleaned = []
        for one in re.split("([&;])", query):
            name, equals, value = one.partition("=")
            told, said = unquote_plus(name), unquote_plus(value)
            if equals and is_secret(told, said):
                value = self.found.take(said, f"{place} {told}", sure=_is_sure(told))
            elif equals:
                value = self._inside(value, said)
            cleaned.append(f"{name}{equals}{value}")
        return "".join(cleaned)

    def _inside(self, value: str, said: str) -> str:
        """The value of a parameter, whose text may hold a URL or JSON."""
        inner = self._inner(said)
        if inner == said and "%" in said:  # it is quoted twice
            inner = self._inside(said, unquote_plus(said))
        return value if inner == said else quote(inner, safe="")

    def _inner(self, text: str) -> str:
        return _Text(self.found, self.place, self.depth + 1).clean(text)

    def _members(self, text: str) -> str:
        """A text without the secrets that have a name in JSON or Python, and in the texts of these."""
        changes: dict[int, tuple[Value, str]] = {}
        secret: list[tuple[Value, str]] = []
        values = values_in(text)
        for one in values:
            named = [*((value, value.key) for value in one.inside if value.key), *_pairs(one.inside)]
            secret += [(value, name) for value, name in named if _may_be_secret(name)]
        for value, name in secret:
            for leaf in value.leaves():
                if leaf.start not in changes and _is_secret_field(name, leaf.text, is_text=bool(leaf.quote)):
                    mark = leaf.quote or '"'
                    cleaned = self.found.take(leaf.text, f"{self.place} {name}")
                    changes[leaf.start] = (leaf, f"{mark}{cleaned}{mark}")
        for leaf in values[0].leaves():
            if leaf.quote and leaf.start not in changes and (inner := self._inner(leaf.text)) != leaf.text:
                changes[leaf.start] = (leaf, quoted_as(leaf, inner, text[leaf.start : leaf.end]))
        pieces, at = [], 0
        for start in sorted(changes):
            leaf, written = changes[start]
            if PLACEHOLDER not in text[start : leaf.end] or PLACEHOLDER not in leaf.text:
                pieces += [text[at:start], written]
                at = leaf.end
        return "".join([*pieces, text[at:]])

    def _user(self, part: re.Match[str]) -> str:
        """A URL's password, or a user that is a token."""
        if part[3]:
            return f"{part[1]}{part[2]}:{self.found.take(part[3][1:], 'the password of a URL')}"
        if _looks_secret(part[2]):
            return part[1] + self.found.take(part[2], "the user of a URL")
        return part[0]

    def _line(self, part: re.Match[str]) -> str:
        name, between, value = part.groups()
        if "cookie" in name.lower():
            value = _COOKIE.sub(lambda pair: pair[1] + _cookies(pair[2], self.found, "a cookie in the text"), value)
        else:
            scheme, space, rest = value.partition(" ")
            if scheme.lower() not in _SCHEMES:
                scheme, space, rest = "", "", value
            credentials, *others = re.split(r"(\s)", rest, maxsplit=1)
            if space or _looks_secret(credentials):
                credentials = _header(name, f"{scheme}{space}{credentials}", self.found)
                value = "".join([credentials, *others])
        return f"{name}{between}{value}"

    def _parameter(self, part: re.Match[str]) -> str:
        before, name, equals, value = part.groups()
        told, said = unquote_plus(name), unquote_plus(value)
        if is_secret_name(told) if before else _is_secret_field(told, said):
            value = self.found.take(said, f"parameter {told} in the text", sure=_is_sure(told))
            return f"{before}{name}{equals}{value}"
        return f"{before}{name}{equals}{self._inside(value, said) if '%' in value else self._inner(value)}"

    def _assigned(self, part: re.Match[str]) -> str:
        """NAME: value, where that is no word of a sentence."""
        name, between, value = part[1] or part[4], part[2] or part[5], part[3] or part[6]
        if not (_is_secret_field(name, value) and _looks_secret(value)):
            return part[0]
        return f"{name}{between}{self.found.take(value, f'{name} in the text')}"

    def _element(self, part: re.Match[str]) -> str:
        """<NAME>value</NAME>"""
        begin, name, value = part.groups()
        return begin + self.found.take(value, f"{self.place} {name}") if _is_secret_field(name, value) else part[0]


def _pairs(values: Sequence[Value]) -> Iterator[tuple[Value, str]]:
    """What stands beside its name: {"name": "password", "value": ...}, and ["password", ...]."""
    by_key = {value.key: value for value in values if value.key}
    name = next((by_key[key].text for key in _NAMES if key in by_key and by_key[key].quote), "")
    if name:
        yield from ((by_key[key], name) for key in _HELD if key in by_key)
    if len(values) == 2 and not by_key and values[0].quote and _looks_secret(_credentials(values[1].text)):
        yield values[1], values[0].text


def _repeated(exchange: Exchange, found: _Found) -> Exchange:
    """Without the secrets wherever else they are, in each way that they may be written."""
    request, response = exchange.request, exchange.response
    text = _Everywhere(found)
    request = replace(
        request,
        path=request.path and text.clean(request.path),
        query=text.clean(request.query),
        headers=tuple((name, text.clean(value)) for name, value in request.headers),
        body=text.clean_body(request.body, request.headers),
        label=text.clean(request.label),
    )
    response = _with_body(
        replace(
            response,
            reason=text.clean(response.reason),
            headers=tuple((name, text.clean(value)) for name, value in response.headers),
        ),
        text.clean_body(response.body, response.headers),
    )
    return Exchange(request, response)


class _Everywhere:
    """Replaces what was found, the longest first, and what has the form of a known key."""

    def __init__(self, found: _Found) -> None:
        self._found = found
        strong = {way: re.escape(way) for value in found.values if _is_strong(value) for way in _ways(value)}
        self._strong = sorted(strong, key=len, reverse=True)
        whole = {way: _whole(way) for value in found.values if not _is_strong(value) for way in _ways(value)}
        ways = sorted(whole | strong, key=lambda way: (-len(way), way))
        patterns = [(whole | strong)[way] for way in ways]
        self._pattern = re.compile("|".join(patterns)) if patterns else None
        encoded = dict.fromkeys(one.encode(name, "ignore") for name in ("utf-8", "latin-1") for one in patterns)
        self._bytes = re.compile(b"|".join(encoded)) if encoded else None

    def clean(self, text: str) -> str:
        if text in self._found.values:
            return PLACEHOLDER
        if self._pattern is not None:
            text = self._pattern.sub(lambda part: _marked(part[0]), text)
        return self._by_form(text)

    def clean_body(self, body: bytes, headers: Headers) -> bytes:
        if self._bytes is not None:
            body = self._bytes.sub(lambda part: _marked(part[0].decode("latin-1")).encode(), body)
        for way, encoding in product(self._strong, ("utf-16-le", "utf-16-be")):  # such as a file in a form
            body = body.replace(way.encode(encoding), PLACEHOLDER.encode(encoding))
        return _in_text(body, (lookup(headers, "content-type") or "").lower(), self.clean)
        return body

    def _by_form(self, text: str) -> str:
        return _KNOWN.sub(lambda key: self._found.take(key[0], "a key in the text"), text)


def _whole(way: str) -> str:
    """The pattern of a value that is one in quotes, and no name of JSON or of a form."""
    return rf"""(?<!=)(?:"{re.escape(way)}"|'{re.escape(way)}')(?!\s*:)"""


def _marked(part: str) -> str:
    """The placeholder, in the quotes that a whole value stands in."""
    is_whole = len(part) > 1 and part[0] == part[-1] and part[0] in "\"'"
    return f"{part[0]}{PLACEHOLDER}{part[0]}" if is_whole else PLACEHOLDER


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
        yield from _in_base64(value.encode())


def _in_base64(value: bytes) -> Iterator[str]:
    """What base64 writes of these bytes whatever stands before and behind them."""
    for before in range(3):
        written = base64.b64encode(bytes(before) + value)
        whole = written[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6].decode()
        yield whole
        yield whole.replace("+", "-").replace("/", "_")


def _with_body(response: Response, body: bytes) -> Response:
    """With another body, and its length; the pieces of a stream are lost if it is another one."""
    if body == response.body:
        return response
    headers = tuple(
        (name, str(len(body)) if name.lower() == "content-length" else value) for name, value in response.headers
    )
    return replace(response, headers=headers, body=body, chunks=None)
