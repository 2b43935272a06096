"""curl command lines, read."""

from __future__ import annotations

import base64
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from handlerkit.errors import RequestError
from handlerkit.messages.part import GUESS, Part, read_file
from handlerkit.messages.shell_words import split_words
from handlerkit.serving.http import Headers

_CURL_FLAGS = {"-s", "-S", "-v", "-i", "-k", "-L", "-f", "-#", "-N"} | {
    "--silent", "--show-error", "--verbose", "--include", "--insecure", "--location", "--fail", "--no-buffer",
    "--compressed",
}  # fmt: skip
_SHORT_WITH_VALUE = "XHdFTuAowm"
_CURL_IGNORED = {"-o", "--output", "-w", "--write-out", "-m", "--max-time", "--connect-timeout"}


@dataclass(frozen=True)
class CurlRequest:
    """What a curl command sends; `parts` is not empty where the body is multipart/form-data."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    parts: tuple[Part, ...]
    label: str


def read_curl(command: str) -> CurlRequest:
    """Reads the options that decide what curl sends (https://curl.se/docs/manpage.html).

    Raises RequestError for an option it does not know, and for a file it cannot read.
    """
    try:
        words = split_words(command.replace("\\\n", " "))
    except ValueError as problem:
        raise RequestError(f"this curl command cannot be read: {problem}") from None
    if words[:1] != ["curl"]:
        raise RequestError("a curl command begins with the word curl")
    method = url = None
    headers: list[tuple[str, str]] = []
    data: list[bytes] = []
    parts: list[Part] = []
    upload = json_body = in_query = False
    label = ""
    todo = deque(words[1:])

    def value(option: str) -> str:
        if not todo:
            raise RequestError(f"curl's {option} needs a value")
        return todo.popleft()

    while todo:
        word = todo.popleft()
        if re.match(r"-[^-].", word):  # -XPOST is -X POST, and -sS is -s -S
            todo.appendleft(word[2:] if word[1] in _SHORT_WITH_VALUE else f"-{word[2:]}")
            word = word[:2]
        if word in ("-X", "--request"):
            method = value(word)
        elif word in ("-H", "--header"):
            name, colon, content = (text := value(word)).partition(":")
            if colon:
                headers.append((name.strip(), content.strip()))
            elif text.endswith(";"):
                headers.append((text[:-1], ""))
        elif word in ("-d", "--data", "--data-ascii", "--data-binary", "--data-raw", "--json"):
            text = value(word)
            json_body = json_body or word == "--json"
            if text.startswith("@") and word != "--data-raw":
                label = Path(text[1:]).name
                content_bytes = read_file(text[1:])
                if word not in ("--data-binary", "--json"):  # -d @file drops line ends
                    content_bytes = content_bytes.replace(b"\r", b"").replace(b"\n", b"")
                data.append(content_bytes)
            else:
                data.append(text.encode())
        elif word == "--data-urlencode":
            name, equals, text = value(word).partition("=")
            data.append((urlencode({name: text}) if name else urlencode({"": text})[1:]).encode())
            if not equals:
                raise RequestError("curl's --data-urlencode is understood as name=content or =content")
        elif word in ("-F", "--form"):
            parts.append(read_part(value(word)))
        elif word in ("-T", "--upload-file"):
            name = value(word)
            data, upload, label = [read_file(name)], True, Path(name).name
        elif word in ("-G", "--get"):
            in_query = True
        elif word in ("-I", "--head"):
            method = method or "HEAD"
        elif word in ("-u", "--user"):
            headers.append(("Authorization", "Basic " + base64.b64encode(value(word).encode()).decode()))
        elif word in ("-A", "--user-agent"):
            headers.append(("User-Agent", value(word)))
        elif word == "--url":
            url = value(word)
        elif word in _CURL_IGNORED:
            value(word)
        elif word in _CURL_FLAGS:
            pass
        elif word.startswith("-"):
            raise RequestError(f"curl's {word} is not understood here; build the Request in Python instead")
        elif url is None:
            url = word
        else:
            raise RequestError(f"a second URL, {word!r}; quote the first one if it holds spaces")
    if url is None:
        raise RequestError("this curl command has no URL")
    address = urlsplit(url if "//" in url else "http://" + url)
    query = address.query
    given = {name.lower() for name, _ in headers}
    body = b"&".join(data) if not json_body else b"".join(data)
    if parts:
        kind = None
    elif json_body:
        kind = "application/json"
        if "accept" not in given:
            headers.append(("Accept", "application/json"))
    else:
        kind = "application/x-www-form-urlencoded" if data and not upload else None
    if in_query:
        query, body, kind = "&".join(filter(None, [query, body.decode()])), b"", None
    if kind is not None and "content-type" not in given:
        headers.append(("Content-Type", kind))
    # `-H "Content-Type:"` takes the header away, as in curl
    sent = [(name, content) for name, content in headers if content or name.lower() not in ("content-type", "accept")]
    default = "PUT" if upload else "POST" if (parts or (data and not in_query)) else "GET"
    return CurlRequest(method or default, address.path or "/", query, tuple(sent), body, tuple(parts), label)


def read_part(text: str) -> Part:
    """A part as curl's -F names it: name=content, name=@file, name=<file, with ;type= and ;filename=."""
    name, equals, content = text.partition("=")
    if not equals:
        raise RequestError(f"curl's -F is name=content, not {text!r}")
    content, *options = content.split(";")
    settings = dict(option.split("=", 1) for option in options if "=" in option)
    kind, filename = settings.get("type"), settings.get("filename")
    if content.startswith("@"):
        return Part.file(name, content[1:], filename=filename, content_type=kind or GUESS)
    if content.startswith("<"):
        return Part(name, read_file(content[1:]), filename, kind)
    return Part(name, content, filename, kind)
