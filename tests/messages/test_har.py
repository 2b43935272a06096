"""Requests that browsers and proxies saved: the bytes that were sent, or a sentence that says why not."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

import handlerkit as hk
from handlerkit.errors import RequestError
from handlerkit.messages.har import HarRequest, read_har


def read(post: dict | None = None, headers: dict[str, str] | None = None, **request: object) -> HarRequest:
    request = {
        "method": "POST", "url": "http://host.example/predictions/m",
        "headers": [{"name": name, "value": value} for name, value in (headers or {}).items()], **request,
    }  # fmt: skip
    if post is not None:
        request["postData"] = post
    (found,) = read_har(json.dumps({"log": {"entries": [{"request": request}]}}).encode(), "visit.har")
    return found


def text(said: str) -> dict:
    return {"mimeType": "text/plain", "text": said}


def test_text_is_utf_8() -> None:
    assert read(text("größe")).body == "größe".encode()
    assert read(text("größe"), bodySize=7).body == "größe".encode()


def test_bytes_may_be_a_character_each() -> None:
    assert read(text("\x89PNG\xff"), bodySize=5).body == b"\x89PNG\xff"
    assert read(text("\x89PNG\xff"), {"Content-Length": "5"}).body == b"\x89PNG\xff"


def test_base64_is_decoded() -> None:
    assert read({"text": base64.b64encode(b"\xff\0").decode(), "encoding": "base64"}).body == b"\xff\0"


def test_a_replacement_character_that_was_sent_stays() -> None:
    assert read(text("a\ufffd"), bodySize=4).body == "a\ufffd".encode()


def test_a_form_is_written_from_its_fields() -> None:
    fields = {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a", "value": "b c"}]}
    assert read(fields).body == b"a=b+c"


@pytest.mark.parametrize(
    ("post", "request_", "said"),
    [
        (text("\ufffdPNG\r\n"), {"bodySize": 6}, "was saved as text, and is none: copy the request as curl"),
        (text("\ufffdPNG\r\n"), {}, "was saved as text, and is none"),
        ({"mimeType": "multipart/form-data; boundary=b", "params": [{"name": "a", "value": "b"}]}, {},
         "was saved as parts, and not as its bytes: copy the request as curl"),
        (None, {"headers": {"Content-Length": "500"}}, "was not saved, 500 B"),
        (None, {"bodySize": 500}, "was not saved, 500 B"),
        ({"mimeType": "text/plain"}, {"bodySize": 500}, "0 of 500 bytes"),
        ({"text": "!", "encoding": "base64"}, {}, "is no base64"),
    ],
)  # fmt: skip
def test_bytes_that_cannot_be_known_are_refused(post: dict | None, request_: dict, said: str) -> None:
    with pytest.raises(RequestError, match=f"^the body of request 1 of visit.har .*{said}"):
        read(post, **request_)


def test_a_case_is_no_recording(tmp_path: Path) -> None:
    worker_run = hk.Run((hk.messages.Exchange(hk.Request.json({"a": 1}), hk.Response(200, body=b"x")),), model="m")
    hk.keep(worker_run, "one", tmp_path)
    with pytest.raises(RequestError, match=r"^one\.har is a case that was kept, and no recording"):
        read_har((tmp_path / "one.har").read_bytes(), "one.har")
