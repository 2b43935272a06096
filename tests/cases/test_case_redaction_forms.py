"""Secrets in places where they are easily forgotten, and words that are taken for one."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from handlerkit.cases import keep
from handlerkit.cases.redact import redact
from handlerkit.messages import Exchange, Request, Response, Run

SECRET = "s3cr3t-0f-m1ne-42"


def cleaned(request: Request, answer: bytes = b"", **response: object) -> bytes:
    """All that is kept of an exchange."""
    (one,), _ = redact([Exchange(request, Response(200, body=answer, **response))])  # type: ignore[arg-type]
    heads = [*one.request.headers, *one.response.headers, ("query", one.request.query)]
    heads.append(("path", one.request.path or ""))
    return b"\n".join([one.request.body, one.response.body, *(f"{name}: {value}".encode() for name, value in heads)])


@pytest.mark.parametrize(
    "request_",
    [
        Request.json({"image_url": f"https://bucket.example/a.png?X-Amz-Signature={SECRET}&size=3"}),
        Request.json({"from": f"https://user:{SECRET}@host.example/a.png"}),
        Request.json({"n": 1}, headers={"Referer": f"https://host.example/?access_token={SECRET}"}),
        Request.json({"body": json.dumps({"password": SECRET})}),
        Request.json({"hf_token": SECRET}),
        Request.json({"otp": SECRET}),
        Request(
            headers={"Content-Type": "multipart/form-data; boundary=b"},
            body=f"--b\r\nContent-Disposition: form-data; name=password\r\n\r\n{SECRET}\r\n--b--\r\n",
        ),
        Request(
            headers={"Content-Type": "multipart/form-data; boundary=b"},
            body=f'--b\r\nContent-Disposition: form-data; filename="x"; name="password"\r\n\r\n{SECRET}\r\n--b--\r\n',
        ),
    ],
    ids=[
        "signed URL",
        "URL's password",
        "Referer",
        "JSON in JSON",
        "hf_token",
        "otp",
        "unquoted name",
        "name at the end",
    ],
)
def test_a_secret_is_not_kept(request_: Request) -> None:
    kept = cleaned(request_)
    assert SECRET.encode() not in kept
    assert b"REDACTED" in kept


ENCODED = quote(f"https://b/a.png?X-Amz-Signature={SECRET}&n=1", safe="")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "request_",
    [
        Request(headers=FORM, body=f"name=\xe9&password={SECRET}".encode("latin-1")),
        Request(body=f'{{"name": "\xe9", "password": "{SECRET}"}}'.encode("latin-1")),
        Request(headers={"Content-Type": "application/json; charset=utf-16"},
                body=json.dumps({"password": SECRET}).encode("utf-16-le")),
        Request(query=f"url={ENCODED}"),
        Request(query=f"options=%7B%22api_key%22%3A%22{SECRET}%22%7D"),
        Request(query=f"access_key_id={SECRET}"),
        Request.form({"payload": json.dumps({"password": SECRET})}),
        Request.form({"url": f"https://b/a.png?X-Amz-Signature={SECRET}"}),
        Request.form({"pin": SECRET}),
        Request.form({"user[token]": SECRET}),
        Request.json({"password": [SECRET]}),
        Request.json({"api_keys": [SECRET]}),
        Request.json({"credentials": {"value": SECRET}}),
        Request.json([{"name": "password", "value": SECRET}]),
        Request.json({"inputs": [{"data": [SECRET], "name": "api_key", "shape": [1]}]}),
        *(Request.json({name: SECRET}) for name in ("pass", "csrf", "openai_key", "AccountKey", "private_key_id")),
        *(Request.text("x", headers={name: SECRET}) for name in ("X-Api-Key-Id", "X-Apikey-V2", "X-Plex-Pass")),
        *(Request.text(f"Try {text} please") for text in (
            f"Authorization: Token {SECRET}", f"Cookie: sid={SECRET}", f"API_KEY={SECRET}", f"password: {SECRET}",
            f"https://x.example/#access_token={SECRET}", f"https://{SECRET}@github.com/x",
        )),
        Request.json({"text": f"export API_KEY={SECRET}"}),
        Request.json({"instances": [{"b64": b64encode(json.dumps({"password": SECRET}).encode()).decode()}]}),
        Request.json({"file": "data:text/plain;base64," + b64encode(f"API_KEY={SECRET}".encode()).decode()}),
        Request.form({"file": b64encode(f"API_KEY={SECRET}".encode()).decode()}),
        Request.text(b64encode(f"user: me\npassword: {SECRET}".encode()).decode()),
        Request.json({"headers": [["Authorization", f"Bearer {SECRET}"]]}),
        Request.json([{"key": "token", "val": SECRET}]),
        Request(path=f"/predictions/m;jsessionid={SECRET}"),
        Request(query="url=" + quote(ENCODED, safe="")),
        *(Request.text(text) for text in (
            f"[login]\npassword = {SECRET}\n", f'token = "{SECRET}"\r\n', f'<a password="{SECRET}"/>',
            f"<a><password>{SECRET}</password></a>", f'<s:Password Type="x">{SECRET}</s:Password>',
            f"next=/x?token={SECRET}",
        )),
    ],
    ids=lambda request: (request.query or request.body.decode("latin-1") or request.path or str(request.headers))[:60],
)  # fmt: skip
def test_a_secret_is_not_kept_in_whatever_it_is_written(request_: Request) -> None:
    kept = cleaned(request_, json.dumps({"seen": SECRET}).encode())
    assert SECRET.encode() not in kept.replace(b"\0", b"")
    assert not any(SECRET.encode() in b64decode(text) for text in re.findall(rb"(?:[\w+/]{4}){6,}", kept))
    assert b"REDACTED" in kept.replace(b"\0", b"")


@pytest.mark.parametrize("before", ["", "a", "ab"])
@pytest.mark.parametrize("encoded", [b64encode, urlsafe_b64encode])
def test_a_secret_that_an_answer_repeats_in_base64_is_not_kept(before: str, encoded: Callable[[bytes], bytes]) -> None:
    request = Request.text("x", headers={"X-Api-Key": f"{SECRET}>>>???"})
    (one,), _ = redact([Exchange(request, Response(200, body=b'"%s"' % encoded(f"{before}{SECRET}>>>???!".encode())))])
    rest = one.response.body.replace(b"REDACTED", b"")
    assert len(rest) <= len('""' + "aaaa" * 2)  # what stands before and behind the secret shares characters with it


def test_the_credentials_of_a_header_in_json_are_not_kept_elsewhere() -> None:
    request = Request.json({"headers": {"Authorization": f"Bearer {SECRET}"}})
    assert SECRET.encode() not in cleaned(request, f"seen {SECRET}".encode())


@pytest.mark.parametrize(
    "request_",
    [
        Request.text("key = value\npassword = None\ntoken = tokens[0]\n"),
        Request.text("<p>my password</p><title>Token 12</title>"),
        Request.json(
            {"image": b64encode(b"\x89PNG\r\n" + bytes(range(200))).decode(), "text": "password", "n": "ABCD"}
        ),
        Request.json({"text": b64encode(b"a text without any").decode()}),
    ],
)
def test_what_is_no_secret_is_kept_as_it_is(request_: Request) -> None:
    (one,), places = redact([Exchange(request_, Response(200, body=request_.body))])
    assert (one.request, one.response.body, places) == (request_, request_.body, ())


def test_a_part_that_is_no_utf_8_is_not_kept() -> None:
    form = f'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n\xe9{SECRET}\r\n--b--\r\n'
    request = Request(headers={"Content-Type": "multipart/form-data; boundary=b"}, body=form.encode("latin-1"))
    assert b'name="password"\r\n\r\nREDACTED\r\n' in cleaned(request)


@pytest.mark.parametrize("name", ["token", "session_id", "sid", "auth"])
def test_a_secret_that_an_answer_gives_out_is_not_kept(name: str) -> None:
    assert cleaned(Request(), json.dumps({name: SECRET, "n": 1}).encode()).startswith(b'\n{"' + name.encode())
    assert SECRET.encode() not in cleaned(Request(), json.dumps({name: SECRET}).encode())


def test_a_key_of_stripe_is_known_by_its_form() -> None:
    assert b"sk_live_" not in cleaned(Request.text("sk_live_" + "4eC39HqLyjWD"))


def test_the_credentials_of_an_endpoint_are_in_no_case(tmp_path: Path) -> None:
    run = Run((Exchange(Request(), Response(200, body=f"sent with {SECRET}".encode())),), model="m", secrets=(SECRET,))
    assert keep(run, "one", tmp_path).exchanges[0].response.body == b"sent with REDACTED"


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (Request.json({"password": "1234"}), b'{"score": 0.12345, "count": 1234}'),
        (Request.text("x", headers={"Authorization": "Bearer test"}), b'{"latest": "a test", "path": "/tmp/test"}'),
        (Request.json({"password": "password"}), b'{"text": "my password", "password": null}'),
        (Request.multipart({"password": "password"}, boundary="b"), b'{"password": null, "x": "password1"}'),
    ],
)
def test_a_short_secret_changes_nothing_that_it_is_a_part_of(request_: Request, answer: bytes) -> None:
    request_ = replace(request_, path="/predictions/test")
    (one,), _ = redact([Exchange(request_, Response(200, body=answer))])
    assert (one.request.path, one.response.body) == ("/predictions/test", answer)
    assert b"password" in one.request.body or b"password" not in request_.body


def test_a_short_secret_is_replaced_where_it_is_a_whole_value() -> None:
    request = Request.text("x", headers={"X-Password": "1234", "X-Copy": "1234"})
    (one,), _ = redact([Exchange(request, Response(200, body=b'{"echo": "1234"}'))])
    assert one.request.header("x-copy") == "REDACTED"
    assert one.response.body == b'{"echo": "REDACTED"}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"eos_token": "</s>", "key": "C major", "pass": 1200, "token": "COVID", "score": 0.5}',
        b'{"name": "password", "score": 0.9, "label": "a1b2c3d4"}',
        b'[["secret", "love"], ["token", 12345678]]',
        b"Cookie: a sweet biscuit. Authorization: the act of it. Password: must be long",
        b'{"monkey": "business", "a": null, "b": [1, 2, {"c": "it\'s"}], "d": \'x\'}',
        b"x=1; key=value; https://git@github.com/a?b=c%20d",
        bytes(range(256)),
    ],
)
def test_what_is_no_secret_keeps_its_bytes(body: bytes) -> None:
    (one,), places = redact([Exchange(Request(body=body), Response(200, body=body))])
    assert (one.request.body, one.response.body, places) == (body, body, ())


def test_a_number_is_a_secret_too() -> None:
    assert b"1234567890" not in cleaned(Request.json({"password": 1234567890}))


def test_words_that_are_no_secrets_stay_in_bodies() -> None:
    request = Request.json({"data": "abc"}, query="key=data", headers={"X-Use-Auth": "true"})
    kept = cleaned(request, b'{"ok": true, "eos_token": "<|endoftext|>"}')
    assert b'{"data": "abc"}' in kept
    assert b'{"ok": true, "eos_token": "<|endoftext|>"}' in kept


def test_a_lone_surrogate_is_no_obstacle() -> None:
    assert cleaned(Request.json({"n": 1}), b'{"password": "\\ud800abcd"}')


ASKED = Request.text("x", headers={"X-Api-Key": SECRET})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json; charset=utf-16", json.dumps({"seen": SECRET}).encode("utf-16")),
        ("application/json", json.dumps({"seen": SECRET}).encode("utf-16-be")),
        ("text/plain; charset=utf-16-le", f"seen {SECRET}".encode("utf-16-le")),
        ("text/plain", f"seen {SECRET}".encode("utf-16-le")),
        ("application/octet-stream", b"\xff\xfe\xfd\x00\x00" + f"seen {SECRET}".encode("utf-16-be") + b"\x00\xff"),
        ("text/plain; charset=cp500", f"seen {SECRET}".encode("cp500")),
    ],
)
def test_a_repeated_secret_is_not_kept_whatever_the_encoding(kind: str, body: bytes) -> None:
    (one,), _ = redact([Exchange(ASKED, Response(200, headers=(("content-type", kind),), body=body))])
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "cp500"):
        assert SECRET.encode(encoding) not in one.response.body
    assert len(one.response.body) < len(body)


@pytest.mark.parametrize(("encoding", "letter"), [("utf-8", r"\ud800"), ("latin-1", r"\u20ac")])
def test_a_letter_that_the_encoding_does_not_have_keeps_no_secret(encoding: str, letter: str) -> None:
    body = f'{{"text": "\xe9 {letter} password={SECRET}"}}'.encode(encoding)
    (one,), _ = redact([Exchange(Request(body=body), Response(200))])
    assert one.request.body == f'{{"text": "\xe9 {letter} password=REDACTED"}}'.encode(encoding)
