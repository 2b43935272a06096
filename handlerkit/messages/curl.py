"""curl command lines, read: what curl would send, except for its own User-Agent and `Accept: */*`."""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote_plus, unquote, urlsplit

from handlerkit.errors import RequestError
from handlerkit.messages.part import Part, read_file
from handlerkit.messages.shell_words import split_words
from handlerkit.serving.http import Headers

#: Options that decide what is sent, by their short names.
_SHORT = {
    "-X": "--request", "-H": "--header", "-d": "--data", "-F": "--form", "-T": "--upload-file", "-G": "--get",
    "-I": "--head", "-u": "--user", "-A": "--user-agent", "-e": "--referer", "-b": "--cookie", "-r": "--range",
}  # fmt: skip
#: Those of them without a value.
_SWITCHES = {"--get", "--head", "--compressed"}
#: Options that change nothing of what is sent: without a value, and with one.
_FLAGS = {"-s", "-S", "-v", "-i", "-k", "-L", "-f", "-#", "-N", "-O", "-J", "-4", "-6", "-q", "-g", "-0"} | {
    "--silent", "--show-error", "--verbose", "--include", "--insecure", "--location", "--fail", "--no-buffer",
    "--fail-with-body", "--progress-bar", "--no-progress-meter", "--remote-name", "--remote-header-name", "--ipv4",
    "--ipv6", "--disable", "--globoff", "--http1.0", "--http1.1", "--http2", "--basic", "--no-keepalive", "--raw",
    "--tcp-nodelay", "--create-dirs",
}  # fmt: skip
_IGNORED = {"-o", "-w", "-m", "-D", "-E"} | {
    "--output", "--write-out", "--max-time", "--connect-timeout", "--dump-header", "--cert", "--key", "--cacert",
    "--capath", "--retry", "--retry-delay", "--retry-max-time", "--max-redirs", "--limit-rate", "--resolve",
    "--connect-to", "--trace", "--trace-ascii", "--stderr", "--keepalive-time", "--expect100-timeout", "--output-dir",
}  # fmt: skip
#: Options whose value is the body, as it is.
_DATA = {"--data", "--data-ascii", "--data-binary", "--data-raw", "--json"}
#: The content types that curl knows by a file's suffix (ContentTypes in its lib/mime.c), and that of any other file.
_CONTENT_TYPES = {
    ".gif": "image/gif", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".svg": "image/svg+xml",
    ".txt": "text/plain", ".htm": "text/html", ".html": "text/html", ".pdf": "application/pdf",
    ".xml": "application/xml",
}  # fmt: skip
_ANY_FILE = "application/octet-stream"
#: What a curl with every decoder asks for with --compressed.
_ENCODINGS = "deflate, gzip, br, zstd"


@dataclass(frozen=True)
class CurlRequest:
    """What a curl command sends; `parts` is not empty if the body is multipart/form-data."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    parts: tuple[Part, ...]
    label: str


def read_curl(command: str) -> CurlRequest:
    """Reads the options that decide what curl sends (https://curl.se/docs/manpage.html).

    Raises RequestError for an option it does not know, for what curl refuses, and for a file it cannot read.
    """
    try:
        words = split_words(command.replace("\\\n", " "))
    except ValueError as problem:
        raise RequestError(f"this curl command cannot be read: {problem}") from None
    if words[:1] != ["curl"]:
        raise RequestError("a curl command begins with the word curl")
    read = _Read()
    for option, value in _options(words[1:]):
        read.take(option, value)
    return read.request()


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Each option that decides something, by its long name, with its value; URLs as --url. -XPOST is -X POST, and -sS
    is -s -S."""
    todo = deque(words)
    while todo:
        word = todo.popleft()
        if not word.startswith("-") or word == "-":
            yield "--url", word
            continue
        if re.match(r"-[^-].", word):
            long = _SHORT.get(word[:2], "")
            has_value = (long and long not in _SWITCHES) or word[:2] in _IGNORED
            todo.appendleft(word[2:] if has_value else f"-{word[2:]}")
            word = word[:2]
        option = _SHORT.get(word, word)
        if option in _FLAGS:
            continue
        if option in _SWITCHES:
            yield option, ""
        elif option not in _IGNORED and option not in _Read.OPTIONS:
            raise RequestError(f"curl's {word} is not understood here; build the Request in Python instead")
        elif not todo:
            raise RequestError(f"curl's {word} needs a value")
        elif (value := todo.popleft()) and option in _IGNORED:
            continue
        else:
            yield option, value


@dataclass
class _Read:
    """What was read so far."""

    method: str = ""
    url: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    body: bytes | None = None
    parts: list[Part] = field(default_factory=list)
    query: list[str] = field(default_factory=list)
    upload: str | None = None
    json: bool = False
    get: bool = False
    head: bool = False
    label: str = ""

    OPTIONS = frozenset(_SHORT.values()) | {
        "--url", "--compressed", "--data-ascii", "--data-binary", "--data-raw", "--data-urlencode", "--json",
        "--form-string", "--oauth2-bearer", "--url-query",
    }  # fmt: skip

    def take(self, option: str, value: str) -> None:
        """One option with its value."""
        if option not in _DATA and value != value.encode("utf-8", "ignore").decode():
            raise RequestError(f"curl's {option} holds bytes that are no UTF-8, which only a body may")
        match option:
            case "--url" if self.url is not None:
                raise RequestError(f"a second URL, {value!r}; quote the first one if it holds spaces")
            case "--url":
                self.url = value
            case "--request":
                self.method = value
            case "--header":
                self._header(value)
            case _ if option in _DATA:
                self._data(option, value)
            case "--data-urlencode":
                self._append(self._encoded(option, value).encode())
            case "--url-query":
                self.query.append(value[1:] if value.startswith("+") else self._encoded(option, value))
            case "--form":
                self.parts.append(read_part(value))
            case "--form-string":
                name, equals, text = value.partition("=")
                if not equals or not name:
                    raise RequestError(f"curl's --form-string is name=content, not {value!r}")
                self.parts.append(Part(name, text))
            case "--upload-file":
                self.upload, self.label = value, Path(value).name
            case "--get":
                self.get = True
            case "--head":
                self.head = True
            case "--user":
                self.headers.append(("Authorization", _basic(value)))
            case "--oauth2-bearer":
                self.headers.append(("Authorization", f"Bearer {value}"))
            case "--user-agent":
                self.headers.append(("User-Agent", value))
            case "--referer":
                self.headers.append(("Referer", value))
            case "--cookie" if "=" not in value:
                raise RequestError("curl's -b is understood as name=value, not as a file of cookies")
            case "--cookie":
                self.headers.append(("Cookie", value))
            case "--range":
                self.headers.append(("Range", f"bytes={value}"))
            case "--compressed":
                self.headers.append(("Accept-Encoding", _ENCODINGS))

    def request(self) -> CurlRequest:
        """What is sent."""
        if self.url is None:
            raise RequestError("this curl command has no URL")
        self._refuse_two_methods()
        try:
            address = urlsplit(self.url if "//" in self.url else "http://" + self.url)
        except ValueError as problem:
            raise RequestError(f"curl's URL {self.url!r} cannot be read: {problem}") from None
        path, query, body = address.path or "/", [address.query], self.body
        user, at, _ = address.netloc.rpartition("@")
        if at:
            name, _, password = user.partition(":")
            self._add("Authorization", _basic(f"{unquote(name)}:{unquote(password)}"))
        if self.get and body is not None:
            query.append(body.decode())
            body = None
        if self.upload is not None:
            body = read_file(self.upload)
            path += self.label if path.endswith("/") else ""
        default = "PUT" if self.upload is not None else "HEAD" if self.head else "GET"
        if self.parts or (self.body is not None and not self.get):
            default = "POST"
        if self.json:
            self._add("Content-Type", "application/json")
            self._add("Accept", "application/json")
        elif body is not None and self.upload is None:
            self._add("Content-Type", "application/x-www-form-urlencoded")
        return CurlRequest(
            self.method or default,
            path,
            "&".join(filter(None, [*query, *self.query])),
            tuple(self.headers),
            body or b"",
            tuple(self.parts),
            self.label,
        )

    def _refuse_two_methods(self) -> None:
        """As curl does, where two options ask for a method each."""
        asked = {
            "-I": self.head,
            "-d": self.body is not None and not self.get,
            "-F": bool(self.parts),
            "-T": self.upload is not None,
        }
        options = [option for option, given in asked.items() if given]
        if len(options) > 1:
            raise RequestError(f"curl refuses {' and '.join(options)} together: each asks for another method")

    def _header(self, text: str) -> None:
        """`Name: value`; `Name;` sends it empty, and `Name:` takes away the one that curl would add."""
        if text.startswith("@"):
            raise RequestError("curl's -H @file is not understood here; write the headers into the command")
        name, colon, content = text.partition(":")
        if content.strip():
            self.headers.append((name.strip(), content.strip()))
        elif colon:
            self.removed.add(name.strip().lower())
        elif text.endswith(";"):
            self.headers.append((text[:-1], ""))

    def _add(self, name: str, value: str) -> None:
        """A header that curl adds unless the command gives it or takes it away."""
        if name.lower() not in self.removed | {one.lower() for one, _ in self.headers}:
            self.headers.append((name, value))

    def _data(self, option: str, value: str) -> None:
        self.json = self.json or option == "--json"
        if not value.startswith("@") or option == "--data-raw":
            self._append(value.encode("utf-8", "surrogateescape"), option)
            return
        self.label, content = Path(value[1:]).name, read_file(value[1:])
        if option in ("--data", "--data-ascii"):  # -d @file drops line ends, and zeros
            content = content.translate(None, b"\r\n\0")
        self._append(content, option)

    def _append(self, content: bytes, option: str = "") -> None:
        between = b"" if self.body is None or option == "--json" else b"&"
        self.body = (self.body or b"") + between + content

    def _encoded(self, option: str, value: str) -> str:
        """content, =content, name=content, @file or name@file; curl encodes the content alone."""
        found = re.match(r"[^=@]*(?=[=@])", value)
        name, rest = (found[0], value[found.end() :]) if found else ("", f"={value}")
        content = read_file(rest[1:]) if rest.startswith("@") else rest[1:].encode()
        return f"{name}={quote_plus(content)}" if name else quote_plus(content)


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(user.encode()).decode()


#: A part's content or one of its settings: quoted, or up to the next semicolon.
_PIECE = re.compile(r'"((?:\\.|[^"\\])*)"[^;]*|([^;]*)')


def read_part(text: str) -> Part:
    """A part as curl's -F names it: name=content, name=@file, name=<file, with ;type= and ;filename=.

    Raises RequestError for another setting, for several files in one part, and for a file that cannot be read.
    """
    name, equals, rest = text.partition("=")
    if not equals or not name:
        raise RequestError(f"curl's -F is name=content, not {text!r}")
    sign = rest[:1] if rest[:1] in ("@", "<") else ""
    if rest.startswith("(") or text == "=)":
        _refuse(text, "nested forms are")
    content, rest = _piece(rest[len(sign) :])
    if sign == "@" and "," in content:
        _refuse(text, "several files in one part are")
    settings = _settings(text, rest)
    filename, kind = None if sign == "<" else settings.get("filename"), settings.get("type")
    if not sign:
        return Part(name, content, filename, kind or (content_type(filename) if filename else None))
    if sign == "@":
        filename = filename or Path(content).name
    guessed = (content_type(filename) if filename else None) or content_type(content) or (filename and _ANY_FILE)
    if guessed == "text/plain" and filename is None:  # which a part is without a content type
        guessed = None
    return Part(name, read_file(content), filename, kind or guessed or None)


def part_file(text: str) -> str | None:
    """The file that a part is read from; None for one that stands there as it is."""
    _, _, rest = text.partition("=")
    return _piece(rest[1:])[0] if rest[:1] in ("@", "<") else None


def content_type(filename: str) -> str | None:
    """curl's content type for a file's name; None if it has none."""
    return next((kind for suffix, kind in _CONTENT_TYPES.items() if filename.lower().endswith(suffix)), None)


def _settings(text: str, rest: str) -> dict[str, str]:
    found: dict[str, str] = {}
    while rest:
        key, equals, rest = rest.lstrip("; ").partition("=")
        if key not in ("type", "filename") or not equals:
            _refuse(text, f"{key.strip()!r} is")
        found[key], rest = _piece(rest)
        if key == "type":  # "text/plain; charset=utf-8": a parameter belongs to the type
            while (parameter := re.match(r"; *(?!(?:type|filename|headers|encoder)=)[\w-]+=[^;]*", rest)) is not None:
                found[key] += parameter[0]
                rest = rest[parameter.end() :]
    return found


def _piece(text: str) -> tuple[str, str]:
    """The first one, and what follows it."""
    found = _PIECE.match(text)
    assert found is not None
    piece = found[2] if found[1] is None else re.sub(r"\\([\\\"])", r"\1", found[1])
    return piece, text[found.end() :]


def _refuse(text: str, what: str) -> NoReturn:
    raise RequestError(f"{what} not understood in curl's -F {text!r}; build the Part in Python instead")
