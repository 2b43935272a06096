"""curl command lines as people paste them."""

from __future__ import annotations

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
        (f"curl {URL} --json '[1]'", ("POST", (("Accept", "application/json"), JSON), b"[1]")),
        (f"curl {URL} --json @in.json", ("POST", (("Accept", "application/json"), JSON), b'{"a":\r\n 1}\n')),
        (f"curl {URL} -H 'Content-Type:' -d x", ("POST", (), b"x")),
        (f"curl {URL} -H 'X-Empty;'", ("GET", (("X-Empty", ""),), b"")),
        (f"curl {URL} -u me:secret", ("GET", (("Authorization", "Basic bWU6c2VjcmV0"),), b"")),
        (f"curl {URL} -H 'Authorization: Bearer t' -H 'x-a: 1'",
         ("GET", (("Authorization", "Bearer t"), ("x-a", "1")), b"")),
        (f"curl -s -S -v -i -k -L --compressed {URL} -o out.json -w '%{{http_code}}' -m 3", ("GET", (), b"")),
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
        (f"curl {URL} --data-urlencode x@in.json", "name=content"),
    ],
)
def test_what_is_refused(command: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Request.curl(command)
