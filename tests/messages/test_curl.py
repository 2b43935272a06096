"""curl command lines as people paste them."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlerkit.errors import RequestError
from handlerkit.messages import Request

URL = "http://127.0.0.1:8080/predictions/m"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = ("Content-Type", "application/json")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files the commands name."""
    (tmp_path / "kitten.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "in.json").write_bytes(b'{"a":\r\n 1}\n')
    (tmp_path / "two words.txt").write_text("hello")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sent(command: str) -> tuple[str, tuple[tuple[str, str], ...], bytes]:
    request = Request.curl(command)
    return request.method, request.headers, request.body


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (f"curl {URL}", ("GET", (), b"")),
        (f"curl -X POST {URL}", ("POST", (), b"")),
        (f"curl -XDELETE {URL}", ("DELETE", (), b"")),
        (f"curl --request PUT {URL}", ("PUT", (), b"")),
        (f"curl -I {URL}", ("HEAD", (), b"")),
        (f"curl {URL}#top  # isn't read", ("GET", (), b"")),
        (f"curl {URL} -d '{{\"a\": 1}}'", ("POST", (FORM,), b'{"a": 1}')),
        (f"curl {URL} -H 'Content-Type: application/json' -d '{{\"a\": 1}}'", ("POST", (JSON,), b'{"a": 1}')),
        (f"curl {URL} -d a=1 -d b=2", ("POST", (FORM,), b"a=1&b=2")),
        (f"curl {URL} -da=1", ("POST", (FORM,), b"a=1")),
        (f"curl {URL} -d -5", ("POST", (FORM,), b"-5")),
        (f"curl {URL} -d @in.json", ("POST", (FORM,), b'{"a": 1}')),
        (f"curl {URL} --data-binary @in.json", ("POST", (FORM,), b'{"a":\r\n 1}\n')),
        (f"curl {URL} --data-raw @in.json", ("POST", (FORM,), b"@in.json")),
        (f"curl {URL} --data-binary @kitten.jpg -H 'Content-Type: image/jpeg'",
         ("POST", (("Content-Type", "image/jpeg"),), b"\xff\xd8")),
        (f"curl {URL} --data-urlencode 'text=a b&c'", ("POST", (FORM,), b"text=a+b%26c")),
        (f"curl {URL} -T kitten.jpg", ("PUT", (), b"\xff\xd8")),
        (f"curl -X POST {URL} -T kitten.jpg", ("POST", (), b"\xff\xd8")),
        (f"curl -X POST {URL} -Tkitten.jpg", ("POST", (), b"\xff\xd8")),
        (f"curl {URL} --upload-file 'two words.txt'", ("PUT", (), b"hello")),
        (f"curl {URL} --json '[1]'", ("POST", (JSON, ("Accept", "application/json")), b"[1]")),
        (f"curl {URL} --json @in.json", ("POST", (JSON, ("Accept", "application/json")), b'{"a":\r\n 1}\n')),
        (f"curl {URL} -H 'Content-Type:' -d x", ("POST", (), b"x")),
        (f"curl {URL} -H 'X-Empty;'", ("GET", (("X-Empty", ""),), b"")),
        (f"curl {URL} -u me:secret", ("GET", (("Authorization", "Basic bWU6c2VjcmV0"),), b"")),
        (f"curl {URL} -H 'Authorization: Bearer t' -H 'x-a: 1'",
         ("GET", (("Authorization", "Bearer t"), ("x-a", "1")), b"")),
        (f"curl -s -S -v -i -k -L {URL} -o out.json -w '%{{http_code}}' -m 3", ("GET", (), b"")),
        (f"curl -sS {URL}", ("GET", (), b"")),
        (f"curl -sSfL {URL}", ("GET", (), b"")),
        (f"curl -vX POST {URL}", ("POST", (), b"")),
        (f"curl \\\n  -X POST {URL} \\\n  -d 'x'", ("POST", (FORM,), b"x")),
        (f"curl -X POST {URL} -d ''", ("POST", (FORM,), b"")),
        (f"curl {URL} -d ''", ("POST", (FORM,), b"")),
        (f"curl --url {URL} -A agent", ("GET", (("User-Agent", "agent"),), b"")),
    ],
)  # fmt: skip
def test_what_curl_sends(command: str, expected: object) -> None:
    assert sent(command) == expected


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("http://h:1/predictions/m", "/predictions/m", ""),
        ("h:8080/predictions/m?a=1", "/predictions/m", "a=1"),
        ("http://h", "/", ""),
        ("'http://h/models/m?customized=true&x'", "/models/m", "customized=true&x"),
    ],
)
def test_address(url: str, path: str, query: str) -> None:
    request = Request.curl(f"curl {url}")
    assert (request.path, request.query) == (path, query)


def test_get_moves_the_data_into_the_query() -> None:
    request = Request.curl(f"curl -G {URL}?z=0 -d a=1 --data-urlencode 'b=x y'")
    assert (request.method, request.query, request.body, request.headers) == ("GET", "z=0&a=1&b=x+y", b"", ())


def test_form_fields_and_files_become_parts() -> None:
    request = Request.curl(f"curl {URL} -F data=@kitten.jpg -F 'k=v' -F 'j=@in.json;type=text/x;filename=b.json'")
    assert request.method == "POST"
    assert str(request.content_type).startswith("multipart/form-data; boundary=")
    assert b'name="data"; filename="kitten.jpg"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\r\n' in request.body
    assert b'name="k"\r\n\r\nv\r\n' in request.body
    assert b'name="j"; filename="b.json"\r\nContent-Type: text/x\r\n\r\n{"a":\r\n 1}\n\r\n' in request.body


def test_form_field_from_a_file_is_no_file() -> None:
    assert b'name="k"\r\n\r\nhello\r\n' in Request.curl(f"curl {URL} -F 'k=<two words.txt'").body


def test_file_name_becomes_the_label() -> None:
    assert Request.curl(f"curl {URL} -T kitten.jpg").label == "kitten.jpg"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"curl --proxy x {URL}", "--proxy is not understood"),
        (f"curl -Z {URL}", "-Z is not understood"),
        (f"curl --request=POST {URL}", "--request=POST is not understood"),
        (f"wget {URL}", "begins with the word curl"),
        ("curl -X POST", "no URL"),
        (f"curl {URL} -d", "-d needs a value"),
        (f"curl {URL} -d 'x", "cannot be read"),
        (f"curl {URL} -d @nowhere.json", "no file 'nowhere.json'"),
        (f"curl {URL} -F 'data'", "-F is name=content"),
        (f"curl {URL} second", "a second URL, 'second'"),
        (f"curl {URL} -F 'a=@in.json;headers=\"X-A: 1\"'", "'headers' is not understood in curl's -F"),
        (f"curl {URL} -F 'a=b;c=d'", "'c' is not understood in curl's -F"),
        (f"curl {URL} -F 'a=@in.json,kitten.jpg'", "several files in one part are not understood"),
        (f"curl {URL} -F 'a=(;type=multipart/mixed' -F b=c -F '=)'", "nested forms are not understood"),
        (f"curl {URL} -F a=b -d c", "curl refuses -d and -F together"),
        (f"curl {URL} -T in.json -F a=b", "curl refuses -F and -T together"),
        (f"curl {URL} -b cookies.txt", "not as a file of cookies"),
        (f"curl {URL} -H @headers.txt", "-H @file is not understood"),
        (f"curl {URL} --digest -u a:b", "--digest is not understood"),
        (f"curl {URL} -K file", "-K is not understood"),
        (f"curl {URL} --next {URL}", "--next is not understood"),
    ],
)
def test_what_is_refused(command: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Request.curl(command)


# --- curl itself ------------------------------------------------------------------------------------------------------

#: What a curl of this machine is asked, with the address left out.
COMMANDS = [
    *(f"-F data=@file{suffix}" for suffix in (
        ".gif", ".jpg", ".JPEG", ".png", ".svg", ".txt", ".htm", ".html", ".pdf", ".xml", ".json", ".csv", ".webp", "",
    )),
    "-F 'a=<file.txt'", "-F 'a=<file.png'", "-F 'a=<file.json'", "-F 'a=b;type=text/x'", "-F 'a=\"b;c\";type=x/y'",
    "-F 'a=@file.json;filename=x.png'", "-F 'a=b;filename=x.png'", "-F 'a=b;filename=x.zzz'", "-F a==",
    "-F 'a=@file.txt;type=text/plain; charset=x;filename=y'", "-F 'd=@\"a\\\"b.png\"'", "-F a=b -X PUT",
    "-F a=b -H 'Content-Type: multipart/form-data'", "--form-string 'a=@x;type=y'", "-F 'a=<file.txt;filename=b.txt'",
    "-T file.json", "-T file.jpg -H 'Content-Type: image/jpeg'", "-T file.png -X POST",
    "--data-urlencode x@file.txt", "--data-urlencode @file.txt", "--data-urlencode 'a b'", "--data-urlencode '=a=b'",
    "--data-urlencode 'a=b c/~-_.é'", "--data-urlencode 'a b=c'", "--json '[1]' --json 2", "--json @file.json",
    "--json 1 -H 'Accept: text/plain'", "-d a=1 --data-raw @x", "-d @file.txt", "-d ''", "-d a -d b -H content-type:",
    "-G -d a=1 --data-urlencode 'b=x y'", "-e http://r -b c=d", "-H 'X-A: 1' -H 'X-B;' -H 'X-C:'", "-r 0-9", "-u a:b",
    "--oauth2-bearer tok", "-A agent", "-sSd x", "-I", "--url-query 'z=1 2'", "--url-query +raw", "-X DELETE",
]  # fmt: skip
#: What curl adds to every request, or to a large one.
ADDED = {"host", "user-agent", "accept", "content-length", "expect"}


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


def curl_sends(listener: socket.socket, words: list[str]) -> bytes:
    """The bytes that curl writes to a socket."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/predictions/m?q=1"
    with subprocess.Popen(["curl", "-s", "--max-time", "30", url, *words], stdout=subprocess.DEVNULL) as process:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as stream:
            head = b"".join(iter(stream.readline, b"\r\n"))
            if b"\r\nExpect: 100-continue\r\n" in head:
                stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                stream.flush()
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            body = stream.read(int(length[1])) if length else b""
            stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            stream.flush()
        assert process.wait(30) == 0
    return head + b"\r\n" + body


def shape(method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> object:
    """A request with its boundary, and the order of its headers, taken out."""
    text, told = body.decode("latin-1"), sorted((name.lower(), value) for name, value in headers)
    for found in [re.search("boundary=(.*)", value) for _, value in told]:
        if found:
            text = text.replace(found[1], "BOUNDARY")
            told = [(name, value.replace(found[1], "BOUNDARY")) for name, value in told]
    return method, target, told, text


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("words", COMMANDS)
def test_it_is_what_curl_sends(listener: socket.socket, folder: Path, words: str) -> None:
    for suffix in ("", ".gif", ".jpg", ".JPEG", ".png", ".svg", ".txt", ".htm", ".html", ".pdf", ".xml", ".json",
                   ".csv", ".webp"):  # fmt: skip
        (folder / f"file{suffix}").write_bytes(b"a\r\n\xc3\xa9 &\n")
    (folder / 'a"b.png').write_bytes(b"png")
    head, _, body = curl_sends(listener, shlex.split(words)).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split()
    request = Request.curl(f"curl '{URL}?q=1' {words}")
    given = {name.lower() for name, _ in request.headers} - {"content-length", "expect", "host"}
    told = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    told = [(name, value) for name, value in told if name.lower() not in ADDED - given]
    assert shape(request.method, request.target("m"), list(request.headers), request.body) == shape(
        method, target, told, body
    )


def test_what_chrome_copies_has_the_escapes_of_bash() -> None:
    assert sent(rf"curl '{URL}' --data-raw $'a\nb\u0021'")[2] == b"a\nb!"
    assert sent(rf"curl '{URL}' --data-binary $'\xff\''")[2] == b"\xff'"
    with pytest.raises(RequestError, match="curl's --header holds bytes that are no UTF-8"):
        sent(rf"curl '{URL}' -H $'X-A: \xff'")
    with pytest.raises(RequestError, match=r"cannot be read: .* with a zero"):
        sent(rf"curl '{URL}' -d $'a\0'")


@pytest.mark.parametrize(
    ("command", "headers"),
    [
        ("curl http://me:p%40ss@host/predictions/m", [("Authorization", "Basic bWU6cEBzcw==")]),
        ("curl http://me@host/predictions/m", [("Authorization", "Basic bWU6")]),
        ("curl http://me:pw@host/predictions/m -H 'Authorization: Own x'", [("Authorization", "Own x")]),
        ("curl http://me:pw@host/predictions/m -u you:pw", [("Authorization", "Basic eW91OnB3")]),
        ("curl http://me:pw@host/predictions/m -H 'Authorization:'", []),
    ],
)
def test_the_user_of_a_url_is_sent_as_curl_does(command: str, headers: list[tuple[str, str]]) -> None:
    assert [pair for pair in sent(command)[1] if pair[0] == "Authorization"] == headers
