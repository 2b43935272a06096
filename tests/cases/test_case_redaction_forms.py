"""Secrets in places where they are easily forgotten, and words that are taken for one."""

from __future__ import annotations

import json

import pytest

from handlerkit.cases.redact import redact
from handlerkit.messages import Exchange, Request, Response

SECRET = "s3cr3t-0f-m1ne-42"


def cleaned(request: Request, answer: bytes = b"", **response: object) -> bytes:
    """All that is kept of an exchange."""
    (one,), _ = redact([Exchange(request, Response(200, body=answer, **response))])  # type: ignore[arg-type]
    heads = [*one.request.headers, *one.response.headers, ("query", one.request.query)]
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


def test_a_number_is_a_secret_too() -> None:
    assert b"1234567890" not in cleaned(Request.json({"password": 1234567890}))


def test_words_that_are_no_secrets_stay_in_bodies() -> None:
    request = Request.json({"data": "abc"}, query="key=data", headers={"X-Use-Auth": "true"})
    kept = cleaned(request, b'{"ok": true, "eos_token": "<|endoftext|>"}')
    assert b'{"data": "abc"}' in kept
    assert b'{"ok": true, "eos_token": "<|endoftext|>"}' in kept


def test_a_lone_surrogate_is_no_obstacle() -> None:
    assert cleaned(Request.json({"n": 1}), b'{"password": "\\ud800abcd"}')
